"""Rolling: never more than the amount in any stretch of the period, to the precision of a slice.

The period is cut in 24 slices, and every slice that the period touches counts whole, the oldest
too: what was taken is given back at most one slice late and never early.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.limits.charges import Receipt, bounded

if TYPE_CHECKING:
    from proxy.limits.buckets import Distinct, Rolling
    from proxy.limits.charges import Charge, Found, Settlement

SLICES = 24


@dataclass(slots=True)
class State:
    """taken: units by slice; total: their sum; head: the oldest slice that may hold any."""

    taken: dict[int, int] = field(default_factory=dict)
    total: int = 0
    head: int = 0


@dataclass(slots=True)
class Counter:
    """A rolling sum in memory.

    until: moment after which nothing is left of it, microseconds; 0 where nothing was ever taken
    """

    bucket: Rolling
    live: State = field(default_factory=State)
    until: int = 0

    def look(self, charge: Charge, now: int) -> Found:
        """Return whether a charge fits, and what its receipt is made of."""
        bucket = self.bucket
        live = self.live if self.until else State()  # who only looks leaves nothing behind
        current = advance(live, bucket.slice, now)
        excess = live.total + bounded(charge.cost) - bucket.amount
        free = freed(live, bucket.slice, excess) if excess > 0 else 0
        return excess <= 0, live.total, current, free

    def charge(self, asked: Charge, found: Found, now: int, *, taken: bool) -> Receipt:
        """Take what a charge asks that found this, or leave it; return its receipt."""
        fits, total, current, free = found
        bucket, cost = self.bucket, bounded(asked.cost)
        if taken:
            add(self.live, advance(self.live, bucket.slice, now), cost)
            self.until = now + (SLICES + 2) * bucket.slice
        return receipt(bucket, cost, int(total), current, free, now, fits=fits, taken=taken)

    def correct(self, settlement: Settlement, now: int) -> None:
        """Correct a charge that was taken, unless its slice has gone by."""
        first = now // self.bucket.slice - SLICES
        if self.until and settlement.mark >= max(self.live.head, first):
            add(self.live, settlement.mark, bounded(settlement.delta))


def slice_of(bucket: Rolling | Distinct) -> int:
    """Return the length of a slice, microseconds."""
    return -(-bucket.period // SLICES)


def advance(state: State, width: int, now: int) -> int:
    """Forget the slices that have gone by; return the current one."""
    current = max(now // width, state.head)
    first = current - SLICES
    if state.head < first:
        for gone in [index for index in state.taken if index < first]:
            state.total -= state.taken.pop(gone)
        state.head = first
    return current


def add(state: State, current: int, units: int) -> None:
    """Count units in a slice, never below nothing."""
    before = state.taken.get(current, 0)
    after = max(0, before + units)
    state.taken[current] = after
    state.total += after - before


def freed(state: State, width: int, excess: int) -> int:
    """Return the moment at which so many units will have gone by; 0 when they never will."""
    for index in sorted(state.taken):
        excess -= state.taken[index]
        if excess <= 0:
            return (index + SLICES + 1) * width
    return 0


def receipt(
    bucket: Rolling,
    cost: int,
    total: int,
    current: int,
    free_at: int,
    now: int,
    *,
    fits: bool,
    taken: bool,
) -> Receipt:
    """Return the receipt of a charge that found `total` in the live slices."""
    after = total + cost if taken else total
    wait = 0 if fits else None if cost > bucket.amount else max(1, free_at - now)
    reset = (current + SLICES + 1) * bucket.slice - now if after else 0
    return Receipt(fits, taken, max(0, bucket.amount - after), wait, reset, current)
