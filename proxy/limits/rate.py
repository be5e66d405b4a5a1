"""Rate: the generic cell rate algorithm, weighted, as its continuous-state leaky bucket.

ITU-T I.371 gives both forms and shows them equal. This one keeps the level that has not drained
yet, in units of 1/scale, so that amount/period is an exact fraction and nothing is rounded:
`7 per 1s` lets exactly 7 through at once.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from proxy.limits.charges import Receipt

if TYPE_CHECKING:
    from proxy.limits.buckets import Rate

EXACT = 2**50
FULL = 2**52


class Gauge(NamedTuple):
    """A rate in whole numbers: a unit is `scale` of level, and `drain` runs off a microsecond."""

    scale: int
    drain: int
    capacity: int


class State(NamedTuple):
    """level: in 1/scale of a unit, as of `stamp` (microseconds)."""

    level: int
    stamp: int
    scale: int


EMPTY = State(0, 0, 1)


@lru_cache(maxsize=4096)
def gauge(bucket: Rate) -> Gauge:
    """Return the rate as whole numbers below 2^50, exact wherever that is possible.

    >>> from proxy.limits.buckets import Rate
    >>> gauge(Rate(60, 60_000_000, 20))
    Gauge(scale=1000000, drain=1, capacity=20000000)
    """
    most = max(1, EXACT // bucket.burst)
    rate = Fraction(bucket.amount, bucket.period)
    if rate.denominator > most:
        # Not below the smallest rate that can be told, or the bucket would never drain.
        rate = max(rate.limit_denominator(most), Fraction(1, most))
    return Gauge(rate.denominator, rate.numerator, bucket.burst * rate.denominator)


def level(state: State, gauge: Gauge, now: int) -> State:
    """Return the state drained up to now, in the gauge's scale. A clock that went back waits."""
    standing = state.level
    if state.scale != gauge.scale:
        # As Lua computes it: in doubles, rounded up. Happens once after a policy was edited.
        standing = math.ceil(float(standing) * float(gauge.scale) / float(state.scale))
        standing = min(FULL, standing)
    passed = max(0, now - state.stamp)
    return State(max(0, standing - passed * gauge.drain), max(now, state.stamp), gauge.scale)


def scaled(gauge: Gauge, units: int) -> int:
    """Return units as level. What is more than any capacity stays countable in doubles.

    >>> scaled(Gauge(1000, 1, 20_000), 20), scaled(Gauge(1000, 1, 20_000), 10**30) == FULL
    (20000, True)
    """
    level = units * gauge.scale
    if -FULL <= level <= FULL:
        return level
    return FULL if level > 0 else -FULL


def raised(level: int, by: int) -> int:
    """Return the level after a charge or correction: never below empty, never above FULL."""
    return max(0, min(FULL, level + by))


def receipt(bucket: Rate, cost: int, before: int, *, fits: bool, taken: bool) -> Receipt:
    """Return the receipt of a charge that found the level `before`."""
    with_ = gauge(bucket)
    asked = scaled(with_, cost)
    after = raised(before, asked) if taken else before
    if fits:
        wait: int | None = 0
    elif cost > bucket.burst:
        wait = None
    else:
        wait = -((with_.capacity - before - asked) // with_.drain)
    return Receipt(
        fits=fits,
        taken=taken,
        remaining=max(0, (with_.capacity - after) // with_.scale),
        retry_after=wait,
        reset=-(-after // with_.drain),
    )
