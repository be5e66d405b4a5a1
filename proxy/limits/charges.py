"""What a request asks of a bucket, and what the store says to it.

Values that nobody changes once they are made. They are not frozen: a request makes a dozen and more
of them, and a frozen one takes four times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.core.standing import Standing
    from proxy.limits.buckets import Bucket

MOST = 2**48

# What a store finds in one bucket: whether the cost fits, and three numbers that its receipt is
# made of, by kind. rate: level. budget: used, window start. rolling: total, slice, when enough is
# free. lease: held, 0, first deadline. distinct: cells in use, slice, when enough is free.
# exposure: value and step as stored.
Found = tuple[bool, float, int, int]


@dataclass(slots=True)
class Charge:
    """What this request would take from one bucket.

    tag:     the hash tag, for instance 'account:4:acme'; all keys of one script share one
    key:     the bucket's whole key, tag included; `limits.keys` makes it
    bucket:  kind and numbers
    cost:    units to take (>= 0). Lease: 1. Distinct: 1 for a value, 0 to look only
    binding: True when this bucket may refuse; the others are charged whether they overflow or not
    token:   lease: the id of the slot; distinct: the 64-bit fingerprint of the value as 16 hex
             digits; '' otherwise
    """

    tag: str
    key: str
    bucket: Bucket
    cost: int
    binding: bool = True
    token: str = ""


@dataclass(slots=True)
class Receipt:
    """The store's answer to one `Charge`.

    fits:        this bucket had room for the cost
    taken:       the cost was taken: all binding charges fit, or this one is not binding
                 (distinct values are always noted)
    remaining:   units left in the bucket after this charge (never below 0)
    retry_after: microseconds until `cost` would fit if nobody else came; 0 when it fits,
                 None if it never will
    reset:       microseconds until the bucket would be whole again if nobody came
    mark:        where it was taken (window start, slice or step), for `Settlement`; 0 if unused
    """

    fits: bool
    taken: bool
    remaining: int
    retry_after: int | None
    reset: int
    mark: int = 0


@dataclass(slots=True)
class Charged:
    """The store's answer to a plan: all receipts, in the order of its charges.

    admitted: every binding charge fit, and so all were taken
    at:       the store's moment of charge, microseconds since the epoch
    standing: of the account that was asked about; None where it is clear or was not asked for.
              One that has run out is not told
    """

    admitted: bool
    receipts: tuple[Receipt, ...]
    at: int
    standing: Standing | None = None


@dataclass(slots=True)
class Settlement:
    """A correction of one taken charge.

    delta: actual minus reserved, in the bucket's unit; applied also past the limit.
           Ignored by leases, which are given back, and by distinct, which is never taken back
    mark:  from the receipt: a budget window or slice that has gone by is not corrected
    """

    charge: Charge
    delta: int
    mark: int


def bounded(units: int) -> int:
    """Return units that no sum of a store can overflow with; a client may ask for any number.

    >>> bounded(10**30) == MOST, bounded(-(10**30)) == -MOST, bounded(7)
    (True, True, 7)
    """
    if -MOST <= units <= MOST:
        return units
    return MOST if units > 0 else -MOST
