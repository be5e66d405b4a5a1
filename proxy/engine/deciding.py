"""Deciding: from receipts and standing to refuse, shape, delay or allow, and why. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from proxy.core.decision import Decision, Effect, Mode, OnStoreError, Raise, Reason
from proxy.core.shape import NO_SHAPE, combined
from proxy.core.standing import Level
from proxy.engine.raising import tells
from proxy.limits.buckets import KINDS
from proxy.policy.compiled import Otherwise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.core.shape import Shape
    from proxy.core.standing import Standing
    from proxy.engine.planning import Plan
    from proxy.limits.charges import Charge, Charged, Receipt
    from proxy.policy.compiled import Limit, Rung

    # A reason that changes request or answer, and how.
    Shaping = tuple[Reason, Shape]

UNDER_REVIEW = "account_under_review"  # what a contained client is told where no ladder says more
BLIND_RETRY = 1_000_000
ALLOWED = Decision(Effect.ALLOW)


def decide_forbidden(plan: Plan) -> Decision:
    """Return the decision for a request that capabilities refuse: nothing is charged for it."""
    return Decision(Effect.REFUSE, plan.refused, plan.watched)


def decide(plan: Plan, charged: Charged) -> Decision:
    """Return the decision that standing and receipts give.

    The account's standing refuses first; then binding limits without room; else all shapes add up.
    What a limit raises holds from the next request on. Whom the standing refuses it raises no
    further: else who goes on trying would never come out.
    """
    if (
        charged.standing is None
        and not plan.watched
        and all(receipt.fits for receipt in charged.receipts)
    ):
        return ALLOWED  # no ladder speaks of a clear account
    counted = _Counted(plan, charged)
    counted.raised = [each for each in counted.raised if tells(each, charged.standing, charged.at)]
    return _decided(plan, charged.standing, counted)


def decide_blind(
    plan: Plan, local: Plan, charged: Charged, standing: Standing | None = None
) -> Decision:
    """Return the decision for a request whose counters did not answer.

    local, charged: the part of the plan that is counted in the process, and its receipts
                    (see `local_plan`)
    standing:       the account's, as it was told last and if it still holds

    A limit that says `deny` does what it does without room: it refuses, or gives its shape. One
    that says `allow` is silent. None raises a level: where it would be written does not answer.
    """
    counted = _Counted(local, charged)
    counted.raised = []
    denied: list[Reason] = []
    for limit, charge in zip(plan.limits, plan.charges, strict=True):
        if limit.on_store_error is not OnStoreError.DENY or limit.mode is not Mode.ENFORCE:
            continue
        if limit.otherwise is Otherwise.REFUSE:
            denied.append(_unavailable(limit, charge, BLIND_RETRY))
        elif limit.otherwise is Otherwise.SHAPE:
            counted.shaping.append((_unavailable(limit, charge, None), limit.shape))
    counted.refused[:0] = denied
    return _decided(plan, standing, counted, blind=True)


class _Counted:
    """What receipts say of a request, each limit by what it does without room."""

    def __init__(self, plan: Plan, charged: Charged) -> None:
        self.refused: list[Reason] = []
        self.shaping: list[Shaping] = []
        self.raised: list[Raise] = []
        self.flagged: list[Reason] = []
        self.shadowed: list[Reason] = list(plan.watched)
        for limit, charge, receipt in zip(plan.limits, plan.charges, charged.receipts, strict=True):
            if not receipt.fits:
                self._note(limit, charge, receipt)

    def _note(self, limit: Limit, charge: Charge, receipt: Receipt) -> None:
        if limit.mode is Mode.SHADOW:
            self.shadowed.append(_reason("limit.shadow", limit, charge, receipt))
            return
        match limit.otherwise:
            case Otherwise.REFUSE:
                code = "limit.never_fits" if receipt.retry_after is None else "limit.exceeded"
                self.refused.append(_reason(code, limit, charge, receipt))
            case Otherwise.SHAPE:
                told = _reason("limit.shaped", limit, charge, receipt)
                self.shaping.append((told, limit.shape))
            case Otherwise.LEVEL:
                told = _reason("limit.raised", limit, charge, receipt)
                self.raised.append(Raise(limit.level, limit.lasts, told))
            case Otherwise.FLAG:
                self.flagged.append(_reason("limit.flagged", limit, charge, receipt))


def _decided(
    plan: Plan, standing: Standing | None, counted: _Counted, *, blind: bool = False
) -> Decision:
    level = Level.CLEAR if standing is None else standing.level
    reached = _reached(plan, level)
    shadowed = tuple(counted.shadowed)
    refused = _standing_refusals(reached, level)
    if refused:
        return Decision(
            Effect.REFUSE, tuple(refused), shadowed, blind=blind, level=level.value
        )  # fmt: skip
    raising = [each.reason for each in counted.raised]
    if counted.refused:
        return Decision(
            Effect.REFUSE,
            (*counted.refused, *raising),
            shadowed,
            _longest(counted.refused),
            blind=blind,
            level=level.value,
            raised=tuple(counted.raised),
        )
    shaping = [*_standing_shapes(reached, level), *counted.shaping]
    shape = combined(shape for _, shape in shaping)
    return Decision(
        _effect(shape),
        (*(reason for reason, _ in shaping), *raising, *counted.flagged),
        shadowed,
        blind=blind,
        shape=shape,
        level=level.value,
        raised=tuple(counted.raised),
    )


def reshaped(decision: Decision, shape: Shape) -> Decision:
    """Return a decision that serves, with another shape beside its own: the strictest of both."""
    both = combined([decision.shape, shape])
    return replace(decision, effect=_effect(both), shape=both)


def turned_away(decision: Decision) -> Decision:
    """Return the refusal of what was to be delayed: too many are waiting already."""
    wait = decision.shape.delay
    reason = Reason("delay.full", limit=", ".join(decision.shape.names), retry_after=wait)
    return replace(
        decision, effect=Effect.REFUSE, reasons=(reason, *decision.reasons), retry_after=wait
    )


def _effect(shape: Shape) -> Effect:
    if not shape.body_empty:
        return Effect.SHAPE
    return Effect.DELAY if shape.delay else Effect.ALLOW


def _reached(plan: Plan, level: Level) -> list[tuple[str, Rung]]:
    """Return the rung of each ladder on which an account of this level stands, if any."""
    found = []
    for policy, ladder in plan.ladders:
        rungs = [rung for rung in ladder if rung.level.rank <= level.rank]
        if rungs:
            found.append((policy, max(rungs, key=lambda rung: rung.level.rank)))
    return found


def _standing_refusals(reached: Sequence[tuple[str, Rung]], level: Level) -> list[Reason]:
    """Return why the standing refuses; `contained` does, whatever the ladders say."""
    code = f"standing.{level}"
    refused = [
        Reason(code, policy=policy, says=rung.refuse) for policy, rung in reached if rung.refuse
    ]
    if level is Level.CONTAINED and not refused:
        return [Reason(code, says=UNDER_REVIEW)]
    return refused


def _standing_shapes(reached: Sequence[tuple[str, Rung]], level: Level) -> list[Shaping]:
    return [
        (Reason(f"standing.{level}", policy=policy, limit=_name(rung.shape)), rung.shape)
        for policy, rung in reached
        if rung.shape is not NO_SHAPE
    ]


def _name(shape: Shape) -> str:
    """Return a shape's own name, without its policy's."""
    return ",".join(name.rpartition("/")[2] for name in shape.names)


def _unavailable(limit: Limit, charge: Charge, retry_after: int | None) -> Reason:
    return Reason(
        "store.unavailable",
        policy=limit.policy,
        limit=limit.name,
        scope=_scope(limit),
        unit=limit.unit.value,
        kind=KINDS[type(limit.bucket)],
        amount=limit.bucket.amount,
        asked=charge.cost,
        retry_after=retry_after,
    )


def _reason(code: str, limit: Limit, charge: Charge, receipt: Receipt) -> Reason:
    return Reason(
        code,
        policy=limit.policy,
        limit=limit.name,
        scope=_scope(limit),
        unit=limit.unit.value,
        kind=KINDS[type(limit.bucket)],
        amount=limit.bucket.amount,
        asked=charge.cost,
        remaining=receipt.remaining,
        retry_after=receipt.retry_after,
    )


def _scope(limit: Limit) -> str:
    return "+".join(scope.value for scope in limit.by)


def _longest(reasons: Sequence[Reason]) -> int | None:
    """Return the longest wait of all reasons; None when one of them never ends."""
    waits = [reason.retry_after for reason in reasons]
    if None in waits:
        return None
    return max(wait for wait in waits if wait is not None)
