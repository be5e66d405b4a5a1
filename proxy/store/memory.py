"""The counters in memory: the reference model of the Redis scripts, and the store of replay.

Every branch here has its twin in `lua/charge.lua` and `lua/settle.lua`; one conformance suite
runs on both.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from proxy.limits import budget, distinct, exposure, lease, rate, rolling
from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling
from proxy.limits.charges import Charged, bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.core.standing import Standing
    from proxy.limits.charges import Charge, Receipt, Settlement

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
        self._rates: dict[str, rate.State] = {}
        self._budgets: dict[str, budget.State] = {}
        self._rolling: dict[str, rolling.State] = {}
        self._leases: dict[str, dict[str, int]] = {}
        self._distinct: dict[str, distinct.State] = {}
        self._exposures: dict[str, exposure.State] = {}
        self._until: dict[str, int] = {}
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
        return len(self._until)

    def charge_now(self, charges: Sequence[Charge], now: int, standing: str = "") -> Charged:
        """Do what `charge` does, at once."""
        once(charges)
        found = [self._look(charge, now) for charge in charges]
        admitted = all(
            fits or not charge.binding for charge, (fits, *_) in zip(charges, found, strict=True)
        )
        receipts = []
        for charge, (fits, x, y, z) in zip(charges, found, strict=True):
            taken = admitted or not charge.binding
            if taken:
                self._take(charge, now)
            receipts.append(receipt(charge, now, x, y, z, fits=fits, taken=taken))
        self._charges += 1
        if self._charges % SWEEP == 0:
            self._sweep(now)
        kept = self.standings.get(standing)
        told = kept if kept is not None and kept.holds(now) else None
        return Charged(admitted, tuple(receipts), now, told)

    def settle_now(self, settlements: Sequence[Settlement], now: int) -> None:
        """Do what `settle` does, at once."""
        for settlement in settlements:
            self._correct(settlement, now)

    def renew_now(self, charge: Charge, now: int) -> None:
        """Push the deadline of one held lease to a moment and its hold."""
        held = self._leases.get(charge.key, {})
        if charge.token in held and isinstance(charge.bucket, Lease):
            held[charge.token] = now + charge.bucket.hold
            self._until[charge.key] = max(self._until[charge.key], now + charge.bucket.hold)

    def _look(self, charge: Charge, now: int) -> tuple[bool, float, int, int]:
        """Return whether a charge fits and the three numbers that its receipt is made of."""
        key, cost = charge.key, bounded(charge.cost)
        match charge.bucket:
            case Rate() as bucket:
                gauge = rate.gauge(bucket)
                state = rate.level(self._rates.get(key, rate.EMPTY), gauge, now)
                fits = state.level + rate.scaled(gauge, cost) <= gauge.capacity
                return fits, state.level, 0, 0
            case Budget() as bucket:
                began, used = self._window(key, bucket, now)
                return used + cost <= bucket.amount, used, began, 0
            case Rolling() as bucket:
                live = self._rolling.get(key) or rolling.State()
                width = rolling.slice_of(bucket)
                current = rolling.advance(live, width, now)
                excess = live.total + cost - bucket.amount
                free = rolling.freed(live, width, excess) if excess > 0 else 0
                return excess <= 0, live.total, current, free
            case Lease() as bucket:
                held = self._leases.get(key, {})
                for token in [token for token, until in held.items() if until <= now]:
                    del held[token]
                fits = len(held) + cost <= bucket.amount
                return fits, len(held), 0, 0 if fits else min(held.values(), default=0)
            case Distinct() as bucket:
                return self._note(charge, bucket, now)
            case Exposure() as bucket:
                stored = self._exposures.get(key, exposure.EMPTY)
                value, _ = self._exposure(key, bucket, now)
                return value + cost <= bucket.amount, stored.value, stored.step, 0

    def _note(self, charge: Charge, bucket: Distinct, now: int) -> tuple[bool, int, int, int]:
        state = self._distinct.get(charge.key) or distinct.State()
        width = rolling.slice_of(bucket)
        current = rolling.advance(state.live, width, now)
        if charge.cost:
            self._distinct[charge.key] = state
            distinct.note(state, distinct.cell(bucket, charge.token), current)
            self._until[charge.key] = now + (rolling.SLICES + 2) * width
        excess = state.live.total - distinct.most_cells(bucket)
        free = rolling.freed(state.live, width, excess) if excess > 0 else 0
        return excess <= 0, state.live.total, current, free

    def _take(self, charge: Charge, now: int) -> None:
        key, cost = charge.key, bounded(charge.cost)
        match charge.bucket:
            case Rate() as bucket:
                self._drip(key, bucket, cost, now)
            case Budget() as bucket:
                began, used = self._window(key, bucket, now)
                self._budgets[key] = budget.State(began, used + cost)
                self._until[key] = budget.end(bucket.window, began)
            case Rolling() as bucket:
                state = self._rolling.setdefault(key, rolling.State())
                width = rolling.slice_of(bucket)
                rolling.add(state, rolling.advance(state, width, now), cost)
                self._until[key] = now + (rolling.SLICES + 2) * width
            case Lease() as bucket:
                self._leases.setdefault(key, {})[charge.token] = now + bucket.hold
                self._until[key] = now + bucket.hold
            case Distinct():
                pass  # noted already
            case Exposure() as bucket:
                value, step = self._exposure(key, bucket, now)
                self._exposures[key] = exposure.State(value + cost, step)
                self._until[key] = now + 40 * bucket.half_life

    def _correct(self, settlement: Settlement, now: int) -> None:
        charge, delta, mark = settlement.charge, bounded(settlement.delta), settlement.mark
        key = charge.key
        match charge.bucket:
            case Rate() as bucket:
                self._drip(key, bucket, delta, now)
            case Budget():
                state = self._budgets.get(key)
                if state is not None and state.start == mark:
                    self._budgets[key] = budget.State(mark, max(0, state.used + delta))
            case Rolling() as bucket:
                live = self._rolling.get(key)
                first = now // rolling.slice_of(bucket) - rolling.SLICES
                if live is not None and mark >= max(live.head, first):
                    rolling.add(live, mark, delta)
            case Lease():
                self._leases.get(key, {}).pop(charge.token, None)
            case Distinct():
                pass  # what was asked stays asked
            case Exposure() as bucket:
                value, step = self._exposure(key, bucket, now)
                value = max(0.0, value + exposure.decayed(float(delta), step - mark))
                self._exposures[key] = exposure.State(value, step)
                self._until[key] = now + 40 * bucket.half_life

    def _drip(self, key: str, bucket: Rate, units: int, now: int) -> None:
        gauge = rate.gauge(bucket)
        state = rate.level(self._rates.get(key, rate.EMPTY), gauge, now)
        level = rate.raised(state.level, rate.scaled(gauge, units))
        self._rates[key] = rate.State(level, state.stamp, gauge.scale)
        self._until[key] = now + level // gauge.drain + 1

    def _window(self, key: str, bucket: Budget, now: int) -> tuple[int, int]:
        state = self._budgets.get(key, budget.EMPTY)
        began = max(budget.start(bucket.window, now), state.start)
        return began, state.used if state.start == began else 0

    def _exposure(self, key: str, bucket: Exposure, now: int) -> exposure.State:
        state = self._exposures.get(key, exposure.EMPTY)
        step = max(now // exposure.step_of(bucket), state.step)
        return exposure.State(exposure.decayed(state.value, step - state.step), step)

    def _sweep(self, now: int) -> None:
        """Forget the buckets that would be found empty, and the standings that have run out."""
        for key in [key for key, kept in self.standings.items() if not kept.holds(now)]:
            del self.standings[key]
        for key in [key for key, until in self._until.items() if until < now]:
            del self._until[key]
            for kind in (
                self._rates, self._budgets, self._rolling,
                self._leases, self._distinct, self._exposures,
            ):  # fmt: skip
                kind.pop(key, None)


def once(charges: Sequence[Charge]) -> None:
    """Refuse a plan that names a bucket twice; ValueError."""
    if len({charge.key for charge in charges}) != len(charges):
        raise ValueError("a plan charges each bucket once")


def receipt(
    charge: Charge, now: int, x: float, y: int, z: int, *, fits: bool, taken: bool
) -> Receipt:
    """Return the receipt of what a store found: the same for both stores.

    x, y, z by kind: rate: level. budget: used, window start. rolling: total, slice, when enough
    is free. lease: held, 0, first deadline. distinct: cells in use, slice, when enough is free.
    exposure: value and step as stored.
    """
    cost, whole = bounded(charge.cost), int(x)
    match charge.bucket:
        case Rate() as bucket:
            return rate.receipt(bucket, cost, whole, fits=fits, taken=taken)
        case Budget() as bucket:
            return budget.receipt(bucket, cost, whole, y, now, fits=fits, taken=taken)
        case Rolling() as bucket:
            return rolling.receipt(bucket, cost, whole, y, z, now, fits=fits, taken=taken)
        case Lease() as bucket:
            return lease.receipt(bucket, cost, whole, z, now, fits=fits, taken=taken)
        case Distinct() as bucket:
            return distinct.receipt(bucket, whole, y, z, now, fits=fits)
        case Exposure() as bucket:
            return exposure.receipt(bucket, cost, x, y, now, fits=fits, taken=taken)
