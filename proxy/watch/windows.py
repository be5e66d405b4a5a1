"""A text's windows of 32 bytes as hashes: what marks and public sets are found by.

A text is levelled first: lower case, and nothing but letters and digits. Spaces, line ends, marks
of markdown and punctuation are left out, so that another layout of the same words is the same.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Hashes: TypeAlias = NDArray[np.uint64]

WIDTH = 32  # bytes of a window
END = 4_000  # characters that are read at each end of a longer text
MOST = 4 * 2 * END  # bytes of a text that is read, at most: 4 a character
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
WORD = (1 << 64) - 1
# ASCII but letters and digits, and the bytes of curly quotes, dashes and wide spaces in UTF-8:
# scripts that have these bytes in their letters stay as distinct as hashes need.
DROPPED = bytes(
    byte for byte in range(128) if not chr(byte).isalnum()
) + b"\xe2\x80\x93\x94\x98\x99\x9c\x9d\xa6\xc2\xa0"  # fmt: skip


def mixed(number: int) -> int:
    """Return 64 bits of which each depends on all of a number's (SplitMix64, Steele et al. 2014).

    >>> hex(mixed(1))
    '0x910a2dec89025cc1'
    """
    number = (number + 0x9E3779B97F4A7C15) & WORD
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & WORD
    number = (number ^ number >> 27) * 0x94D049BB133111EB & WORD
    return number ^ number >> 31


def _powers(base: int) -> Hashes:
    found, power = [], 1
    for _ in range(MOST + 1):
        found.append(power)
        power = power * base & WORD
    return np.array(found, np.uint64)


VALUES = np.array([mixed(byte) for byte in range(256)], np.uint64)
POWERS, INVERSES = _powers(BASE), _powers(pow(BASE, -1, 1 << 64))
HALF, SPREADING = np.uint64(32), np.uint64(mixed(256) | 1)


def levelled(text: str) -> bytes:
    """Return what of a text is compared; of one of more than 2 END characters, its ends.

    >>> levelled("**The end**, he said.\\n\\n"), levelled("it\\u2019s")
    (b'theendhesaid', b'its')
    """
    if len(text) > 2 * END:
        text = text[:END] + text[-END:]
    # Some capitals are more characters in lower case than they were: read no more for them.
    return text.lower().encode("utf-8", "surrogatepass").translate(None, DROPPED)[:MOST]


def windows(text: str) -> Hashes:
    """Return the hash of each window of a levelled text, in order; none of a shorter one.

    A window's hash is sum v_i B^i modulo 2^64 of its bytes (Karp and Rabin 1987), by differences
    of running sums, and mixed.
    """
    data = levelled(text)
    count = len(data) - WIDTH + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    values = VALUES.take(np.frombuffer(data, np.uint8))
    values *= POWERS[: len(data)]
    sums = values.cumsum()
    found = sums[WIDTH - 1 :].copy()
    found[1:] -= sums[: count - 1]
    found *= INVERSES[:count]
    found ^= found >> HALF
    found *= SPREADING
    return found
