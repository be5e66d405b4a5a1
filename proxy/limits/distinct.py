"""Distinct: how many differing values in any stretch of the period, in constant memory.

Linear counting (Whang, Vander-Zanden and Taylor 1990): a value falls into one of m cells, and from
the k cells in use the number of values is estimated as -m ln(1 - k/m). A cell keeps the slice in
which it was last seen, so the count forgets by itself and costs the same for one value as for
many. Every value is noted, also that of a refused request: it was asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from proxy.limits import rolling
from proxy.limits.charges import Receipt

if TYPE_CHECKING:
    from proxy.limits.buckets import Distinct

FEWEST, MOST = 4096, 131_072
ROUND = 65_535  # a cell has two bytes; 0 says never


@dataclass(slots=True)
class State:
    """seen: the slice in which each cell was last seen; live: cells by that slice."""

    seen: dict[int, int] = field(default_factory=dict)
    live: rolling.State = field(default_factory=rolling.State)


@lru_cache(maxsize=4096)
def cells(bucket: Distinct) -> int:
    """Return m: a power of two, at least four times the amount where memory allows.

    >>> from proxy.limits.buckets import Distinct
    >>> cells(Distinct(400, 1)), cells(Distinct(10_000, 1))
    (4096, 65536)
    """
    return min(MOST, max(FEWEST, 1 << (4 * bucket.amount - 1).bit_length()))


def estimate(used: int, of: int) -> int:
    """Return the number of values that `used` of so many cells stand for."""
    if used >= of:
        return round(of * math.log(of))
    return round(-of * math.log1p(-used / of))


@lru_cache(maxsize=4096)
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
    return int(fingerprint, 16) % cells(bucket)


def note(state: State, index: int, current: int) -> None:
    """Note a value in the current slice; `state.live` is advanced already."""
    before = state.seen.get(index)
    if before is not None and before >= current:
        return  # later than now where a clock went back: it is counted there
    if before is not None and before >= current - rolling.SLICES:
        rolling.add(state.live, before, -1)
    rolling.add(state.live, current, 1)
    state.seen[index] = current


def receipt(
    bucket: Distinct, used: int, current: int, free_at: int, now: int, *, fits: bool
) -> Receipt:
    """Return the receipt of a charge that left `used` cells in use."""
    return Receipt(
        fits=fits,
        taken=True,
        remaining=max(0, bucket.amount - estimate(used, cells(bucket))),
        retry_after=0 if fits else max(1, free_at - now),
        reset=(current + rolling.SLICES + 1) * rolling.slice_of(bucket) - now if used else 0,
        mark=current,
    )
