"""Members of JSON objects: read from requests, where a wrong type is refused by name, and written.

A number that is spelled as text is refused too: a server that would take it for a number would
otherwise be asked for more than we saw.
"""

from __future__ import annotations

import json

import orjson

from proxy.core.errors import RequestError, UpstreamGarbageError

MAX_MODEL = 256

_NAMES: dict[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def wrong_type(param: str, expected: str, value: object) -> RequestError:
    """Return the error for a field of the wrong type; it names the type, never the value."""
    return RequestError(
        f"Invalid type for '{param}': expected {expected}, "
        f"but got {_NAMES.get(type(value), 'something else')} instead.",
        param=param,
    )


def model_of(asked: dict[str, object]) -> str:
    """Return the model's name; raises RequestError."""
    model = asked.get("model")
    if model is None or model == "":
        raise RequestError("you must provide a model parameter", param="model")
    if not isinstance(model, str):
        raise wrong_type("model", "a string", model)
    if len(model) > MAX_MODEL:
        raise RequestError(
            f"Invalid 'model': string too long. Expected at most {MAX_MODEL} characters.",
            param="model",
        )
    return model


def flag(asked: dict[str, object], name: str) -> bool:
    """Return whether a boolean is true; null and absent are false. Raises RequestError."""
    value = asked.get(name)
    if value is None or isinstance(value, bool):
        return value is True
    raise wrong_type(name, "a boolean", value)


def string(asked: dict[str, object], name: str, longest: int | None = None) -> str:
    """Return a string, '' for null and absent; raises RequestError.

    longest: characters that it may have
    """
    value = asked.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(name, "a string", value)
    if longest is not None and len(value) > longest:
        raise RequestError(f"Invalid '{name}': too long.", param=name)
    return value


def integer(
    asked: dict[str, object], name: str, least: int = 0, most: int | None = None
) -> int | None:
    """Return a whole number within its bounds, None for null and absent; raises RequestError."""
    value = asked.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(name, "an integer", value)
    if value < least:
        raise RequestError(
            f"Invalid '{name}': integer below minimum value. Expected a value >= {least}.",
            param=name,
        )
    if most is not None and value > most:
        raise RequestError(f"Invalid '{name}': expected an integer of at most {most}.", param=name)
    return value


def positive(asked: dict[str, object], name: str, most: int | None = None) -> int:
    """Return a whole number of at least 1, 0 for null and absent; raises RequestError."""
    return integer(asked, name, 1, most) or 0


def number(asked: dict[str, object], name: str) -> float | None:
    """Return a number, None where it is not there; raises RequestError."""
    value = asked.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type(name, "a decimal", value)
    return float(value)


def wants_usage(asked: dict[str, object]) -> bool:
    """Return whether a stream's usage is asked for; raises RequestError."""
    options = asked.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise wrong_type("stream_options", "an object", options)
    value = options.get("include_usage")
    if value is None or isinstance(value, bool):
        return value is True
    raise wrong_type("stream_options.include_usage", "a boolean", value)


def dumped(value: object) -> bytes:
    """Return an answer's JSON, also of what only lenient parsers have read: half a surrogate pair.

    Raises UpstreamGarbageError where it is nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        try:
            return json.dumps(value, separators=(",", ":")).encode()
        except RecursionError:
            raise UpstreamGarbageError("The answer is nested too deeply.") from None
