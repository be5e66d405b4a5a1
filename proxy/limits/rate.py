"""Rate: the generic cell rate algorithm, weighted, as its continuous-state leaky bucket.

ITU-T I.371 gives both forms and shows them equal. This one keeps the level that has not drained
yet, in units of 1/scale, so that amount/period is an exact fraction and nothing is rounded:
`7 per 1s` lets exactly 7 through at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from proxy.limits.charges import Receipt, bounded

if TYPE_CHECKING:
    from proxy.limits.buckets import Rate
    from proxy.limits.charges import Charge, Found, Settlement

EXACT = 2**50
FULL = 2**52


class Gauge(NamedTuple):
    """A rate in whole numbers: a unit is `scale` of level, and `drain` runs off a microsecond."""

    scale: int
    drain: int
    capacity: int


@dataclass(slots=True)
class Counter:
    """A rate in memory.

    level: in 1/scale of a unit, as of `stamp` (microseconds)
    until: moment after which nothing is left of it, microseconds
    """

    bucket: Rate
    level: int = 0
    stamp: int = 0
    scale: int = 1
    until: int = 0

    def look(self, charge: Charge, now: int) -> Found:
        """Return whether a charge fits, and what its receipt is made of."""
        gauge = self.bucket.gauge
        level = self.left(now)
        return level + scaled(gauge, bounded(charge.cost)) <= gauge.capacity, level, 0, 0

    def charge(self, asked: Charge, found: Found, now: int, *, taken: bool) -> Receipt:
        """Take what a charge asks that found this, or leave it; return its receipt."""
        fits, before, _, _ = found
        level, cost = int(before), bounded(asked.cost)
        if taken:
            self._stand(level, cost, now)
        return receipt(self.bucket, cost, level, fits=fits, taken=taken)

    def correct(self, settlement: Settlement, now: int) -> None:
        """Correct a charge that was taken."""
        self._stand(self.left(now), bounded(settlement.delta), now)

    def left(self, now: int) -> int:
        """Return the level drained up to now, in the gauge's scale. A clock that went back waits.

        >>> from proxy.limits.buckets import Rate
        >>> Counter(Rate(60, 60_000_000, 20), 5_000_000, 0, 1_000_000).left(2_000_000)
        3000000
        """
        gauge = self.bucket.gauge
        level = self.level
        if self.scale != gauge.scale:
            # As Lua computes it: in doubles, rounded up. Happens once after a policy was edited.
            level = math.ceil(float(level) * float(gauge.scale) / float(self.scale))
            level = min(FULL, level)
        if now <= self.stamp:
            return level
        return max(0, level - (now - self.stamp) * gauge.drain)

    def _stand(self, level: int, units: int, now: int) -> None:
        gauge = self.bucket.gauge
        self.level = raised(level, scaled(gauge, units))
        self.stamp = max(now, self.stamp)
        self.scale = gauge.scale
        self.until = now + self.level // gauge.drain + 1


def gauge(bucket: Rate) -> Gauge:
    """Return the rate as whole numbers below 2^50, exact wherever that is possible.

    >>> from proxy.limits.buckets import Rate
    >>> Rate(60, 60_000_000, 20).gauge
    Gauge(scale=1000000, drain=1, capacity=20000000)
    """
    most = max(1, EXACT // bucket.burst)
    rate = Fraction(bucket.amount, bucket.period)
    if rate.denominator > most:
        # Not below the smallest rate that can be told, or the bucket would never drain.
        rate = max(rate.limit_denominator(most), Fraction(1, most))
    return Gauge(rate.denominator, rate.numerator, bucket.burst * rate.denominator)


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
    after = level + by
    if 0 <= after <= FULL:
        return after
    return FULL if after > 0 else 0


def receipt(bucket: Rate, cost: int, before: int, *, fits: bool, taken: bool) -> Receipt:
    """Return the receipt of a charge that found the level `before`."""
    gauge = bucket.gauge
    asked = scaled(gauge, cost)
    after = raised(before, asked) if taken else before
    if fits:
        wait: int | None = 0
    elif cost > bucket.burst:
        wait = None
    else:
        wait = -((gauge.capacity - before - asked) // gauge.drain)
    remaining = max(0, (gauge.capacity - after) // gauge.scale)
    return Receipt(fits, taken, remaining, wait, -(-after // gauge.drain))
