"""What a record says of a request's limits, facts and tokens: the same for serving and replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy import engine
from proxy.core.decision import Effect
from proxy.journal.record import LimitEntry
from proxy.limits.buckets import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.core.decision import Decision, Reason
    from proxy.core.facts import RequestFacts, Usage
    from proxy.engine import Plan, Spent
    from proxy.journal.record import Record
    from proxy.limits.charges import Charged

REFUSED = "refused"


def limit_entries(
    counted: Plan | None,
    charged: Charged | None,
    spent: Spent,
    *,
    plan: Plan | None,
    given_back: bool,
) -> list[LimitEntry]:
    """Return the line of each limit that was counted; `charged` is what was taken in the end.

    counted:    the plan as it was counted (while blind: the part that the process counts)
    plan:       the whole plan, whose model prices the tokens
    given_back: what was taken came back, as the request was refused all the same
    """
    if counted is None or charged is None:
        return []
    found = []
    for limit, charge, receipt in zip(
        counted.limits, counted.charges, charged.receipts, strict=True
    ):
        final = None
        if given_back:
            final = 0
        elif receipt.taken and plan is not None:
            final = engine.final_cost(limit, plan.model, spent.prompt, spent.output, spent.cached)
        found.append(
            LimitEntry(
                policy=limit.policy,
                limit=limit.name,
                by="+".join(limit.by),
                unit=limit.unit.value,
                kind=KINDS[type(charge.bucket)],
                amount=charge.bucket.amount,
                mode=limit.mode.value,
                asked=charge.cost,
                remaining=receipt.remaining,
                fits=receipt.fits,
                taken=receipt.taken,
                retry_after=receipt.retry_after,
                charged=final,
                sentence=limit.sentence,
            )
        )
    return found


def note_facts(record: Record, facts: RequestFacts, fingerprint: Callable[[str], str]) -> None:
    """Note in a record what was asked for; the prompt only as a keyed hash."""
    record.model, record.stream = facts.model, facts.stream
    record.features, record.choices = sorted(facts.features), facts.choices
    record.reasoning, record.prompt_tokens = facts.reasoning, facts.prompt_tokens
    record.usage.estimated_prompt = facts.prompt_tokens
    record.usage.estimated_output = facts.output_tokens * facts.choices
    if facts.prompt:
        record.prompt_fp = fingerprint(facts.prompt)


def note_decision(record: Record, decision: Decision) -> None:
    """Note in a record what was decided, and why. A refusal is its end."""
    record.effect, record.blind = decision.effect.value, decision.blind
    record.level = decision.level
    record.shapes = list(decision.shape.names)
    record.reasons = [_told(reason) for reason in (*decision.reasons, *decision.shadowed)]
    if decision.effect is Effect.REFUSE:
        record.end, record.code = REFUSED, decision.reasons[0].code


def note_usage(record: Record, usage: Usage) -> None:
    """Note in a record what the model API told and what was relayed."""
    told = record.usage
    told.reported_prompt = usage.reported_prompt
    told.reported_output = usage.reported_output
    told.reported_reasoning = usage.reported_reasoning
    told.reported_cached = usage.reported_cached
    told.relayed = usage.relayed


def note_spent(record: Record, spent: Spent, plan: Plan | None) -> None:
    """Note in a record what the exchange cost."""
    record.usage.charged_input, record.usage.charged_output = spent.prompt, spent.output
    if plan is not None:
        record.cost_usd_micro = engine.price(plan.model, spent.prompt, spent.output, spent.cached)


def _told(reason: Reason) -> str:
    if reason.limit and not reason.policy:  # shapes of several policies: they say so themselves
        return f"{reason.code}:{reason.limit}"
    return f"{reason.code}:{reason.policy}/{reason.limit}"
