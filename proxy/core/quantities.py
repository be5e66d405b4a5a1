"""Durations and amounts as people write them; integers of microseconds inside."""

from __future__ import annotations

import re

UNITS = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_DURATION = re.compile(r"(\d{1,9})(us|ms|s|m|h|d|w)", re.ASCII)


def parse_duration(text: str) -> int:
    """Return the microseconds of a duration; ValueError says what would do.

    >>> parse_duration("90s")
    90000000
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"cannot read {text!r} as a duration (400ms, 30s, 1m, 6h, 7d)")
    return int(found[1]) * UNITS[found[2]]


def format_duration(microseconds: int) -> str:
    """Return a duration for people, its two largest units.

    >>> format_duration(90_000_000), format_duration(1_500), format_duration(0)
    ('1m 30s', '1ms 500us', '0s')
    """
    parts = []
    left = microseconds
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, left = divmod(left, UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"
