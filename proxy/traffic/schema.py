"""The JSON Schema of a line of traffic, for people who write their own."""

from __future__ import annotations

from proxy.core.facts import FEATURES
from proxy.traffic.checks import (
    EARLIEST,
    LATEST,
    LONGEST_ANSWER,
    LONGEST_NAME,
    LONGEST_TARGET,
    MOST_TOKENS,
    SECOND,
)
from proxy.traffic.entry import ENDS, KINDS
from proxy.traffic.parsing import EFFECTS, FOREVER, LEVELS, METHODS, MOST_RETRIES
from proxy.traffic.parts import HIGHEST_STATUS, LOWEST_STATUS, MOST_CHOICES
from proxy.traffic.tokens import DETAILS, NUMBERS

Schema = dict[str, object]

_NAME: Schema = {"type": ["string", "null"], "maxLength": LONGEST_NAME}
_FLAG: Schema = {"type": ["boolean", "null"]}
_TOKENS: Schema = {"type": ["integer", "null"], "minimum": 0, "maximum": MOST_TOKENS}
_TEXTS: Schema = {"type": ["array", "null"], "items": {"type": "string"}}
_BY_NAME: Schema = {"type": ["object", "null"], "additionalProperties": {"type": "string"}}
_PRINT: Schema = {"type": ["string", "null"], "pattern": "^([0-9a-f]{16})?$"}
_MOMENT: Schema = {
    "type": ["integer", "null"],
    "minimum": EARLIEST,
    "exclusiveMaximum": LATEST,
    "description": "the store's moment, microseconds since 1970",
}


def schema() -> Schema:
    """Return the JSON Schema of a line. Members that it does not name are passed over."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of Weir's traffic",
        "type": "object",
        "required": ["t"],
        "allOf": [
            {"anyOf": [_has("account"), _has("key")]},
            {"not": {"allOf": [_has("body"), _has("facts")]}},
            {"anyOf": [_has("body"), _has("facts"), _BODILESS]},
        ],
        "properties": {
            "t": _told("arrival, seconds since 1970", _range(EARLIEST // SECOND, LATEST // SECOND)),
            "key": _told("id of the key, never the secret; the account's name if left out", _WHO),
            "account": _told("who pays and is measured; the key's id if left out", _WHO),
            "org": _told("the account's organisation; the account itself if left out", _WHO),
            "plan": _NAME,
            "ip": _told("the client's address, or its fingerprint", _NAME),
            "verified": _FLAG,
            "purpose": _NAME,
            "attributes": _BY_NAME,
            "method": {"enum": [*METHODS, None], "default": "POST"},
            "path": {
                "type": ["string", "null"],
                "pattern": "^/",
                "maxLength": LONGEST_TARGET,
                "default": "/v1/chat/completions",
            },
            "headers": _told("headers of the request that Weir reads", _BY_NAME),
            "body": _told("the request's JSON", {"type": ["object", "null"]}),
            "facts": _facts(),
            "answer": _answer(),
            "label": _label(),
            "retry": {"type": ["integer", "null"], "minimum": 0, "maximum": MOST_RETRIES},
            "id": _told("id of the decision when it was recorded", _NAME),
            "level": {"enum": [*LEVELS, None], "default": "clear"},
            "level_by": _told("who had set the level", _NAME),
            "level_until": _told(
                "when it runs out, microseconds since 1970",
                {"type": ["integer", "null"], "minimum": 0, "maximum": FOREVER},
            ),
            "effect": _told("what was decided when it was recorded", {"enum": [*EFFECTS, None]}),
            "policies": _told("digest of the policies that decided it", _NAME),
            "charged_at": _MOMENT,
            "settled_at": _MOMENT,
            "released_at": _told(
                "the store's moment at which a stored answer that was read was settled", _MOMENT
            ),
            "fp": _told(
                "fingerprints taken when it was recorded",
                _object({"prompt": _PRINT, "model": _PRINT, "ip": _PRINT}),
            ),
        },
    }


def _range(low: int, high: int) -> Schema:
    return {"type": "number", "minimum": low, "exclusiveMaximum": high}


_WHO: Schema = {**_NAME, "minLength": 1}
_BODILESS: Schema = {
    "anyOf": [
        {"required": ["method"], "properties": {"method": {"enum": ["GET", "DELETE"]}}},
        {"required": ["path"], "properties": {"path": {"pattern": "^[^?]*/cancel([?]|$)"}}},
    ]
}


def _has(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _told(description: str, schema: Schema) -> Schema:
    return {**schema, "description": description}


def _object(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    return {"type": ["object", "null"], "properties": properties, "required": list(required)}


def _answer() -> Schema:
    usage: Schema = dict.fromkeys(sorted(NUMBERS), _TOKENS)
    details: Schema = {
        name: _object(dict.fromkeys(inner, _TOKENS)) for name, inner in DETAILS.items()
    }
    status: Schema = {"type": "integer", "minimum": LOWEST_STATUS, "maximum": HIGHEST_STATUS}
    lasted: Schema = {
        "type": ["number", "null"], "minimum": 0, "maximum": LONGEST_ANSWER // SECOND,
    }  # fmt: skip
    parts: Schema = {
        "status": {"anyOf": [status, {"enum": [0, None]}], "default": 200},
        "text": {"type": ["string", "null"]},
        "usage": _told(
            "as the provider says it, or all numbers flat", _object({**usage, **details})
        ),
        "end": {"enum": [*ENDS, None], "default": "complete"},
        "seconds": _told("from the request's arrival to the answer's end", lasted),
        "billed": _told("something was served; told from status and end if left out", _FLAG),
        "background": _told("the answer was still being made when the request was over", _FLAG),
        "object": _told("id of the stored object that was made", _NAME),
        "code": _told("of the error that Weir gave or met", _NAME),
        "sealed": _told("signatures and sealed reasoning that were handed out", _TEXTS),
    }
    return _told("null where nobody knows it", _object(parts))


def _label() -> Schema:
    parts: Schema = {
        "operator": {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
        "kind": {"enum": list(KINDS)},
        "archetype": _NAME,
        "cover": _FLAG,
    }
    return _told("who really sent it; metrics alone read it", _object(parts, ("operator", "kind")))


def _facts() -> Schema:
    number: Schema = {"type": ["integer", "null"], "minimum": 0, "maximum": MOST_CHOICES}
    parts: Schema = {
        "dialect": {"type": "string", "maxLength": LONGEST_NAME},
        **dict.fromkeys(("model", "reasoning", "user"), _NAME),
        **dict.fromkeys(("prompt_tokens", "output_tokens"), _TOKENS),
        **dict.fromkeys(("choices", "prompts"), number),
        **dict.fromkeys(("stream", "metered", "output_capped", "wants_usage", "stored"), _FLAG),
        "temperature": {"type": ["number", "null"]},
        "features": _told(f"knobs in use, of {', '.join(sorted(FEATURES))}", _TEXTS),
        "references": _TEXTS,
    }
    return _told("what is known of a request without its body", _object(parts, ("dialect",)))
