"""The engine: what a request would take, what is decided, and what it took in the end. Pure.

The walk is `plan` -> (the store charges) -> `decide` -> (the answer is relayed) -> `settle`.
Where the store did not answer: `decide_blind`, and `debits` for what was served all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from proxy.core.decision import Decision, Effect, Mode, OnStoreError, Reason
from proxy.limits.buckets import KINDS, Budget, Distinct, Exposure, Lease, Rate, Rolling
from proxy.limits.charges import Charge, Charged, Settlement
from proxy.limits.keys import bucket_key
from proxy.policy.compiled import Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.limits.buckets import Bucket
    from proxy.limits.charges import Receipt
    from proxy.policy.compiled import Limit, Model, PolicySet

TOKENS_PER_PRICE = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What one request would take: `charges[i]` belongs to `limits[i]`.

    prompt, output: tokens reserved; the output is for all choices together
    model:          prices and counters used
    """

    limits: tuple[Limit, ...]
    charges: tuple[Charge, ...]
    prompt: int
    output: int
    model: Model


@dataclass(frozen=True, slots=True)
class Context:
    """What a plan needs beside the request.

    env:         environment name, part of every key
    fingerprint: keyed hash of a text, 16 hex digits
    """

    env: str
    fingerprint: Callable[[str], str]


