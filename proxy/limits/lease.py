"""Lease: so many at once. A slot is held until a deadline, pushed on while its answer runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.limits.charges import Receipt, bounded

if TYPE_CHECKING:
    from proxy.limits.buckets import Lease
    from proxy.limits.charges import Charge, Found, Settlement

LONGEST_WAIT = 1_000_000


@dataclass(slots=True)
class Counter:
    """Slots in memory.

    held:  deadlines by the slots' ids, microseconds
    until: the last of all deadlines, microseconds
    """

    bucket: Lease
    held: dict[str, int] = field(default_factory=dict)
    until: int = 0

    def look(self, charge: Charge, now: int) -> Found:
        """Return whether a charge fits, and what its receipt is made of."""
        held = self.held
        for token in [token for token, until in held.items() if until <= now]:
            del held[token]
        fits = len(held) + bounded(charge.cost) <= self.bucket.amount
        return fits, len(held), 0, 0 if fits else min(held.values(), default=0)

    def charge(self, asked: Charge, found: Found, now: int, *, taken: bool) -> Receipt:
        """Take the slot that a charge asks for that found this, or none; return its receipt."""
        fits, held, _, earliest = found
        if taken:
            self._hold(asked.token, now)
        cost = bounded(asked.cost)
        return receipt(self.bucket, cost, int(held), earliest, now, fits=fits, taken=taken)

    def correct(self, settlement: Settlement, _now: int) -> None:
        """Give a slot back."""
        self.held.pop(settlement.charge.token, None)

    def renew(self, charge: Charge, now: int) -> None:
        """Push the deadline of a slot on that is still held."""
        if charge.token in self.held:
            self._hold(charge.token, now)

    def _hold(self, token: str, now: int) -> None:
        deadline = now + self.bucket.hold
        self.held[token] = deadline
        self.until = max(self.until, deadline)


def receipt(
    bucket: Lease, cost: int, held: int, earliest: int, now: int, *, fits: bool, taken: bool
) -> Receipt:
    """Return the receipt of a charge that found `held` slots in use.

    Nobody knows when an answer will end: the wait told is the first deadline, at most a second.
    """
    after = held + cost if taken else held
    wait = 0 if fits else None if cost > bucket.amount else _wait(earliest, now)
    reset = bucket.hold if after else 0
    return Receipt(fits, taken, max(0, bucket.amount - after), wait, reset)


def _wait(earliest: int, now: int) -> int:
    return min(max(1, earliest - now), LONGEST_WAIT)
