"""Counters in memory: one object a bucket, which looks, takes and corrects as its Lua twin does.

All have a `bucket`, which may change its numbers when a policy is edited, and `until`, the moment
after which a bucket would be found empty and need not be kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.limits import budget, distinct, exposure, lease, rate, rolling
from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling

if TYPE_CHECKING:
    from proxy.limits.buckets import Bucket

Counter = (
    rate.Counter
    | budget.Counter
    | rolling.Counter
    | lease.Counter
    | distinct.Counter
    | exposure.Counter
)


def counter_of(bucket: Bucket) -> Counter:
    """Return an empty counter of a bucket's kind."""
    match bucket:
        case Rate():
            return rate.Counter(bucket)
        case Budget():
            return budget.Counter(bucket)
        case Rolling():
            return rolling.Counter(bucket)
        case Lease():
            return lease.Counter(bucket)
        case Distinct():
            return distinct.Counter(bucket)
        case Exposure():
            return exposure.Counter(bucket)
