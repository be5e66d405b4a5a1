"""Charging and settling: what a request takes of its limits, and what it took in the end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from proxy import engine
from proxy.core.decision import Effect, OnStoreError
from proxy.core.errors import StoreUnavailableError
from proxy.limits.buckets import Lease

if TYPE_CHECKING:
    from proxy.core.decision import Decision
    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.engine import Context, Plan
    from proxy.front.exchange import Exchange
    from proxy.limits.charges import Charge, Charged
    from proxy.metrics import Metrics
    from proxy.policy.compiled import PolicySet
    from proxy.policy.models import Models
    from proxy.ports import CounterStore
    from proxy.store.memory import MemoryStore

RENEW_SECONDS = 20
REFUSED = "refused"


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
    """

    store: CounterStore
    local: MemoryStore
    context: Context
    metrics: Metrics
    replicas: int
    held: dict[str, list[Charge]] = field(default_factory=dict)

    async def admit(
        self,
        exchange: Exchange,
        facts: RequestFacts,
        principal: Principal,
        address: str,
        rules: Rules,
    ) -> Decision:
        """Charge and decide; the exchange keeps what was counted, its record what was decided."""
        record = exchange.record
        plan = exchange.plan = engine.plan(
            facts,
            principal,
            address,
            rules.policies,
            rules.models.find(facts.model),
            context=self.context,
            lease_id=record.id,
        )
        record.policies = rules.policies.digest
        before = exchange.since()
        try:
            charged = await self.store.charge(plan.charges)
        except StoreUnavailableError:
            exchange.local, charged = self._locally(plan)
            decision = engine.decide_blind(plan, exchange.local, charged)
        else:
            record.charged_at = charged.at
            decision = engine.decide(plan, charged)
        exchange.charged = charged
        after = exchange.since()
        record.timings.store = after - before
        self.metrics.store_seconds.observe((after - before) / 1e6)
        self.metrics.admission_seconds.observe(after / 1e6)
        self.metrics.decided(decision)
        record.effect, record.blind = decision.effect.value, decision.blind
        record.reasons = [
            f"{reason.code}:{reason.policy}/{reason.limit}"
            for reason in (*decision.reasons, *decision.shadowed)
        ]
        if decision.effect is Effect.REFUSE:
            record.end, record.code = REFUSED, decision.reasons[0].code
        else:
            self._hold(record.id, plan, blind=decision.blind)
        return decision

    async def settle(self, exchange: Exchange) -> None:
        """Make the charges what the exchange really took; give its slots back."""
        plan, charged = exchange.plan, exchange.charged
        self.held.pop(exchange.record.id, None)
        if plan is None or charged is None:
            return
        spent = (exchange.prompt, exchange.output, exchange.cached)
        if exchange.local is None:
            settlements = engine.settle(plan, charged, *spent)
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
