"""JSON documents that fit a schema, the same for the same seed.

What a schema may use: type, properties, items, enum, const, anyOf, oneOf, allOf, $ref into $defs,
minimum, maximum, minItems, minLength. Anything else is not looked at.
"""

from __future__ import annotations

import json
import math
from hashlib import blake2b

from proxy.core.errors import RequestError
from proxy.standin.vocabulary import number, words

MAX_DEPTH = 12
# From here on, lists are empty and optional values left out, so that recursion ends.
DEEP = 4
MAX_VALUES = 2_000
MAX_ITEMS = 100
MAX_LENGTH = 10_000

Json = dict[str, object]


class Writer:
    """Writes one document; `schema` is its root, which `$ref` points into.

    Raises RequestError where the schema needs a document deeper or larger than we write.
    """

    def __init__(self, schema: Json, seed: bytes) -> None:
        self._root = schema
        self._seed = seed
        self._values = 0

    def document(self, *, compact: bool = False) -> str:
        """Return the document as JSON text, with spaces after its colons or without any."""
        separators = (",", ":") if compact else None
        return json.dumps(self._value(self._root, 0), ensure_ascii=False, separators=separators)

    def _value(self, schema: object, depth: int) -> object:
        self._values += 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            raise RequestError("The stand-in cannot fit a schema as deep or large as this.")
        if not isinstance(schema, dict):
            return self._words(2)
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        options = schema.get("enum")
        if isinstance(options, list) and options:
            return options[self._number(len(options))]
        return self._typed(schema, depth)

    def _typed(self, schema: Json, depth: int) -> object:
        match _kind(schema):
            case "object":
                properties = schema.get("properties")
                named = properties if isinstance(properties, dict) else {}
                found: object = {name: self._value(each, depth + 1) for name, each in named.items()}
            case "array":
                least = 1 if depth < DEEP else 0
                count = min(max(least, math.ceil(_bound(schema, "minItems", 0))), MAX_ITEMS)
                found = [self._value(schema.get("items"), depth + 1) for _ in range(count)]
            case "integer":
                low = math.ceil(_bound(schema, "minimum", 0))
                high = math.floor(_bound(schema, "maximum", low + 99))
                found = low + self._number(max(1, high - low + 1))
            case "number":
                floor = _bound(schema, "minimum", 0)
                found = floor + (_bound(schema, "maximum", floor + 99) - floor) * self._share()
            case "boolean":
                found = self._number(2) == 1
            case "null":
                found = None
            case _:
                text = self._words(2)
                length = min(math.ceil(_bound(schema, "minLength", 0)), MAX_LENGTH)
                found = text.ljust(length, "s")
        return found

    def _resolved(self, schema: Json, depth: int) -> Json:
        """Follow references and alternatives to what they stand for."""
        for _ in range(MAX_DEPTH):
            reference = schema.get("$ref")
            choices = next(
                (schema[name] for name in ("anyOf", "oneOf", "allOf") if name in schema), None
            )
            if isinstance(reference, str):
                schema = self._at(reference)
            elif isinstance(choices, list):
                fitting = [each for each in choices if isinstance(each, dict)]
                real = [each for each in fitting if each.get("type") != "null"]
                deep = depth > DEEP and len(real) < len(fitting)
                schema = {"type": "null"} if deep or not real else real[0]
            else:
                break
        return schema

    def _at(self, reference: str) -> Json:
        found: object = self._root
        for name in reference.removeprefix("#").split("/")[1:]:
            found = found.get(name) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise RequestError("Invalid schema: a $ref points at nothing.", param="response_format")
        return found

    def _fresh(self) -> bytes:
        self._seed = blake2b(self._seed, digest_size=16).digest()
        return self._seed

    def _words(self, count: int) -> str:
        return " ".join(words(self._fresh(), count))

    def _share(self) -> float:
        return (1 + self._number(3)) / 4

    def _number(self, below: int) -> int:
        return number(self._fresh(), below)


def free_document(seed: bytes, tokens: int) -> str:
    """Return a JSON object of exactly so many words, at least two."""
    return json.dumps({"answer": " ".join(words(seed, max(1, tokens - 1)))})


def _kind(schema: Json) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _bound(schema: Json, name: str, otherwise: float) -> float:
    value = schema.get(name, otherwise)
    return value if isinstance(value, int | float) else otherwise
