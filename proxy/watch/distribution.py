"""How far the prompts of an account are from honest ones, of the sum of their vectors alone.

A reference holds the mean of honest prompts and what whitens their spread. Of n prompts with the
mean vector m the distance is

    T = n' |W (m - mean)|²,    1 / n' = 1 / n + 1 / N,

of N prompts in the reference, with W Wᵀ the inverse of their covariance, shrunk by a ridge: the
squared Mahalanobis distance of means (Hotelling 1931), which is the squared MMD (Gretton and
others, JMLR 13, 2012) for the kernel that is the inner product of whitened vectors. It is told as
(T - E) / S of the moments that T has where all prompts are drawn as the reference was: about 0
then. An honest account has a subject of its own and is far from every reference, farther the more
it asks: the distance is evidence only beside what honest accounts have.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from proxy.watch.vector import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from proxy.watch.vector import Floats, Projection

RIDGE = 0.02  # of the mean spread of a direction
FEWEST = 2.0  # prompts below which nothing is said
MAGIC, ALL = b"weir reference 1\n", b"weir references 1\n"
HEAD = struct.Struct("<Idd")


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Honest prompts that accounts are compared with.

    mean:      float32, DIMENSIONS
    whitening: float32, DIMENSIONS x DIMENSIONS, applied from the right
    of:        prompts that it was made of
    expected, deviation: of T where all prompts are drawn as these were
    """

    mean: Floats = field(repr=False)
    whitening: Floats = field(repr=False)
    of: int
    expected: float
    deviation: float

    def distance(self, total: NDArray[np.float32], n: float) -> float:
        """Return how far n prompts with this sum of vectors are from it, in deviations.

        Sums may have decayed, with n: T is then smaller than it could be, never larger. 0 below
        two prompts.
        """
        if n < FEWEST:
            return 0.0
        off = (total / np.float32(n) - self.mean) @ self.whitening
        weight = n * self.of / (n + self.of)
        return (weight * float(off @ off) - self.expected) / self.deviation

    def keyed(self, projection: Projection) -> Reference:
        """Return a reference that was made in coordinates for the vectors of a deployment."""
        key = projection.key.astype(np.float64)
        whitening = np.linalg.solve(key, self.whitening.astype(np.float64))
        return Reference(
            self.mean @ projection.key,
            whitening.astype(np.float32),
            self.of,
            self.expected,
            self.deviation,
        )

    def to_bytes(self) -> bytes:
        """Return the file, 33 kB: the whitening as float16."""
        head = HEAD.pack(self.of, self.expected, self.deviation)
        return MAGIC + head + self.mean.tobytes() + self.whitening.astype(np.float16).tobytes()


def reference_of(
    mean: NDArray[np.float64], products: NDArray[np.float64], of: int, ridge: float = RIDGE
) -> Reference:
    """Return the reference of prompts of which the moments are known.

    mean:     of their coordinates (`vector.Basis`) or vectors
    products: mean of the outer products of each with itself
    of:       how many they are, two at least
    """
    spread = products - np.outer(mean, mean)
    values, directions = np.linalg.eigh(spread)
    values = np.maximum(values, 0.0)
    shrunk = values + ridge * max(float(values.mean()), 1e-12)
    left = values / shrunk
    return Reference(
        mean.astype(np.float32),
        (directions / np.sqrt(shrunk)).astype(np.float32),
        of,
        float(left.sum()),
        float(np.sqrt(2.0 * (left**2).sum())) or 1.0,
    )


def moments(rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return the mean, the mean products and the number of some prompts, a row each."""
    many = rows.astype(np.float64)
    return many.mean(axis=0), many.T @ many / len(many), len(many)


def reference_from(data: bytes) -> Reference:
    """Return what `to_bytes` wrote; ValueError for anything else."""
    if not data.startswith(MAGIC) or len(data) != LENGTH:
        raise ValueError("is no reference")
    of, expected, deviation = HEAD.unpack_from(data, len(MAGIC))
    at = len(MAGIC) + HEAD.size
    mean = np.frombuffer(data, "<f4", DIMENSIONS, at).copy()
    whole = np.frombuffer(data, "<f2", DIMENSIONS**2, at + 4 * DIMENSIONS).astype(np.float32)
    finite = np.isfinite(mean).all() and np.isfinite(whole).all() and np.isfinite(expected)
    if not (finite and of > 1 and 0.0 < deviation < np.inf):
        raise ValueError("is no reference")
    return Reference(mean, whole.reshape(DIMENSIONS, DIMENSIONS), of, expected, deviation)


LENGTH = len(MAGIC) + HEAD.size + 4 * DIMENSIONS + 2 * DIMENSIONS**2


def references_to(references: Mapping[str, Reference]) -> bytes:
    """Return the file of several references, by their names."""
    parts = [ALL]
    for name, each in sorted(references.items()):
        said = name.encode()
        parts += [bytes([len(said)]), said, each.to_bytes()]
    return b"".join(parts)


def references_from(data: bytes) -> dict[str, Reference]:
    """Return what `references_to` wrote; ValueError for anything else."""
    if not data.startswith(ALL):
        raise ValueError("holds no references")
    found, at = {}, len(ALL)
    while at < len(data):
        ends = at + 1 + data[at]
        found[data[at + 1 : ends].decode()] = reference_from(data[ends : ends + LENGTH])
        at = ends + LENGTH
    return found


def honest() -> dict[str, Reference]:
    """Return the references of honest archetypes that come with Weir, in coordinates."""
    return references_from(files("proxy.watch").joinpath("honest.bin").read_bytes())


def nearest(
    references: Sequence[Reference], total: NDArray[np.float32], n: float
) -> tuple[float, int]:
    """Return the distance to the nearest of some references, and its place; (0, -1) of none."""
    found = [(each.distance(total, n), place) for place, each in enumerate(references)]
    return min(found, default=(0.0, -1))
