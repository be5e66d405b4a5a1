"""Planning: which rules speak of a request, and what it would take from each bucket. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from proxy.core.decision import Mode, OnStoreError, Reason
from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling
from proxy.limits.charges import Charge
from proxy.limits.keys import bucket_key
from proxy.policy.compiled import BY_FEATURES, Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.limits.buckets import Bucket
    from proxy.policy.compiled import Capability, Limit, Model, Policy, PolicySet, Rung

TOKENS_PER_PRICE = 1_000_000
MOST_SUBJECTS = 8192  # whose keys a policy remembers
_ONE_EACH = dict.fromkeys(Unit, 1)
_WITH_TOKEN = BY_FEATURES | {
    Unit.CONCURRENT,
    Unit.DISTINCT_PROMPTS,
    Unit.DISTINCT_MODELS,
    Unit.DISTINCT_ADDRESSES,
}


@dataclass(slots=True)
class Plan:
    """What one request would take: `charges[i]` belongs to `limits[i]`. Nobody changes it.

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


class Asked(Protocol):
    """What a plan needs of the features of a prompt (`watch.features.Features` has it).

    template: 64-bit fingerprint of the frame that the prompt fills
    topic:    number of the cell of near texts that it falls into
    """

    @property
    def template(self) -> int:
        """The frame."""
        ...

    @property
    def topic(self) -> int:
        """The cell."""
        ...


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
    features: Asked | None = None,
) -> Plan:
    """Return what this request would take from each bucket that speaks of it.

    address:  the peer's address, '' where unknown
    lease_id: a name for this request's concurrency slots, unique
    features: what templates and topics are counted by; None where only facts are known, and then
              each prompt stands for a template and a topic of its own
    """
    prompt = facts.prompt_tokens
    output = facts.output_tokens * facts.choices
    speaking = [each for each in policies.policies if each.applies(principal, facts, address)]
    limits = [limit for policy in speaking for limit in policy.limits]
    subjects = {
        Scope.KEY: principal.key,
        Scope.ACCOUNT: principal.account,
        Scope.ORG: principal.org,
        Scope.IP: address,
        Scope.MODEL: facts.model,
        Scope.GLOBAL: "",
    }
    keys = [each for policy in speaking for each in _keys(policy, context.env, subjects)]
    takes = costs(prompt, output, model)
    charges = []
    for limit, (tag, key) in zip(limits, keys, strict=True):
        token = ""
        if limit.unit in _WITH_TOKEN:
            bucket = key.partition("{")[2]  # without the environment: a replay has another one
            token = _token(limit, bucket, facts, address, lease_id, context.fingerprint, features)
        charges.append(Charge(tag, key, limit.bucket, takes[limit.unit], limit.binding, token))
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


def costs(prompt: int, output: int, model: Model, cached: int = 0) -> dict[Unit, int]:
    """Return what a request of so many tokens takes of a limit, by the unit that it counts."""
    return _ONE_EACH | {
        Unit.INPUT_TOKENS: prompt,
        Unit.OUTPUT_TOKENS: output,
        Unit.TOKENS: prompt + output,
        Unit.USD: price(model, prompt, output, cached),
    }


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
    limit: Limit,
    bucket: str,
    facts: RequestFacts,
    address: str,
    lease_id: str,
    fingerprint: Callable[[str], str],
    features: Asked | None,
) -> str:
    """Return what a charge stands for in its bucket: of values that are told apart, 16 hex digits.

    What names the bucket is hashed with the value. So who has a dump of the store and may send
    prompts through this gateway learns from their own counters nothing of anybody else's.
    """
    unit = limit.unit
    if unit is Unit.CONCURRENT:
        return lease_id
    if unit in BY_FEATURES and features is not None:
        number = features.template if unit is Unit.DISTINCT_TEMPLATES else features.topic
        return fingerprint(f"{bucket}\0{number}")
    text = facts.prompt
    if unit is Unit.DISTINCT_MODELS:
        text = facts.model
    elif unit is Unit.DISTINCT_ADDRESSES:
        text = address
    return within(bucket, fingerprint(text))


def within(bucket: str, fingerprint: str) -> str:
    """Return a fingerprint as the bucket of this name counts it, 16 hex digits.

    Of a text's fingerprint, which traffic may carry in the text's place: replayed, it falls into
    the cell that it fell into.
    """
    return hashlib.blake2b(f"{bucket}\0{fingerprint}".encode(), digest_size=8).hexdigest()


def _keys(policy: Policy, env: str, subjects: Mapping[Scope, str]) -> tuple[tuple[str, str], ...]:
    """Return tag and key of the bucket of each of a policy's limits."""
    whose = (env, *[subjects[scope] for scope in policy.by])
    found = policy.keys.get(whose)
    if found is None:
        if len(policy.keys) >= MOST_SUBJECTS:
            policy.keys.clear()
        found = tuple(_key(limit, env, subjects) for limit in policy.limits)
        policy.keys[whose] = found
    return found


def _key(limit: Limit, env: str, subjects: Mapping[Scope, str]) -> tuple[str, str]:
    first, *others = limit.by
    rest = [part for scope in others for part in (scope.value, subjects[scope])]
    return bucket_key(
        env, first.value, subjects[first], limit.policy, limit.name, limit.bucket, rest
    )


@lru_cache(maxsize=4096)
def _share(bucket: Bucket, replicas: int) -> Bucket:
    amount = max(1, bucket.amount // replicas)
    match bucket:
        case Rate(burst=burst):
            return replace(bucket, amount=amount, burst=max(1, burst // replicas))
        case Budget() | Rolling() | Lease() | Distinct() | Exposure():
            return replace(bucket, amount=amount)
