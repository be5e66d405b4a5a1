"""Items of public sets in a text: the seeds of distillations, and of evaluations.

Not keyed: the sets are public, and so is what we know of them. A file holds hashes of windows, a few
of each item (anchors); of the sets' words it holds nothing. Made by `bench/known_sets.py`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from proxy.watch.windows import windows

if TYPE_CHECKING:
    from proxy.watch.windows import Hashes

MAGIC = b"weir known sets 1\n"
FEWEST = 2  # different anchors of a text that holds an item
SAMPLED = np.uint64(1 << 62)  # a window below may be an anchor: 1 in 4
SIEVE = 20  # bits of a first look, before the search
_SIEVED = np.uint64(62 - SIEVE)


class KnownSets:
    """Anchors of items: sorted numbers, and a sieve that lets few others through.

    anchors: uint64, sorted, without repetition, all below SAMPLED
    """

    __slots__ = ("_anchors", "_sieve")

    def __init__(self, anchors: Hashes) -> None:
        self._anchors = anchors
        self._sieve = np.zeros(1 << SIEVE, np.bool_)
        self._sieve[anchors >> _SIEVED] = True

    @classmethod
    def from_bytes(cls, data: bytes) -> KnownSets:
        """Return what `to_bytes` gave; raises ValueError for anything else."""
        rest = data[len(MAGIC) :]
        if not data.startswith(MAGIC) or len(rest) % 8:
            raise ValueError("no file of known sets")
        anchors = np.frombuffer(rest, "<u8").astype(np.uint64)
        if len(anchors) and (anchors[-1] >= SAMPLED or (anchors[1:] <= anchors[:-1]).any()):
            raise ValueError("anchors of known sets are out of order")
        return cls(anchors)

    def to_bytes(self) -> bytes:
        """Return the file."""
        return MAGIC + self._anchors.astype("<u8").tobytes()

    def __len__(self) -> int:
        return len(self._anchors)

    def holds(self, text: str) -> bool:
        """Return whether a text holds an item, or its first 400 characters, in any frame."""
        return self.among(windows(text))

    def among(self, found: Hashes) -> bool:
        """Return whether a text's windows hold the anchors of an item."""
        found = found[found < SAMPLED]
        found = found[self._sieve[found >> _SIEVED]]
        if len(found) < FEWEST or not len(self._anchors):
            return False
        places = self._anchors.searchsorted(found)
        places[places == len(self._anchors)] = 0
        return len(set(found[self._anchors[places] == found].tolist())) >= FEWEST


KNOWN = KnownSets.from_bytes((files(__package__) / "known.bin").read_bytes())
