"""Durations and amounts as people write them; integers inside.

Times are microseconds, money is micro-dollars, everything else is whole units.
"""

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
MICRO = 1_000_000
_DURATION = re.compile(r"(\d{1,9})(us|ms|s|m|h|d|w)", re.ASCII)
_COUNT = re.compile(r"\d+(?:_\d+)*", re.ASCII)
_MONEY = re.compile(r"(\d+(?:_\d+)*)(?:\.(\d{1,6}))?", re.ASCII)
_LONGEST = 24


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


def parse_count(text: str) -> int:
    """Return a whole number of units; underscores may part its digits. ValueError if it is none.

    >>> parse_count("200_000")
    200000
    """
    if len(text) > _LONGEST or _COUNT.fullmatch(text) is None:
        raise ValueError(f"cannot read {text!r} as a whole number (60, 200_000)")
    return int(text.replace("_", ""))


def parse_usd(text: str) -> int:
    """Return the micro-dollars of an amount with at most six decimals. ValueError if it is none.

    >>> parse_usd("2.50"), parse_usd("1_000")
    (2500000, 1000000000)
    """
    found = _MONEY.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise ValueError(f"cannot read {text!r} as dollars (2.50, 1_000)")
    return int(found[1].replace("_", "")) * MICRO + int((found[2] or "").ljust(6, "0"))


def format_usd(microdollars: int) -> str:
    """Return dollars with at least two decimals.

    >>> format_usd(2_500_000), format_usd(1), format_usd(1_000_000_000)
    ('2.50', '0.000001', '1,000.00')
    """
    whole, rest = divmod(microdollars, MICRO)
    decimals = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{whole:,}.{decimals}"
