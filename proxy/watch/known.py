"""Public sets of prompts, known again inside any frame: benchmarks and seeds of instructions.

An item is known by anchors: the hashes of up to three of its windows (`marks.windows`), of words
that few items have. A text holds an item where it has one of them. No key is used, for
the sets are public; the file (`known.bin`, made by `bench/known_sets.py`) has hashes only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from proxy.watch.marks import HALF, windows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from proxy.watch.marks import Hashes

MAGIC = b"weir known 1\n"
SIZE = 5  # bytes of an anchor
CHECKING = np.uint64(24)


@dataclass(frozen=True, slots=True, eq=False)
class KnownSets:
    """What is known.

    anchors: the upper 32 bits of their hashes, each once, ascending
    checks:  eight bits more of each: without them a text of 2,000 characters would hold one by
             chance once in 400 times
    """

    anchors: NDArray[np.uint32] = field(repr=False)
    checks: NDArray[np.uint8] = field(repr=False)

    @classmethod
    def from_hashes(cls, hashes: Iterable[int]) -> KnownSets:
        """Return what knows windows by their hashes of 64 bits."""
        found = np.array(sorted(set(hashes)), np.uint64)
        anchors, first = np.unique((found >> HALF).astype(np.uint32), return_index=True)
        return cls(anchors, _checks(found[first]))

    @classmethod
    def from_bytes(cls, data: bytes) -> KnownSets:
        """Return what a file says; ValueError for anything else."""
        many, rest = divmod(len(data) - len(MAGIC), SIZE)
        if not data.startswith(MAGIC) or rest:
            raise ValueError("is no file of known sets")
        steps = np.frombuffer(data, "<u4", many, len(MAGIC)).astype(np.uint32)
        if not bool((steps[1:] > steps[:-1]).all()):
            raise ValueError("is no file of known sets")
        return cls(steps, np.frombuffer(data, np.uint8, many, len(MAGIC) + 4 * many))

    def to_bytes(self) -> bytes:
        """Return the file."""
        return MAGIC + self.anchors.astype("<u4").tobytes() + self.checks.tobytes()

    def holds(self, text: str) -> bool:
        """Return whether a text holds an item, or enough of one."""
        return self.among(windows(text))

    def among(self, hashes: Hashes) -> bool:
        """Return whether an anchor is among the hashes of a text's windows."""
        size = len(self.anchors)
        if not len(hashes) or not size:
            return False
        wanted = (hashes >> HALF).astype(np.uint32)
        at = self.anchors.searchsorted(wanted)
        met = self.anchors.take(at, mode="clip") == wanted
        if not met.any():
            return False
        return bool((self.checks[at[met]] == _checks(hashes[met])).any())


def _checks(hashes: Hashes) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = (hashes >> CHECKING).astype(np.uint8)  # of it the lowest byte
    return found


KNOWN = KnownSets.from_bytes(files("proxy.watch").joinpath("known.bin").read_bytes())
