"""Prompts as vectors: keyed hashed character 3-grams, 256 dimensions, of length one.

The published baselines use neural sentence encoders on a GPU; this is what a gateway can afford on
its own CPU (15 to 30 microseconds a prompt). Where a detector's number differs from its paper's, it
may be this.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float16]
Floats: TypeAlias = NDArray[np.float32]

DIMENSIONS = 256
END = 2_000  # characters at each end of a prompt that are read
GRAM = 3


class Embedding:
    """Maps prompts to vectors; the same seed gives the same map.

    A 3-gram is hashed to one of 512 cells, of which the second half counts against the first
    (Weinberger and others 2009: the signs keep inner products unbiased); counts are damped by
    their square root, so that ' th' is not all that matters.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 0x3A6])
        self._odd = rng.integers(1, 2**32, GRAM, dtype=np.uint64).astype(np.uint32) | np.uint32(1)

    def __call__(self, prompt: str) -> Vector:
        """Return a prompt's vector; all zeros for less than three characters."""
        if len(prompt) > 2 * END:
            prompt = prompt[:END] + prompt[-END:]
        encoded = prompt.lower().encode("utf-32-le", "surrogatepass")
        points = np.frombuffer(encoded, dtype=np.uint32)
        if len(points) < GRAM:
            return np.zeros(DIMENSIONS, np.float16)
        first, second, third = self._odd
        cells = points[:-2] * first + points[1:-1] * second + points[2:] * third
        cells ^= cells >> np.uint32(15)
        cells *= np.uint32(0x2C1B3C6D)  # an odd constant that spreads the high bits
        cells >>= np.uint32(23)
        counts = np.bincount(cells, minlength=2 * DIMENSIONS)
        vector = (counts[:DIMENSIONS] - counts[DIMENSIONS:]).astype(np.float32)
        vector = np.sign(vector) * np.sqrt(np.abs(vector))
        length = float(np.sqrt(vector @ vector))
        return (vector / length if length else vector).astype(np.float16)


def squared_distances(some: Floats, others: Floats) -> Floats:
    """Return squared Euclidean distances, a row for each of `some`; never below 0."""
    found: Floats = some @ others.T
    found *= -2.0
    found += (some * some).sum(axis=1)[:, None]
    found += (others * others).sum(axis=1)[None, :]
    np.maximum(found, 0.0, out=found)
    return found
