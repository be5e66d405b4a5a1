"""The counters in memory: the reference model of the Redis scripts, and the store of replay.

The counters of each kind (`limits.counters`) have their twins in `lua/charge.lua` and
`lua/settle.lua`; one conformance suite runs on both.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from proxy.limits import lease
from proxy.limits.charges import Charged
from proxy.limits.counters import counter_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.core.standing import Standing
    from proxy.limits.charges import Charge, Settlement
    from proxy.limits.counters import Counter

SWEEP = 4096


def microseconds() -> int:
    """Return the time of day, microseconds since the epoch."""
    return time.time_ns() // 1000


class MemoryStore:
    """Counters of one process; fills `ports.CounterStore`. Gone when the process ends.

    standings: by their keys; `MemoryStandings` fills it
    """

    breaker_open = False
    backlog = ()
    unreadable = 0

    def __init__(self, clock: Callable[[], int] = microseconds) -> None:
        self._clock = clock
        self._counters: dict[str, Counter] = {}
        self._charges = 0
        self.standings: dict[str, Standing] = {}

    async def charge(
        self, charges: Sequence[Charge], now: int | None = None, standing: str = ""
    ) -> Charged:
        """Take every charge, or only the non-binding ones; tell a standing. Never fails."""
        return self.charge_now(charges, self._clock() if now is None else now, standing)

    async def settle(self, settlements: Sequence[Settlement], now: int | None = None) -> int:
        """Correct taken charges and give leases back; return the moment."""
        moment = self._clock() if now is None else now
        self.settle_now(settlements, moment)
        return moment

    async def debit(self, charges: Sequence[Charge], now: int | None = None) -> None:
        """Count what was served unasked."""
        await self.charge(charges, now)

    async def renew(self, leases: Sequence[Charge], now: int | None = None) -> None:
        """Push the deadlines of held leases on."""
        moment = self._clock() if now is None else now
        for charge in leases:
            self.renew_now(charge, moment)

    async def ping(self) -> None:
        """Return: memory answers."""

    async def close(self) -> None:
        """Let go of nothing."""

    def __len__(self) -> int:
        return len(self._counters)

    def charge_now(self, charges: Sequence[Charge], now: int, standing: str = "") -> Charged:
        """Do what `charge` does, at once."""
        once(charges)
        admitted = True
        looks = []
        for charge in charges:
            counter = self._counter(charge)
            found = counter.look(charge, now)
            looks.append((charge, counter, found))
            if charge.binding and not found[0]:
                admitted = False
        receipts = [
            counter.charge(charge, found, now, taken=admitted or not charge.binding)
            for charge, counter, found in looks
        ]
        self._charges += 1
        if self._charges >= max(SWEEP, len(self._counters)):
            self._charges = 0
            self._sweep(now)
        kept = self.standings.get(standing)
        told = None if kept is None else kept.at(now)
        return Charged(admitted, tuple(receipts), now, told)

    def settle_now(self, settlements: Sequence[Settlement], now: int) -> None:
        """Do what `settle` does, at once."""
        for settlement in settlements:
            self._counter(settlement.charge).correct(settlement, now)

    def renew_now(self, charge: Charge, now: int) -> None:
        """Push the deadline of one held lease to a moment and its hold."""
        counter = self._counter(charge)
        if isinstance(counter, lease.Counter):
            counter.renew(charge, now)

    def _counter(self, charge: Charge) -> Counter:
        counter = self._counters.get(charge.key)
        if counter is None:
            counter = self._counters[charge.key] = counter_of(charge.bucket)
        elif counter.bucket is not charge.bucket:
            # With other numbers, where a policy was edited; of the same kind, as the key says it.
            counter.bucket = charge.bucket
        return counter

    def _sweep(self, now: int) -> None:
        """Forget the buckets that would be found empty, and the standings that have run out."""
        for key in [key for key, kept in self.standings.items() if kept.ends <= now]:
            del self.standings[key]
        for key in [key for key, counter in self._counters.items() if counter.until < now]:
            del self._counters[key]


def once(charges: Sequence[Charge]) -> None:
    """Refuse a plan that names a bucket twice; ValueError."""
    if len({charge.key for charge in charges}) != len(charges):
        raise ValueError("a plan charges each bucket once")
