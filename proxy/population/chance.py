"""Seeded chance: every account has dice of its own, so that one more account changes no other."""

from __future__ import annotations

import hashlib
import math
from random import Random

# Above this mean a Poisson count is drawn from its normal approximation.
LARGE = 30.0


def digest(*parts: object) -> bytes:
    """Return 32 bytes that stand for some parts; the parts are told apart by their lengths."""
    hashed = hashlib.sha256()
    for part in parts:
        raw = str(part).encode()
        hashed.update(b"%d:%b" % (len(raw), raw))
    return hashed.digest()


def dice(*parts: object) -> Random:
    """Return dice that roll the same for the same parts, on every machine."""
    return Random(int.from_bytes(digest(*parts)[:16], "big"))  # noqa: S311 - no secret is made of it


def opaque(prefix: str, *parts: object, digits: int = 12) -> str:
    """Return an id that tells nothing about its parts.

    >>> opaque("acct", 1, "a")
    'acct_05b78e2fc015'
    """
    return f"{prefix}_{digest(prefix, *parts).hex()[:digits]}"


def happens(rng: Random, share: float) -> bool:
    """Tell whether something that happens this often does now; 0 is never, 1 always."""
    return rng.random() < share


def count(rng: Random, mean: float) -> int:
    """Return a Poisson count; 0 for a mean of 0 or less."""
    if mean <= 0:
        return 0
    if mean > LARGE:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, found, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        found += 1
        product *= rng.random()
    return found


def about(rng: Random, median: float, spread: float) -> float:
    """Return a lognormal amount: half lie below `median`; `spread` is sigma of the logarithm."""
    return median * math.exp(spread * rng.gauss(0.0, 1.0))


def popular(rng: Random, size: int) -> int:
    """Return an index below `size`, the first ones far more often (Zipf's law, exponent 1)."""
    return min(size - 1, int(math.exp(rng.random() * math.log(size + 1))) - 1)


def several(rng: Random, mean: float, most: int) -> int:
    """Return a geometric count of at least 1 and at most `most`, about `mean` on average."""
    if mean <= 1:
        return 1
    stop, found = 1.0 / mean, 1
    while found < most and rng.random() > stop:
        found += 1
    return found
