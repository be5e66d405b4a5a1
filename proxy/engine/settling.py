"""Settling: making charges what an exchange really took, or taking them back. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from proxy.engine.planning import costs
from proxy.limits.buckets import Distinct, Lease
from proxy.limits.charges import Charge, Charged, Settlement

if TYPE_CHECKING:
    from proxy.engine.planning import Plan
    from proxy.policy.compiled import Limit, Model


def settle(
    plan: Plan,
    charged: Charged,
    prompt: int,
    output: int,
    cached: int = 0,
    *,
    going_on: bool = False,
) -> list[Settlement]:
    """Return the corrections that make the charges what the exchange really took.

    prompt, output: tokens in the end. Values asked for stay noted. Leases are given back, unless
    the answer is still being made: then they end by themselves, or with the reservation.
    """
    took = costs(prompt, output, plan.model, cached)
    settlements = []
    for limit, charge, receipt in zip(plan.limits, plan.charges, charged.receipts, strict=True):
        if not receipt.taken or isinstance(charge.bucket, Distinct):
            continue
        if isinstance(charge.bucket, Lease):
            if not going_on:
                settlements.append(Settlement(charge, 0, receipt.mark))
            continue
        delta = took[limit.unit] - charge.cost
        if delta:
            settlements.append(Settlement(charge, delta, receipt.mark))
    return settlements


def undo(plan: Plan, charged: Charged) -> list[Settlement]:
    """Return the corrections that give back all that was taken, the request itself too.

    For a request that is refused after it was charged. Values asked for stay noted.
    """
    return [
        Settlement(charge, 0 if isinstance(charge.bucket, Lease) else -charge.cost, receipt.mark)
        for charge, receipt in zip(plan.charges, charged.receipts, strict=True)
        if receipt.taken and charge.cost and not isinstance(charge.bucket, Distinct)
    ]


def debits(plan: Plan, prompt: int, output: int, cached: int = 0) -> list[Charge]:
    """Return non-binding charges for what was served while the counters were away."""
    took = costs(prompt, output, plan.model, cached)
    return [
        replace(charge, cost=took[limit.unit], binding=False)
        for limit, charge in zip(plan.limits, plan.charges, strict=True)
        if not isinstance(charge.bucket, Lease)
    ]


def final_cost(limit: Limit, model: Model, prompt: int, output: int, cached: int = 0) -> int:
    """Return what the exchange took of one limit in the end, in its unit."""
    return costs(prompt, output, model, cached)[limit.unit]
