"""Marks by which a text is known again, whatever stands around it: a few of its windows, hashed.

A text is squeezed: lower case, without spaces, quotation marks and what Markdown adds. Of its runs
of 32 bytes one in eight is chosen by the value of its first eight bytes, and hashed (`windows`); of
those the key chooses one in eight again, by their values (Manber 1994; Broder 1997). Two texts that
share a passage choose the same windows of it, wherever it stands. The smallest are kept: they lie
anywhere in a text alike.

A text keeps 16 marks (`MOST`) and is looked for in another by up to 64 of its (`MOST_ASKED`). A
passage of 400 characters has five on average. `bench/features.py` measures how often a passage
that came back in another text is known by one mark, and by two.

The key mixes in 192 bits that are made of the secret; that is fast, and no cipher. Whoever has many
marks beside their texts might find it: marks are kept in memory and in sealed profiles only.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

WIDTH, WORD = 32, 8  # bytes of a window, and of the numbers that it is read as
EVERY = 8  # of so many windows one is chosen, and again by the key
MOST, MOST_ASKED = 16, 64
END = 4_000  # characters that are read at each end of a text
# What differs between a text and its copy in another layout, in quotation marks or as JSON.
SQUEEZED = b" \t\n\r\x0b\x0c*_#>`|~\\\"'"
LOWER = bytes(range(256)).lower()
CHOOSING = np.uint64(0x9E3779B97F4A7C15)
FACTORS = (
    np.uint64(0xC2B2AE3D27D4EB4F),
    np.uint64(0xD6E8FEB86659FD93),
    np.uint64(0xA0761D6478BD642F),
    np.uint64(0xE7037ED1A0B428DB),
)
HALF = np.uint64(32)
CHOSEN = np.uint64(2**64 // EVERY)


def squeezed(text: str) -> bytes:
    r"""Return what of a text is hashed; of a long one the beginning and the end.

    >>> squeezed("**Take** the\n> bread.")
    b'takethebread.'
    """
    if len(text) > 2 * END:
        text = f"{text[:END]}{text[-END:]}"
    return text.encode("utf-8", "surrogatepass").translate(LOWER, SQUEEZED)


def windows(text: str) -> Hashes:
    """Return the hashes of the chosen windows of a text, in order; without a key."""
    return hashed(squeezed(text))


def hashed(data: bytes) -> Hashes:
    """Return the hashes of the chosen windows of a squeezed text, in order; none if it is short."""
    numbers = len(data) - WORD + 1
    if numbers <= WIDTH - WORD:
        return np.zeros(0, np.uint64)
    read = np.ndarray((numbers,), "<u8", data, strides=(1,)).astype(np.uint64)
    at = (read[: WORD - WIDTH] * CHOOSING < CHOSEN).nonzero()[0]
    found = read.take(at)
    for factor in FACTORS[:-1]:
        found *= factor
        found ^= found >> HALF
        at += WORD
        found += read.take(at)
    found *= FACTORS[-1]
    found ^= found >> HALF
    return found


def marks(text: str, secret: int, most: int = MOST) -> tuple[int, ...]:
    """Return a text's marks, 64 bits each, from the smallest up; none for less than a sentence.

    secret: 64 bits; another one chooses other windows and gives them other marks
    most:   how many are kept
    """
    return marked(windows(text), secret, most)


def marked(hashes: Hashes, secret: int, most: int = MOST) -> tuple[int, ...]:
    """Return the marks of a text whose windows are hashed already."""
    mask, first, second = _keys(secret)
    found = hashes ^ mask
    found *= first
    found = found[found < CHOSEN]
    found ^= found >> HALF
    found *= second
    found ^= found >> HALF
    return tuple(sorted(set(found.tolist()))[:most])


@lru_cache(maxsize=16)
def _keys(secret: int) -> tuple[np.uint64, np.uint64, np.uint64]:
    data = blake2b(secret.to_bytes(8, "little"), digest_size=24, person=b"weir marks").digest()
    mask, first, second = (int.from_bytes(data[at : at + 8], "little") for at in (0, 8, 16))
    return np.uint64(mask), np.uint64(first | 1), np.uint64(second | 1)
