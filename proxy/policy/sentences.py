"""What the author of a file reads about a mistake that pydantic has found. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

# Words of versions to come: their readers should learn that, and not look for a slip of the pen.
LATER = frozenset({"canary", "cluster"})

# pydantic's kinds of error, in our words; {} are taken from the error's context.
SENTENCES: Mapping[str, str] = MappingProxyType({
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping (name: value)",
    "model_type": "must be a mapping (name: value)",
    "model_attributes_type": "must be a mapping (name: value)",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "too_long": "has more than {max_length} items",
    "string_too_long": "is longer than {max_length} characters",
    "string_pattern_mismatch": "is no name (lower case letters, digits, '-', '.', '_', 63 at most)",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a number that ends",
    "value_error": "{error}",
})  # fmt: skip

EXAMPLES: Mapping[str, str] = MappingProxyType({
    "policy": "policy: free",
    "limit": "limit: requests",
    "allow": "allow: 60 requests",
    "output_tokens": "output_tokens: 256",
    "level": "level: guarded",
    "foreign": "foreign: drop",
    "models": "models: [{model: gpt-*}]",
    "model": "model: gpt-*",
    "cases": "cases: [{case: …, expect: {effect: allow}}]",
    "case": "case: the 61st request is refused",
    "expect": "expect: {effect: refuse, limit: requests}",
    "effect": "effect: allow",
})  # fmt: skip

LONGEST_SHOWN = 40


def sentence(error: ErrorDetails, names: list[str]) -> str:
    """Return what is wrong and, where that can be told, what would do.

    names: the keys that are known where the error is
    """
    kind, where = error["type"], error["loc"][-1] if error["loc"] else ""
    if kind == "extra_forbidden":
        return unknown(str(where), names)
    if kind == "missing":
        example = EXAMPLES.get(str(where))
        return f"is missing ({example})" if example else "is missing"
    if kind in {"literal_error", "model_type"} and (later := later_word(error["input"])):
        return f"{later!r} is not known in this version" + (
            f" ({error['ctx']['expected']} would do)" if kind == "literal_error" else ""
        )
    told = SENTENCES.get(kind)
    if told is None:
        return f"cannot be read ({error['msg'].lower()})"
    if kind == "string_type" and isinstance(error["input"], bool | int | float):
        return f"must be text (quotes make it one: '{str(error['input']).lower()}')"
    return told.format(**error.get("ctx", {}))


def later_word(value: object) -> str:
    """Return the word of a later version that a value is or begins with, '' if it does not."""
    if isinstance(value, dict):
        return next((str(key) for key in value if key in LATER), "")
    return value if isinstance(value, str) and value in LATER else ""


def unknown(key: str, names: list[str]) -> str:
    """Return what to say about a key that nobody reads.

    >>> unknown("brust", ["limit", "burst"])
    "is unknown (did you mean 'burst'?)"
    >>> unknown("canary", ["limit", "burst"])
    'is not known in this version'
    """
    if key in LATER:
        return "is not known in this version"
    nearest = get_close_matches(key, names, n=1)
    if nearest:
        return f"is unknown (did you mean {nearest[0]!r}?)"
    return f"is unknown ({', '.join(names)} would do)"


def shown(text: str) -> str:
    """Return a text as it may be repeated in a sentence: quoted, one line, not too long."""
    return repr(text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…")
