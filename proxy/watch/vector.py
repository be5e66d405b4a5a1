"""A prompt's words as a short keyed vector, linear in them, so that sums of vectors tell a mixture.

Words are hashed to `CELLS` cells, by no key; their counts are damped by the square root and brought
to length one: a prompt's counts. A shipped basis (`words.bin`, made by `bench/basis.py` of honest
prompts of many sources) turns counts into the 128 directions in which prompts of the world differ
most, each scaled to about equal spread: coordinates. A matrix that is made of the secret turns
coordinates into the vector. Both steps are linear: references are made once, in coordinates, and
turned for any deployment's key (`distribution.Reference.keyed`); without the key nobody can
compute the vector of a guess.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

CELLS, DIMENSIONS = 2_048, 128
MAGIC = b"weir words 1\n"
MOST = 4_096  # bytes of a text, as UTF-8, that are read
SPREAD = 2.0  # the key stretches a direction by at most so much, or shrinks it
# Kinds of bytes. A word begins where a byte's kind is more than the lowest bit of the one before:
# after a space or a mark, and at each mark and each character of a script without spaces.
SPACE, WORD, MARK, SIGN = 0, 1, 2, 3
FIRST_SIGN = 0xE2  # first bytes from here on: punctuation, and scripts without spaces


def _kinds() -> NDArray[np.uint8]:
    """Return the kind of each byte."""
    found = np.full(256, WORD, np.uint8)
    found[FIRST_SIGN:] = SIGN
    for point in range(128):
        letter = chr(point)
        if not (letter.isalnum() or letter == "_"):
            found[point] = MARK if letter.isprintable() and letter != " " else SPACE
    return found


def _values() -> NDArray[np.uint32]:
    """Return what each byte counts as: digits as one digit, spaces as nothing."""
    found = np.arange(256, dtype=np.uint32)
    found[ord("0") : ord("9") + 1] = ord("0")
    return np.where(_kinds() == SPACE, np.uint32(0), found)


def _powers(base: int) -> NDArray[np.uint32]:
    found, power = [], 1
    for _ in range(MOST):
        found.append(power)
        power = power * base & 0xFFFFFFFF
    return np.array(found, np.uint32)


BASE = 0x9E3779B1  # odd, so that it has an inverse modulo 2^32
KINDS, VALUES = _kinds(), _values()
POWERS, INVERSES = _powers(BASE), _powers(pow(BASE, -1, 2**32))
HALF, TOP = np.uint32(15), np.uint32(21)  # bits; 32 - 21 leaves CELLS
SPREADING = np.uint32(0x2C1B3C6D)


def cells(text: str) -> NDArray[np.intp]:
    """Return the cell of each word of a text, in order; of a long text's beginning alone.

    A word's hash is sum p_i B^i modulo 2^32 of its bytes (Karp and Rabin 1987), mixed.
    """
    data = text[:MOST].lower().encode("utf-8", "surrogatepass")[:MOST]
    read = np.frombuffer(data, np.uint8)
    kinds = KINDS.take(read)
    begins = kinds > 0
    np.greater(kinds[1:], kinds[:-1] & WORD, out=begins[1:])
    starts = begins.nonzero()[0]
    if not len(starts):
        return starts
    values = VALUES.take(read)
    values *= POWERS[: len(data)]
    hashes = np.add.reduceat(values, starts, dtype=np.uint32)
    hashes *= INVERSES.take(starts)
    hashes ^= hashes >> HALF
    hashes *= SPREADING
    hashes >>= TOP
    return hashes.astype(np.intp)


def counts(text: str) -> Floats:
    """Return a text's damped counts, float32 of CELLS, of length one; all 0 without a word."""
    found: Floats = np.sqrt(np.bincount(cells(text), minlength=CELLS).astype(np.float32))
    length = np.float32(np.sqrt(found @ found))
    if length > 0:
        found /= length
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """What makes coordinates of counts: (counts - centre) @ loadings.

    loadings: float32, CELLS x DIMENSIONS
    centre:   float32, CELLS: the mean counts of honest prompts
    """

    loadings: Floats = field(repr=False)
    centre: Floats = field(repr=False)

    def __call__(self, raw: Floats) -> Floats:
        """Return the coordinates of counts, or of rows of them."""
        found: Floats = ((raw - self.centre) @ self.loadings).astype(np.float32)
        return found

    def to_bytes(self) -> bytes:
        """Return the file: loadings as int8 with a scale a direction, the centre as float16."""
        scales = np.abs(self.loadings).max(axis=0) / np.float32(127.0)
        whole = np.rint(self.loadings / np.maximum(scales, np.float32(1e-12))).astype(np.int8)
        parts = (scales.astype(np.float32), self.centre.astype(np.float16), whole)
        return MAGIC + b"".join(each.tobytes() for each in parts)


