"""What a member of a line may be; each check returns it, or raises TrafficError with a sentence.

Sentences name the member and the kind of what stands there, never the value: it may be a prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import TrafficError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND = 1_000_000
EARLIEST, LATEST = 946_684_800 * SECOND, 4_102_444_800 * SECOND  # 2000-01-01, 2100-01-01 in UTC
LONGEST_ANSWER = 31 * 86_400 * SECOND
MOST_TOKENS = 1_000_000_000
LONGEST_NAME, LONGEST_TARGET = 512, 16_384
PRINT = 16
_HEX = frozenset("0123456789abcdef")
_KINDS = {
    str: "a text", bool: "a yes or no", int: "a number", float: "a number",
    list: "a list", dict: "an object",
}  # fmt: skip


def wrong(name: str, wanted: str, value: object) -> TrafficError:
    """Return the error for a member that is of another kind.

    >>> str(wrong("key", "a text", 5))
    'key: must be a text, not a number'
    """
    return TrafficError(f"{name}: must be {wanted}, not {_KINDS.get(type(value), 'null')}")


def text(value: object, name: str, most: int = LONGEST_NAME) -> str:
    """Return a text of at most so many characters."""
    if type(value) is not str:
        raise wrong(name, "a text", value)
    if len(value) > most:
        raise TrafficError(f"{name}: has {len(value)} characters, but at most {most} are read")
    return value


def count(value: object, name: str, most: int = MOST_TOKENS) -> int:
    """Return a whole number from 0 on."""
    if type(value) is not int:
        raise wrong(name, "a whole number", value)
    if not 0 <= value <= most:
        raise TrafficError(f"{name}: must be from 0 to {most}")
    return value


def number(value: object, name: str) -> float:
    """Return a number."""
    if type(value) is not float and type(value) is not int:
        raise wrong(name, "a number", value)
    return float(value)


def flag(value: object, name: str) -> bool:
    """Return a yes or no."""
    if type(value) is not bool:
        raise wrong(name, "true or false", value)
    return value


def choice(value: object, name: str, of: tuple[str, ...]) -> str:
    """Return one of some words."""
    if type(value) is not str or value not in of:
        raise TrafficError(f"{name}: must be one of {', '.join(each for each in of if each)}")
    return value


def seconds(value: object, name: str, most: int) -> int:
    """Return microseconds of a number of seconds from 0 on."""
    if type(value) is not float and type(value) is not int:
        raise wrong(name, "a number of seconds", value)
    # Before it is multiplied: a large number of seconds is infinite in microseconds.
    if not 0 <= value <= most:
        raise TrafficError(f"{name}: must be from 0 to {most // SECOND} seconds")
    found = round(value * SECOND)
    if found > most:
        raise TrafficError(f"{name}: must be from 0 to {most // SECOND} seconds")
    return found


def moment(value: object, name: str) -> int:
    """Return a moment in microseconds since the epoch, given as such."""
    if type(value) is not int:
        raise wrong(name, "a whole number of microseconds since 1970", value)
    if not EARLIEST <= value < LATEST:
        raise TrafficError(
            f"{name}: must lie between 2000 and 2100, in microseconds since 1970 (1763900000250000)"
        )
    return value


def members(value: object, name: str) -> dict[str, object]:
    """Return an object's members."""
    if type(value) is not dict:
        raise wrong(name, "an object", value)
    return value


def texts_by_name(value: object, name: str) -> Mapping[str, str]:
    """Return an object whose members are texts."""
    found: dict[str, str] = {}
    for each, said in members(value, name).items():
        if type(said) is not str:
            raise TrafficError(f"{name}: must have texts as values, and one is not")
        found[each] = said
    return found


def texts(value: object, name: str) -> tuple[str, ...]:
    """Return a list of texts."""
    if type(value) is not list:
        raise wrong(name, "a list of texts", value)
    for each in value:
        if type(each) is not str:
            raise wrong(f"{name}, an item", "a text", each)
    return tuple(value)


def fingerprint(value: object, name: str) -> str:
    """Return a keyed fingerprint, '' for none."""
    found = text(value, name)
    if found and not (len(found) == PRINT and _HEX.issuperset(found)):
        raise TrafficError(f"{name}: must be a fingerprint of 16 hex digits in lower case")
    return found