def price(model: Model, prompt: int, output: int, cached: int = 0) -> int:
    """Return the micro-dollars of an exchange, rounded up.

    `cached` of the `prompt` tokens are charged at the cached price.
    """
    micro = (
        (prompt - cached) * model.input_price
        + cached * model.cached_price
        + output * model.output_price
    )
    return -(-micro // TOKENS_PER_PRICE)


def plan(
    facts: RequestFacts,
    principal: Principal,
    address: str,
    policies: PolicySet,
    model: Model,
    *,
    context: Context,
    lease_id: str,
) -> Plan:
    """Return what this request would take from each bucket that speaks of it.

    address:  the peer's address, '' where unknown
    lease_id: a name for this request's concurrency slots, unique
    """
    prompt = facts.prompt_tokens
    output = facts.output_tokens * facts.choices
    limits = [
        limit
        for policy in policies.policies
        if policy.applies(principal, facts, address)
        for limit in policy.limits
    ]
    charges = []
    for limit in limits:
        tag, key = _key_of(limit, context.env, principal, facts.model, address)
        charges.append(
            Charge(
                tag,
                key,
                limit.bucket,
                _cost(limit.unit, prompt, output, model),
                limit.mode is Mode.ENFORCE,
                _token(limit.unit, facts, address, lease_id, context.fingerprint),
            )
        )
    return Plan(tuple(limits), tuple(charges), prompt, output, model)


def decide(plan: Plan, charged: Charged) -> Decision:
    """Return the decision that the receipts give: refused when a binding limit had no room."""
    reasons: list[Reason] = []
    shadowed: list[Reason] = []
    for limit, charge, receipt in zip(plan.limits, plan.charges, charged.receipts, strict=True):
        if not receipt.fits:
            (reasons if charge.binding else shadowed).append(_reason(limit, charge, receipt))
    return Decision(
        Effect.REFUSE if reasons else Effect.ALLOW,
        tuple(reasons),
        tuple(shadowed),
        _longest(reasons),
    )


def decide_blind(plan: Plan, local: Plan, charged: Charged) -> Decision:
    """Return the decision for a request whose counters did not answer.

    local, charged: the part of the plan that is counted in the process, and its receipts
    (see `local_plan`). A binding limit that says `deny` refuses; one that says `allow` is silent.
    """
    denied = [
        Reason(
            "store.unavailable",
            policy=limit.policy,
            limit=limit.name,
            scope=_scope(limit),
            unit=limit.unit.value,
            kind=KINDS[type(limit.bucket)],
            amount=limit.bucket.amount,
            asked=charge.cost,
            retry_after=1_000_000,
        )
        for limit, charge in zip(plan.limits, plan.charges, strict=True)
        if charge.binding and limit.on_store_error is OnStoreError.DENY
    ]
    counted = decide(local, charged)
    reasons = (*denied, *counted.reasons)
    return Decision(
        Effect.REFUSE if reasons else Effect.ALLOW,
        reasons,
        counted.shadowed,
        _longest(reasons),
        blind=True,
    )


def local_plan(plan: Plan, replicas: int) -> Plan:
    """Return the limits that are counted in the process while blind, each with its share.

    replicas: how many processes share the amount (declared in the settings)
    """
    pairs = [
        (limit, replace(charge, bucket=_share(limit.bucket, replicas)))
        for limit, charge in zip(plan.limits, plan.charges, strict=True)
        if limit.on_store_error is OnStoreError.LOCAL
    ]
    return replace(
        plan,
        limits=tuple(limit for limit, _ in pairs),
        charges=tuple(charge for _, charge in pairs),
    )


def settle(
    plan: Plan, charged: Charged, prompt: int, output: int, cached: int = 0
) -> list[Settlement]:
    """Return the corrections that make the charges what the exchange really took.

    prompt, output: tokens in the end. Leases are given back; values asked for stay noted.
    """
    settlements = []
    for limit, charge, receipt in zip(plan.limits, plan.charges, charged.receipts, strict=True):
        if not receipt.taken or isinstance(charge.bucket, Distinct):
            continue
        if isinstance(charge.bucket, Lease):
            settlements.append(Settlement(charge, 0, receipt.mark))
            continue
        delta = _cost(limit.unit, prompt, output, plan.model, cached) - charge.cost
        if delta:
            settlements.append(Settlement(charge, delta, receipt.mark))
    return settlements


def debits(plan: Plan, prompt: int, output: int, cached: int = 0) -> list[Charge]:
    """Return non-binding charges for what was served while the counters were away."""
    return [
        replace(charge, cost=_cost(limit.unit, prompt, output, plan.model, cached), binding=False)
        for limit, charge in zip(plan.limits, plan.charges, strict=True)
        if not isinstance(charge.bucket, Lease)
    ]


def final_cost(limit: Limit, model: Model, prompt: int, output: int, cached: int = 0) -> int:
    """Return what the exchange took of one limit in the end, in its unit."""
    return _cost(limit.unit, prompt, output, model, cached)


def _cost(unit: Unit, prompt: int, output: int, model: Model, cached: int = 0) -> int:
    match unit:
        case Unit.INPUT_TOKENS:
            return prompt
        case Unit.OUTPUT_TOKENS:
            return output
        case Unit.TOKENS:
            return prompt + output
        case Unit.USD:
            return price(model, prompt, output, cached)
        case (
            Unit.REQUESTS
            | Unit.CONCURRENT
            | Unit.DISTINCT_PROMPTS
            | Unit.DISTINCT_MODELS
            | Unit.DISTINCT_ADDRESSES
        ):
            return 1


def _token(
    unit: Unit,
    facts: RequestFacts,
    address: str,
    lease_id: str,
    fingerprint: Callable[[str], str],
) -> str:
    match unit:
        case Unit.CONCURRENT:
            return lease_id
        case Unit.DISTINCT_PROMPTS:
            return fingerprint(facts.prompt)
        case Unit.DISTINCT_MODELS:
            return fingerprint(facts.model)
        case Unit.DISTINCT_ADDRESSES:
            return fingerprint(address)
        case _:
            return ""


def _key_of(
    limit: Limit, env: str, principal: Principal, model: str, address: str
) -> tuple[str, str]:
    subjects = []
    for scope in limit.by:
        match scope:
            case Scope.KEY:
                subjects.append(principal.key)
            case Scope.ACCOUNT:
                subjects.append(principal.account)
            case Scope.ORG:
                subjects.append(principal.org)
            case Scope.IP:
                subjects.append(address)
            case Scope.MODEL:
                subjects.append(model)
            case Scope.GLOBAL:
                subjects.append("")
    return _key(env, limit.by, tuple(subjects), limit.policy, limit.name, limit.bucket)


@lru_cache(maxsize=65_536)
def _key(
    env: str,
    by: tuple[Scope, ...],
    subjects: tuple[str, ...],
    policy: str,
    name: str,
    bucket: Bucket,
) -> tuple[str, str]:
    rest = tuple(
        part
        for scope, subject in zip(by[1:], subjects[1:], strict=True)
        for part in (scope.value, subject)
    )
    return bucket_key(env, by[0].value, subjects[0], policy, name, bucket, rest)


def _reason(limit: Limit, charge: Charge, receipt: Receipt) -> Reason:
    if not charge.binding:
        code = "limit.shadow"
    elif receipt.retry_after is None:
        code = "limit.never_fits"
    else:
        code = "limit.exceeded"
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


def _longest(reasons: list[Reason] | tuple[Reason, ...]) -> int | None:
    """Return the longest wait of all reasons; None when one of them never ends, or none."""
    waits = [reason.retry_after for reason in reasons]
    if not waits or None in waits:
        return None
    return max(wait for wait in waits if wait is not None)


def _share(bucket: Bucket, replicas: int) -> Bucket:
    amount = max(1, bucket.amount // replicas)
    match bucket:
        case Rate(burst=burst):
            return replace(bucket, amount=amount, burst=max(1, burst // replicas))
        case Budget() | Rolling() | Lease() | Distinct() | Exposure():
            return replace(bucket, amount=amount)
