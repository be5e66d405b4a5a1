"""Planning: which rules speak of a request, and what it would take from each bucket. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from proxy.core.decision import Mode, OnStoreError, Reason
from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling
from proxy.limits.charges import Charge
from proxy.limits.keys import bucket_key
from proxy.policy.compiled import Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.limits.buckets import Bucket
    from proxy.policy.compiled import Capability, Limit, Model, Policy, PolicySet, Rung

TOKENS_PER_PRICE = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What one request would take: `charges[i]` belongs to `limits[i]`.

    prompt, output: tokens reserved; the output is for all choices together
    model:          prices and counters used
    refused:        by capabilities: the request is to be refused before anything is charged
    watched:        what capabilities in shadow would have refused
    ladders:        the ladders that speak of this request, each with its policy's name
    """

    limits: tuple[Limit, ...]
    charges: tuple[Charge, ...]
    prompt: int
    output: int
    model: Model
    refused: tuple[Reason, ...] = ()
    watched: tuple[Reason, ...] = ()
    ladders: tuple[tuple[str, tuple[Rung, ...]], ...] = ()


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
    speaking = [each for each in policies.policies if each.applies(principal, facts, address)]
    limits = [limit for policy in speaking for limit in policy.limits]
    charges = []
    for limit in limits:
        tag, key = _key_of(limit, context.env, principal, facts.model, address)
        charges.append(
            Charge(
                tag,
                key,
                limit.bucket,
                cost(limit.unit, prompt, output, model),
                limit.binding,
                _token(limit.unit, facts, address, lease_id, context.fingerprint),
            )
        )
    refused, watched = _capabilities(speaking, facts, principal, address)
    ladders = tuple((policy.name, policy.ladder) for policy in speaking if policy.ladder)
    return Plan(tuple(limits), tuple(charges), prompt, output, model, refused, watched, ladders)


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


def cost(unit: Unit, prompt: int, output: int, model: Model, cached: int = 0) -> int:
    """Return what so many tokens take of a limit that counts this unit."""
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


def _capabilities(
    speaking: Sequence[Policy], facts: RequestFacts, principal: Principal, address: str
) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
    """Return what capabilities refuse, and what those in shadow would have refused."""
    refused: list[Reason] = []
    watched: list[Reason] = []
    for policy in speaking:
        for capability in policy.capabilities:
            if not capability.applies(principal, facts, address):
                continue
            code = _lacking(capability, facts, principal, address)
            if code and capability.mode is Mode.ENFORCE:
                refused.append(_told(capability, code))
            elif code:
                watched.append(_told(capability, "capability.shadow"))
    return tuple(refused), tuple(watched)


def _lacking(
    capability: Capability, facts: RequestFacts, principal: Principal, address: str
) -> str:
    """Return the code of what is wrong with a request; '' when nothing is."""
    if any(combo <= facts.features for combo in capability.combos):
        return "capability.forbidden"
    if capability.met is not None and not capability.met(principal, facts, address):
        return "capability.required"
    return ""


def _told(capability: Capability, code: str) -> Reason:
    return Reason(code, policy=capability.policy, limit=capability.name, because=capability.because)


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


def _share(bucket: Bucket, replicas: int) -> Bucket:
    amount = max(1, bucket.amount // replicas)
    match bucket:
        case Rate(burst=burst):
            return replace(bucket, amount=amount, burst=max(1, burst // replicas))
        case Budget() | Rolling() | Lease() | Distinct() | Exposure():
            return replace(bucket, amount=amount)
