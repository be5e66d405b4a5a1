"""Numbers, moments and names as the page says them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.core.quantities import format_usd
from proxy.journal.sentences import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

MICRO = 1_000_000
SPACE = "\u00a0"
DASH, MINUS = "\u2013", "\u2212"
LONGEST, SENTENCE = 64, 300  # characters that are shown of a name and of a sentence
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
SMALL, LARGE, WHOLE = 0.01, 99.9, 100
_DIGITS = re.compile(r"(?<=\d)_(?=\d)", re.ASCII)


def count(number: int, noun: str) -> str:
    """Return a number of things.

    >>> count(1, "request"), count(1_204, "request")
    ('1 request', '1,204 requests')
    """
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def share(part: int, whole: int) -> str:
    """Return a share in per cent that is 0 or 100 only where it is exactly that.

    >>> [share(*each).replace(SPACE, " ") for each in ((0, 7), (1, 99_999), (1, 300), (1, 3))]
    ['0 %', '< 0.01 %', '0.33 %', '33.3 %']
    >>> share(99_999, 100_000).replace(SPACE, " "), share(2, 2).replace(SPACE, " ")
    ('> 99.9 %', '100 %')
    >>> share(0, 0) == DASH
    True
    """
    if not whole:
        return DASH
    if part in {0, whole}:
        return f"{100 * part // whole}{SPACE}%"
    found = 100 * part / whole
    if found < SMALL:
        return f"< {SMALL}{SPACE}%"
    if LARGE < found < WHOLE:
        return f"> {LARGE}{SPACE}%"
    return f"{found:.2f}{SPACE}%" if found < 1 else f"{found:.1f}{SPACE}%"


def moment(microseconds: int | None) -> str:
    """Return a moment in UTC to the second; a dash for none.

    >>> moment(1_795_435_200_123_457)
    '2026-11-23 12:00:00'
    """
    if microseconds is None:
        return DASH
    return f"{datetime.fromtimestamp(microseconds // MICRO, UTC):%Y-%m-%d %H:%M:%S}"


def span(microseconds: int) -> str:
    """Return how long something is, in its two largest units.

    >>> span(30 * 86_400 * MICRO + 3_600 * MICRO), span(90 * MICRO), span(5)
    ('30 days 1 hour', '1 minute 30 seconds', 'less than a second')
    """
    left, parts = microseconds // MICRO, []
    for noun, size in UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(count(number, noun))
    return " ".join(parts[:2]) or "less than a second"


def name(text: str, nobody: str = "(none)") -> str:
    r"""Return a name as it may be shown: what does not print is spelled out, its middle left out.

    >>> name("a\x1b[2J\u202eb"), name(""), len(name("x" * 9_000))
    ('a\\x1b[2J\\u202eb', '(none)', 64)
    """
    if not text:
        return nobody
    # Cut first: what is spelled out is longer, and a name may be as long as somebody likes.
    shown = printable(_cut(text))
    return _cut(shown)


def sentence(text: str) -> str:
    r"""Return what others have written as it may be shown: one line, not too long.

    >>> sentence("a\x00b\n") == "a\ufffdb\ufffd"
    True
    """
    shown = text if len(text) <= SENTENCE else text[: SENTENCE - 1] + "\u2026"
    return "".join(each if each.isprintable() or each == SPACE else "\ufffd" for each in shown)


def _cut(text: str) -> str:
    half = (LONGEST - 1) // 2
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1 - half]}\u2026{text[-half:]}"


def usd(microdollars: int) -> str:
    """Return dollars to the cent, or as exact as it takes where that would be nothing.

    >>> usd(1_234_567_890), usd(120), usd(0)
    ('$1,234.57', '$0.00012', '$0.00')
    """
    cent = MICRO // 100
    if 0 < microdollars < cent:
        return f"${format_usd(microdollars)}"
    return f"${format_usd((microdollars + cent // 2) // cent * cent)}"


def aloud(sentence: str) -> str:
    """Return a limit's sentence with numbers and units as people write them.

    >>> aloud("300_000 output_tokens per day by org")
    '300,000 output tokens per day by org'
    """
    return _DIGITS.sub(",", sentence).replace("_", " ")


def listed(parts: Sequence[str]) -> str:
    """Return parts as a sentence lists them.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
