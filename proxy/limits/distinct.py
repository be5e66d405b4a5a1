"""Distinct: how many differing values in any stretch of the period, in constant memory.

Linear counting (Whang, Vander-Zanden and Taylor 1990): a value falls into one of m cells, and from
the k cells in use the number of values is estimated as -m ln(1 - k/m). A cell keeps the slice in
which it was last seen, so the count forgets by itself and costs the same for one value as for
many. Every value is noted, also that of a refused request: it was asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.limits import rolling
from proxy.limits.charges import Receipt

if TYPE_CHECKING:
    from proxy.limits.buckets import Distinct
    from proxy.limits.charges import Charge, Found, Settlement

FEWEST, MOST = 4096, 131_072
ROUND = 65_535  # a cell has two bytes; 0 says never
SPARE = 64  # cells that are forgotten together: most of those remembered have gone by


@dataclass(slots=True)
class State:
    """seen: the slice in which each cell was last seen; live: cells by that slice."""

    seen: dict[int, int] = field(default_factory=dict)
    live: rolling.State = field(default_factory=rolling.State)


@dataclass(slots=True)
class Counter:
    """Values in memory.

    until: moment after which nothing is left of them, microseconds
    """

    bucket: Distinct
    state: State = field(default_factory=State)
    until: int = 0

    def look(self, charge: Charge, now: int) -> Found:
        """Note the value; return whether a charge fits, and what its receipt is made of."""
        bucket = self.bucket
        # Who only looks leaves nothing behind.
        state = self.state if self.until or charge.cost else State()
        live = state.live
        current = rolling.advance(live, bucket.slice, now)
        if len(state.seen) > SPARE + 2 * live.total:
            forget(state)
        if charge.cost:
            note(state, cell(bucket, charge.token), current)
            self.until = now + (rolling.SLICES + 2) * bucket.slice
        excess = live.total - bucket.most
        free = rolling.freed(live, bucket.slice, excess) if excess > 0 else 0
        return excess <= 0, live.total, current, free

    def charge(self, _asked: Charge, found: Found, now: int, *, taken: bool) -> Receipt:  # noqa: ARG002
        """Return the receipt of a charge that found this; its value is noted already."""
        fits, used, current, free = found
        return receipt(self.bucket, int(used), current, free, now, fits=fits)

    def correct(self, settlement: Settlement, now: int) -> None:
        """Do nothing: what was asked stays asked."""


def cells(bucket: Distinct) -> int:
    """Return m: a power of two, at least four times the amount where memory allows.

    >>> from proxy.limits.buckets import Distinct
    >>> Distinct(400, 1).cells, Distinct(10_000, 1).cells
    (4096, 65536)
    """
    return min(MOST, max(FEWEST, 1 << (4 * bucket.amount - 1).bit_length()))


def estimate(used: int, of: int) -> int:
    """Return the number of values that `used` of so many cells stand for."""
    if used >= of:
        return round(of * math.log(of))
    return round(-of * math.log1p(-used / of))


def most_cells(bucket: Distinct) -> int:
    """Return the most cells that may be in use before the estimate passes the amount."""
    of = cells(bucket)
    low, high = 0, of
    while low < high:
        middle = (low + high + 1) // 2
        if estimate(middle, of) <= bucket.amount:
            low = middle
        else:
            high = middle - 1
    return low


def cell(bucket: Distinct, fingerprint: str) -> int:
    """Return the cell of a value, from its 16 hex digits."""
    return int(fingerprint, 16) % bucket.cells


def note(state: State, index: int, current: int) -> None:
    """Note a value in the current slice; `state.live` is advanced already."""
    before = state.seen.get(index)
    if before is not None and before >= current:
        return  # later than now where a clock went back: it is counted there
    if before is not None and before >= current - rolling.SLICES:
        rolling.add(state.live, before, -1)
    rolling.add(state.live, current, 1)
    state.seen[index] = current


def forget(state: State) -> None:
    """Forget the cells whose slices have gone by; they count for nothing any more."""
    head = state.live.head
    state.seen = {index: last for index, last in state.seen.items() if last >= head}


def receipt(
    bucket: Distinct, used: int, current: int, free_at: int, now: int, *, fits: bool
) -> Receipt:
    """Return the receipt of a charge that left `used` cells in use."""
    remaining = max(0, bucket.amount - estimate(used, bucket.cells))
    wait = 0 if fits else max(1, free_at - now)
    reset = (current + rolling.SLICES + 1) * bucket.slice - now if used else 0
    return Receipt(fits, True, remaining, wait, reset, current)  # noqa: FBT003 - always taken
