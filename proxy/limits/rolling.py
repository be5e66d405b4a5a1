"""Rolling: never more than the amount in any stretch of the period, to the precision of a slice.

The period is cut in 24 slices, and every slice that the period touches counts whole, the oldest
too: what was taken is given back at most one slice late and never early.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.limits.charges import Receipt

if TYPE_CHECKING:
    from proxy.limits.buckets import Distinct, Rolling

SLICES = 24


@dataclass(slots=True)
class State:
    """taken: units by slice; total: their sum; head: the oldest slice that may hold any."""

    taken: dict[int, int] = field(default_factory=dict)
    total: int = 0
    head: int = 0


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
    return Receipt(
        fits=fits,
        taken=taken,
        remaining=max(0, bucket.amount - after),
        retry_after=wait,
        reset=(current + SLICES + 1) * slice_of(bucket) - now if after else 0,
        mark=current,
    )
