"""Small mergeable sets and counters: two slices of time, each forgets with its slice.

A `Slices` keeps the slice of time that is running and the one before it, numbered by absolute time,
so that any two merge by number, whoever wrote them. Adding is by value, saturates, and so does not
depend on the order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
LASTS = 14 * 86_400_000_000  # of a slice, microseconds
MOST = 3  # a counter has two bits
LEVELS, BITS = 4, 3  # rows of `Sampled`, and the bits by which each has fewer values
SPENT = 16  # bits of a fingerprint that choose its rows, and so not its cell
FULL = 0.5  # part of a row that may be in use before the next one tells more


@dataclass(slots=True)
class Slices:
    """Counters from 0 to `most` in `size` cells, for the running slice and the one before.

    most:   1 for a set, 3 for counters
    number: of the running slice; now, before: a byte for each cell while in memory
    """

    size: int
    most: int = MOST
    number: int = 0
    now: Bytes = field(init=False)
    before: Bytes = field(init=False)

    def __post_init__(self) -> None:
        self.now = np.zeros(self.size, np.uint8)
        self.before = np.zeros(self.size, np.uint8)

    def advance(self, at: int) -> None:
        """Move to the slice of a moment; what is older than the one before it is forgotten."""
        self._move(at // LASTS)

    def note(self, value: int, at: int) -> None:
        """Count a value, by its fingerprint."""
        self._note(value % self.size, at)

    def holds(self, value: int) -> bool:
        """Return whether a value may have been noted; a cell may be another's."""
        cell = value % self.size
        return bool(self.now[cell] or self.before[cell])

    def add(self, other: Slices) -> None:
        """Merge another's counts; both count the same things."""
        self._move(other.number)
        for number, cells in ((other.number, other.now), (other.number - 1, other.before)):
            if number == self.number:
                self.now = np.minimum(self.now + cells, self.most).astype(np.uint8)
            elif number == self.number - 1:
                self.before = np.minimum(self.before + cells, self.most).astype(np.uint8)

    def total(self) -> Bytes:
        """Return the counts of both slices, saturated."""
        both: Bytes = np.minimum(self.now + self.before, self.most).astype(np.uint8)
        return both

    def to_bytes(self) -> bytes:
        """Return both slices packed: a bit a cell for a set, two for counters."""
        return b"".join(self._packed(cells) for cells in (self.now, self.before))

    @property
    def packed(self) -> int:
        """Bytes that `to_bytes` returns."""
        return 2 * self.size * (1 if self.most == 1 else 2) // 8

    def load(self, data: bytes, number: int) -> None:
        """Take what `to_bytes` returned."""
        half = self.packed // 2
        self.number = number
        self.now, self.before = (self._unpacked(data[:half]), self._unpacked(data[half:]))

    def _note(self, cell: int, at: int) -> None:
        number = at // LASTS
        self._move(number)
        cells = self.now if number == self.number else self.before
        if number >= self.number - 1 and cells[cell] < self.most:
            cells[cell] += 1

    def _move(self, number: int) -> None:
        if number <= self.number:
            return
        gone = number - self.number
        self.before = self.now if gone == 1 else np.zeros(self.size, np.uint8)
        self.now = np.zeros(self.size, np.uint8)
        self.number = number

    def _packed(self, cells: Bytes) -> bytes:
        if self.most == 1:
            return np.packbits(cells).tobytes()
        fours = cells.reshape(-1, 4) @ np.array([1, 4, 16, 64], np.uint8)
        return bytes(fours.astype(np.uint8).tobytes())

    def _unpacked(self, data: bytes) -> Bytes:
        packed = np.frombuffer(data, np.uint8)
        if self.most == 1:
            return np.unpackbits(packed)
        twos = (packed[:, None] >> np.array([0, 2, 4, 6], np.uint8)) & np.uint8(3)
        return twos.reshape(-1).astype(np.uint8)


class Sampled(Slices):
    """Counters of values by the million: LEVELS rows, each of them of an eighth of the one before.

    The first row counts every value, the next those whose fingerprint ends in three zero bits, and
    so on: of few values the first says most, of many the last that is not too full.
    """

    def note(self, value: int, at: int) -> None:
        """Count a value, by its fingerprint, in all rows that it belongs to."""
        row = self.size // LEVELS
        for level in range(LEVELS):
            if value & ((1 << BITS * level) - 1):
                return
            self._note(level * row + (value >> SPENT) % row, at)


def rows(cells: Bytes) -> tuple[Bytes, int]:
    """Return the row of `Sampled` counters that tells most, and of how many values one is in it."""
    found = cells.reshape(LEVELS, -1)
    level = 0
    while level < LEVELS - 1 and np.count_nonzero(found[level]) > FULL * found.shape[1]:
        level += 1
    return found[level], 1 << BITS * level


def distinct(cells: Bytes) -> float:
    """Return about how many differing values `Sampled` counters have seen (linear counting).

    Whang, Vander-Zanden and Taylor 1990; full cells stand for m ln m values at least.
    """
    row, of = rows(cells)
    return _distinct(row) * of


def missing_mass(cells: Bytes) -> float:
    """Return the chance that the next value is a new one, from 0 to 1 (Good 1953: f1 / n).

    A value that was seen once has a cell of its own with a chance of exp(-d/m), d values in m
    cells: so many more singles are taken to be. Of values that were seen three times or more,
    three are counted: the share of the new is overstated where values come again often, and right
    at its upper end, where it matters.
    """
    row, _ = rows(cells)
    total = int(row.sum())
    if not total:
        return 0.0
    alone = math.exp(_distinct(row) / len(row))
    return min(1.0, float(np.count_nonzero(row == 1)) * alone / total)


def _distinct(row: Bytes) -> float:
    size, used = len(row), int(np.count_nonzero(row))
    if used >= size:
        return size * math.log(size)
    return -size * math.log1p(-used / size)
