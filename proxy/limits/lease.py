"""Lease: so many at once. A slot is held until a deadline, pushed on while its answer runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.limits.charges import Receipt

if TYPE_CHECKING:
    from proxy.limits.buckets import Lease

LONGEST_WAIT = 1_000_000


def receipt(
    bucket: Lease, cost: int, held: int, earliest: int, now: int, *, fits: bool, taken: bool
) -> Receipt:
    """Return the receipt of a charge that found `held` slots in use.

    Nobody knows when an answer will end: the wait told is the first deadline, at most a second.
    """
    after = held + cost if taken else held
    wait = 0 if fits else None if cost > bucket.amount else _wait(earliest, now)
    return Receipt(
        fits=fits,
        taken=taken,
        remaining=max(0, bucket.amount - after),
        retry_after=wait,
        reset=bucket.hold if after else 0,
    )


def _wait(earliest: int, now: int) -> int:
    return min(max(1, earliest - now), LONGEST_WAIT)
