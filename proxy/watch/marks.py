"""Marks by which a text is known again, whatever stands around it: a few of its windows, hashed.

A text is squeezed: lower case, without spaces, quotation marks and what Markdown adds. Of its runs
of 32 bytes one in eight is chosen by the value of its first eight bytes, and hashed (`windows`); of
those the key chooses one in eight again, by their values (Manber 1994; Broder 1997). Two texts that
share a passage choose the same windows of it, wherever it stands. The smallest are kept: they lie
anywhere in a text alike.

A text keeps 16 marks (`MOST`) and is looked for in another by up to 64 of its (`MOST_ASKED`). A
passage of 400 characters has five on average. Measured on public prose (`bench/features.py`): of
passages of 400 characters that came back from answers of 1,000, 98.8 % shared a mark and 94 % two;
from answers of 2,000, 96 % and 82 %; from answers of 8,000, 55 % and 17 %. Whole answers of 1,000
characters and more, and halves of those of 8,000, shared two nearly always.

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
ESCAPED = b"\\n"  # the end of a line in JSON
LOWER = bytes(range(256)).lower()
CHOOSING = np.uint64(0x9E3779B97F4A7C15)
OFFSETS = np.arange(0, WIDTH, WORD)[:, None]
FACTORS = np.array(
    [0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB], np.uint64
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
    data = text.encode("utf-8", "surrogatepass").replace(ESCAPED, b"")
    return data.translate(LOWER, SQUEEZED)


def windows(text: str) -> Hashes:
    """Return the hashes of the chosen windows of a text, in order; without a key."""
    return hashed(squeezed(text))


def words(data: bytes) -> Hashes:
    """Return each run of eight bytes as a number, in order; none of less than a window."""
    if len(data) < WIDTH:
        return np.zeros(0, np.uint64)
    # Numbers that overlap: a view of bytes, one byte apart, copied to where numbers may lie.
    return np.ndarray((len(data) - WORD + 1,), "<u8", data, strides=(1,)).astype(np.uint64)


def places(read: Hashes) -> NDArray[np.intp]:
    """Return where the chosen windows begin, by their words."""
    return (read[: WORD - WIDTH] * CHOOSING < CHOSEN).nonzero()[0]


def hashed(data: bytes) -> Hashes:
    """Return the hashes of the chosen windows of a squeezed text, in order; none if it is short."""
    read = words(data)
    at = places(read)
    found: Hashes = FACTORS @ read.take(OFFSETS + at)
    found ^= found >> HALF
    found *= CHOOSING
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