def basis_of(data: bytes) -> Basis:
    """Return what a file says; ValueError for anything else."""
    if not data.startswith(MAGIC) or len(data) != LENGTH:
        raise ValueError("is no basis of words")
    at = len(MAGIC)
    scales = np.frombuffer(data, "<f4", DIMENSIONS, at)
    centre = np.frombuffer(data, "<f2", CELLS, at + 4 * DIMENSIONS)
    whole = np.frombuffer(data, np.int8, CELLS * DIMENSIONS, at + 4 * DIMENSIONS + 2 * CELLS)
    loadings = whole.reshape(CELLS, DIMENSIONS).astype(np.float32) * scales
    if not (np.isfinite(loadings).all() and np.isfinite(centre).all()):
        raise ValueError("is no basis of words")
    return Basis(loadings, centre.astype(np.float32))


LENGTH = len(MAGIC) + 4 * DIMENSIONS + 2 * CELLS + CELLS * DIMENSIONS


def shipped() -> Basis:
    """Return the basis that comes with Weir."""
    return basis_of(files("proxy.watch").joinpath("words.bin").read_bytes())


def _keyed(secret: bytes) -> Floats:
    """Return an invertible matrix: a rotation, a stretch of each direction, another rotation."""
    dice = np.random.default_rng(list(hmac.digest(secret, b"weir vector", "sha256")))
    shape = (DIMENSIONS, DIMENSIONS)
    first, _ = np.linalg.qr(dice.standard_normal(shape))
    second, _ = np.linalg.qr(dice.standard_normal(shape))
    stretch = SPREAD ** dice.uniform(-1.0, 1.0, DIMENSIONS)
    found: Floats = ((first * stretch) @ second).astype(np.float32)
    return found


class Projection:
    """Makes vectors. One a process; the same secret makes the same ones everywhere.

    basis: the shipped one where none is given
    key:   DIMENSIONS x DIMENSIONS: vectors are coordinates @ key
    """

    __slots__ = ("_centre", "_loadings", "basis", "key")

    def __init__(self, secret: bytes, basis: Basis | None = None) -> None:
        self.basis = shipped() if basis is None else basis
        self.key = _keyed(secret)
        self._loadings = self.basis.loadings @ self.key
        self._centre = self.basis.centre @ self._loadings

    def __call__(self, text: str) -> Floats:
        """Return a text's vector, float32 of DIMENSIONS; all 0 for a text without a word."""
        whole = np.bincount(cells(text), minlength=CELLS)
        used = (whole > 0).nonzero()[0]
        if not len(used):
            return np.zeros(DIMENSIONS, np.float32)
        weights: Floats = np.sqrt(whole.take(used).astype(np.float32))
        found: Floats = weights @ self._loadings.take(used, axis=0)
        found /= np.float32(np.sqrt(weights @ weights))
        found -= self._centre
        return found

    def of_raw(self, raw: Floats) -> Floats:
        """Return the vector of damped counts (`counts`), of their mean, or of rows of them."""
        found: Floats = raw @ self._loadings - self._centre
        return found
