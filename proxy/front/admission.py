"""Charging and settling: what a request takes of its limits, and what it took in the end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from proxy import engine
from proxy.core.decision import Decision, Effect, OnStoreError
from proxy.core.errors import StoreUnavailableError
from proxy.core.shape import NO_SHAPE
from proxy.journal.entries import REFUSED, note_decision
from proxy.limits.buckets import Lease
from proxy.limits.keys import standing_key

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.core.shape import Shape
    from proxy.core.standing import Standing
    from proxy.engine import Context, Plan
    from proxy.front.exchange import Exchange
    from proxy.front.raising import Levels
    from proxy.limits.charges import Charge, Charged
    from proxy.metrics import Metrics
    from proxy.policy.compiled import PolicySet
    from proxy.policy.models import Models
    from proxy.ports import CounterStore
    from proxy.store.memory import MemoryStore
    from proxy.watch.features import Features

RENEW_SECONDS = 20
MOST_STANDINGS = 100_000


@dataclass(frozen=True, slots=True)
class Rules:
    """The policies and models in force; a reload puts others in their place."""

    policies: PolicySet
    models: Models


@dataclass(slots=True)
class Admission:
    """The counters of a worker: the store, and the process's own for when it is away.

    replicas: processes that share an amount while the store is away
    held:     concurrency slots of running answers, by decision id
    standings: those of accounts seen last, for when the store is away
    levels:    writes the levels that limits raise; None where nobody does
    """

    store: CounterStore
    local: MemoryStore
    context: Context
    metrics: Metrics
    replicas: int
    held: dict[str, list[Charge]] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    levels: Levels | None = None

    async def admit(
        self,
        exchange: Exchange,
        facts: RequestFacts,
        principal: Principal,
        address: str,
        rules: Rules,
        shape: Shape = NO_SHAPE,
        features: Features | None = None,
    ) -> Decision:
        """Charge and decide; the exchange keeps what was counted, its record what was decided.

        shape:    what an object was made in that the request reads; it holds beside all others
        features: of what is asked, for limits on templates and topics
        """
        record = exchange.record
        plan = exchange.plan = engine.plan(
            facts,
            principal,
            address,
            rules.policies,
            rules.models.find(facts.model),
            context=self.context,
            lease_id=record.id,
            features=features,
        )
        record.policies = rules.policies.digest
        if plan.refused:
            decision = engine.decide_forbidden(plan)
        else:
            decision = await self._charged(exchange, plan, principal.account)
        if shape is not NO_SHAPE and decision.effect is not Effect.REFUSE:
            decision = engine.reshaped(decision, shape)
        self.metrics.decided(decision)
        note_decision(record, decision)
        if decision.effect is not Effect.REFUSE:
            self._hold(record.id, plan, blind=decision.blind)
        return decision

    async def _charged(self, exchange: Exchange, plan: Plan, account: str) -> Decision:
        """Charge a plan in the store, or decide without it."""
        record = exchange.record
        _, key = standing_key(self.context.env, account)
        before = exchange.since()
        try:
            charged = await self.store.charge(plan.charges, standing=key)
        except StoreUnavailableError:
            exchange.local, charged = self._locally(plan)
            standing = self._remembered(account)
            decision = engine.decide_blind(plan, exchange.local, charged, standing)
        else:
            record.charged_at = charged.at
            self._remember(account, charged.standing)
            decision = engine.decide(plan, charged)
            if decision.raised and self.levels is not None:
                self.levels.note(account, decision, charged)
        exchange.charged = charged
        after = exchange.since()
        record.timings.store = after - before
        self.metrics.store_seconds.observe((after - before) / 1e6)
        self.metrics.admission_seconds.observe(after / 1e6)
        return decision

    def turn_away(self, exchange: Exchange, decision: Decision) -> Decision:
        """Refuse after all what was let in to be delayed: too many are waiting already."""
        refused = engine.turned_away(decision)
        note_decision(exchange.record, refused)
        return refused

    async def settle(self, exchange: Exchange) -> None:
        """Make the charges what the exchange really took; give its slots back."""
        plan, charged = exchange.plan, exchange.charged
        self.held.pop(exchange.record.id, None)
        if plan is None or charged is None:
            return
        spent = (exchange.spent.prompt, exchange.spent.output, exchange.spent.cached)
        if exchange.local is None:
            if exchange.record.end == REFUSED and charged.admitted:
                # There was room, but the account's standing or a full waiting room said no.
                settlements = engine.undo(plan, charged)
            else:
                settlements = engine.settle(plan, charged, *spent, going_on=exchange.kept)
            if settlements:
                exchange.record.settled_at = await self.store.settle(settlements)
            return
        self.local.settle_now(
            engine.settle(exchange.local, charged, *spent), time.time_ns() // 1000
        )
        if exchange.record.end != REFUSED:
            await self.store.debit(engine.debits(plan, *spent))

    async def renew(self) -> None:
        """Keep the concurrency slots of running answers; a worker runs this all its life."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            leases = [charge for held in self.held.values() for charge in held]
            if leases:
                await self.store.renew(leases)

    async def settle_reservation(
        self, reservation: bytes, exchange: Exchange, spent: tuple[int, int, int]
    ) -> int | None:
        """Correct what an earlier request reserved to what its result took in the end.

        spent: prompt, output and cached tokens
        Returns the store's moment, None where it said none.
        """
        assert exchange.plan is not None
        settlements = engine.settle_reservation(reservation, exchange.plan.model, *spent)
        return await self.store.settle(settlements) if settlements else None

    def _remember(self, account: str, standing: Standing | None) -> None:
        if standing is None:
            if self.standings:
                self.standings.pop(account, None)
            return
        if len(self.standings) >= MOST_STANDINGS and account not in self.standings:
            self.standings.pop(next(iter(self.standings)))
        self.standings[account] = standing

    def _remembered(self, account: str) -> Standing | None:
        standing = self.standings.get(account)
        return None if standing is None else standing.at(time.time_ns() // 1000)

    def _hold(self, lease_id: str, plan: Plan, *, blind: bool) -> None:
        leases = [charge for charge in plan.charges if isinstance(charge.bucket, Lease)]
        if leases and not blind:
            self.held[lease_id] = leases

    def _locally(self, plan: Plan) -> tuple[Plan, Charged]:
        """Count in the process what says so; nothing where another limit refuses anyway."""
        denied = any(
            charge.binding and limit.on_store_error is OnStoreError.DENY
            for limit, charge in zip(plan.limits, plan.charges, strict=True)
        )
        local = engine.local_plan(plan, self.replicas)
        if denied:
            local = replace(local, limits=(), charges=())
        return local, self.local.charge_now(local.charges, time.time_ns() // 1000)
