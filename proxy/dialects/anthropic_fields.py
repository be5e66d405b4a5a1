"""Fields of Anthropic's JSON: read in its own words, walked, and written again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import RequestError, UpstreamGarbageError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MODEL = 256
# Members that say nothing in words: names of kinds and objects, seals, settings.
_MUTE = frozenset(
    {
        "cache_control", "caller", "encrypted_content", "encrypted_index", "encrypted_stdout",
        "file_id", "id", "media_type", "signature", "tool_use_id", "toolset_name", "type",
    }
)  # fmt: skip
# Kinds whose `data` is sealed or binary.
_SEALED = frozenset({"base64", "redacted_thinking"})


def wrong(param: str, expected: str) -> RequestError:
    """Return the error for a field that is not as it should be; it never repeats the value."""
    return RequestError(f"{param}: Input should be {expected}", param=param)


def missing(param: str) -> RequestError:
    """Return the error for a field that must be there."""
    return RequestError(f"{param}: Field required", param=param)


def text_of(holder: dict[str, object], name: str, where: str) -> str:
    """Return a string, '' where it is absent or null; raises RequestError."""
    value = holder.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong(f"{where}{name}", "a valid string")
    return value


def flag(asked: dict[str, object], name: str) -> bool:
    """Return a boolean, False where it is absent or null; raises RequestError."""
    value = asked.get(name)
    if value is None or isinstance(value, bool):
        return value is True
    raise wrong(name, "a valid boolean")


def object_of(asked: dict[str, object], name: str) -> dict[str, object]:
    """Return an object, an empty one where it is absent or null; raises RequestError."""
    value = asked.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong(name, "an object")
    return value


def list_of(asked: dict[str, object], name: str) -> list[object]:
    """Return a list, an empty one where it is absent or null; raises RequestError."""
    value = asked.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong(name, "a valid list")
    return value


def model_of(asked: dict[str, object]) -> str:
    """Return the model's name; raises RequestError."""
    if asked.get("model") is None:
        raise missing("model")
    model = text_of(asked, "model", "")
    if not 0 < len(model) <= MAX_MODEL:
        raise wrong("model", f"a string of 1 to {MAX_MODEL} characters")
    return model


def leaves(value: object) -> Iterator[str]:
    """Yield all strings in a value that say something, in order.

    >>> list(leaves({"type": "x", "a": ["b", {"text": "c"}], "source": {"type": "base64", "data": "/9"}}))
    ['b', 'c']
    """  # noqa: E501 - one doctest
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            if item:
                yield item
        elif isinstance(item, dict):
            left.extend(item[name] for name in reversed(item) if not mute(item, name))
        elif isinstance(item, list):
            left.extend(reversed(item))


def kind_of(holder: dict[str, object]) -> str:
    """Return an object's type, '' where it has none."""
    kind = holder.get("type")
    return kind if isinstance(kind, str) else ""


def mute(holder: dict[str, object], name: str) -> bool:
    """Return whether a member of an object says nothing in words."""
    return name in _MUTE or (name == "data" and kind_of(holder) in _SEALED)


def dumped(value: object) -> bytes:
    """Return a part of an answer as compact JSON; raises UpstreamGarbageError.

    What only lenient parsers read is written so that they read it again.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        try:
            return json.dumps(value, separators=(",", ":")).encode()
        except RecursionError:
            raise UpstreamGarbageError("The answer is nested too deeply.") from None
