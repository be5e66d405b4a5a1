"""Sealed reasoning told apart by a table of what was served: for replays, which have no keys.

The gateway needs no table (`core.sealing`): what it hands out says itself whose it is. Recorded
traffic holds blobs in the gateway's wrapping, populations hold bare ones; both are compared bare.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING

from proxy.core.sealing import Kind, bare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST = 200_000
OWNERS = 8
# How much each kind says (`Observation.foreign`). Colleagues share; what was never wrapped was as
# a rule served before Weir was there.
WEIGHTS: Mapping[Kind, float] = {
    Kind.ACCOUNT: 1.0, Kind.CONVERSATION: 1 / 3, Kind.UNKNOWN: 1 / 20, Kind.SAME_ORG: 0.0,
}  # fmt: skip


def foreign_weight(kinds: Mapping[Kind, int]) -> float:
    """Return what foreign things of a request say together, 0 and up.

    >>> foreign_weight({Kind.ACCOUNT: 2, Kind.SAME_ORG: 5})
    2.0
    """
    return sum(WEIGHTS.get(kind, 0.0) * count for kind, count in kinds.items())


class SealedTable:
    """What was served to whom for what; the `most` blobs served last are known."""

    __slots__ = ("_most", "_served")

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._served: OrderedDict[int, list[tuple[str, str, int]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._served)

    def served(self, account: str, org: str, anchor: int, blobs: Iterable[str]) -> None:
        """Note what an answer handed out; `anchor`: 64 bits of what was asked."""
        for blob in blobs:
            number = _number(blob)
            owners = self._served.setdefault(number, [])
            self._served.move_to_end(number)
            if (account, org, anchor) not in owners:
                owners.append((account, org, anchor))
                del owners[:-OWNERS]
            if len(self._served) > self._most:
                self._served.popitem(last=False)

    def check(
        self, account: str, org: str, brought: Iterable[tuple[Sequence[int], str]]
    ) -> dict[Kind, int]:
        """Return how many things that a request brings are foreign, by kind.

        brought: (anchors that it may have been served for, blob) of each
        """
        counts: dict[Kind, int] = {}
        for anchors, blob in brought:
            kind = _kind(self._served.get(_number(blob), ()), account, org, anchors)
            if kind is not Kind.OWN:
                counts[kind] = counts.get(kind, 0) + 1
        return counts


def _kind(
    owners: Sequence[tuple[str, str, int]], account: str, org: str, anchors: Sequence[int]
) -> Kind:
    """Return the least foreign that a blob may be."""
    if not owners:
        return Kind.UNKNOWN
    mine = [anchor for name, _, anchor in owners if name == account]
    if mine:
        return Kind.OWN if any(anchor in anchors for anchor in mine) else Kind.CONVERSATION
    return Kind.SAME_ORG if any(of == org for _, of, _ in owners) else Kind.ACCOUNT


def _number(blob: str) -> int:
    data = bare(blob).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest())
