r"""JSON that every parser reads alike: strict, of bounded depth, without repeated keys.

A repeated key is refused at every level: we would meter the last and a server might take the
first. The quick proof that there is none: re-serialised, the parsed value has as many quotation
marks as the text. Each string has the same number in both (two around it, one for each escaped
`\"` in it; the other spelling, `\u0022`, is looked for first), and a repeated key would have
lost at least its own two.
"""

from __future__ import annotations

import json

import orjson

from proxy.core.errors import RequestError

_NOT_JSON = (
    "We could not parse the JSON body of your request. It must be one JSON object in UTF-8, "
    "without repeated keys, NaN or infinities."
)


def parse_object(body: bytes) -> dict[str, object]:
    """Return the object that the body is; raises RequestError."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RequestError(_NOT_JSON) from None
    if not isinstance(parsed, dict):
        raise RequestError("The body of your request must be a JSON object.")
    try:
        again = orjson.dumps(parsed)
    except orjson.JSONEncodeError:
        raise RequestError("The JSON body of your request is nested too deeply.") from None
    if body.count(b'"') != again.count(b'"') or b"\\u0022" in body:
        _refuse_repeated_keys(body)
    return parsed


def has_repeated_keys(body: bytes) -> bool:
    """Return whether an object at any level repeats a key; the body must be valid JSON."""
    repeated = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal repeated
        names = [name for name, _ in pairs]
        repeated = repeated or len(names) != len(set(names))

    # Numbers are not looked at: Python refuses integers of more than 4,300 digits.
    json.loads(body.decode(), object_pairs_hook=look, parse_int=len, parse_float=len)
    return repeated


def _refuse_repeated_keys(body: bytes) -> None:
    try:
        repeated = has_repeated_keys(body)
    except RecursionError:
        raise RequestError("The JSON body of your request is nested too deeply.") from None
    if repeated:
        raise RequestError(f"{_NOT_JSON} A key is repeated.")
