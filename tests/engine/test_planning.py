"""Which rules speak of a request."""

from dataclasses import replace
from itertools import product

import pytest

from proxy.core.decision import Mode, OnStoreError
from proxy.core.facts import RequestFacts
from proxy.core.principal import Principal
from proxy.engine import Context, plan
from proxy.engine.planning import MOST_SUBJECTS
from proxy.limits.buckets import Rate
from proxy.limits.keys import bucket_key
from proxy.policy.answers import CapabilityText
from proxy.policy.compiled import Limit, Model, Policy, PolicySet, Scope, Unit
from proxy.policy.rules import capability_of

TEN = Rate(10, 60_000_000, 10)
FACTS = RequestFacts("openai.chat", "frontier-1", stream=True)
STRANGER = Principal("k1", "acme", "acme", plan="free")
KNOWN = replace(STRANGER, verified=True)
BOTH = {"logit_bias", "logprobs"}
REQUIRE = {"require": "verified", "for": {"model": "frontier-*", "reasoning": "full"}}
FULL = {"reasoning", "reasoning_text"}

TABLE = [
    # the rule                                           features       who       refused as
    ({"forbid": ["logit_bias+logprobs"]},                set(),         STRANGER, ""),
    ({"forbid": ["logit_bias+logprobs"]},                {"logprobs"},  STRANGER, ""),
    ({"forbid": ["logit_bias+logprobs"]},                BOTH,          STRANGER, "capability.forbidden"),
    ({"forbid": ["logit_bias + logprobs"]},              BOTH | {"n"},  KNOWN,    "capability.forbidden"),
    ({"forbid": ["echo+logprobs", "n"]},                 {"n"},         STRANGER, "capability.forbidden"),
    ({"forbid": "n", "for": {"model": "gpt-*"}},         {"n"},         STRANGER, ""),
    ({"forbid": "any", "for": {"model": "frontier-*"}},  set(),         STRANGER, "capability.forbidden"),
    ({"forbid": "any", "for": {"model": "gpt-*"}},       {"n"},         STRANGER, ""),
    ({"forbid": "any", "for": {"feature": ["n", "echo"]}}, {"echo"},    STRANGER, "capability.forbidden"),
    ({"forbid": "any", "for": {"feature": ["n", "echo"]}}, {"seed"},    STRANGER, ""),
    ({"forbid": "any", "for": {"stream": False}},        set(),         STRANGER, ""),
    ({"forbid": "any", "for": {"reasoning": "any"}},     {"reasoning"}, STRANGER, "capability.forbidden"),
    ({"forbid": "any", "for": {"reasoning": "full"}},    {"reasoning"}, STRANGER, ""),
    (REQUIRE,                                            {"reasoning"}, STRANGER, ""),
    (REQUIRE,                                            FULL,          STRANGER, "capability.required"),
    (REQUIRE,                                            FULL,          KNOWN,    ""),
    ({"require": {"plan": ["paid", "team-*"]}},          set(),         KNOWN,    "capability.required"),
    ({"require": {"plan": ["fr*"], "verified": True}},   set(),         KNOWN,    ""),
]  # fmt: skip


@pytest.mark.parametrize(("says", "features", "who", "code"), TABLE)
def test_what_a_capability_refuses(planned, says, features, who, code):
    rule = capability_of("p", CapabilityText.model_validate(says | {"because": "so"}))
    facts = replace(FACTS, features=frozenset(features))
    refused = planned(capabilities=(rule,), facts=facts, principal=who).refused
    assert [reason.code for reason in refused] == ([code] if code else [])
    assert all((reason.policy, reason.because) == ("p", "so") for reason in refused)
    shadow = replace(rule, mode=Mode.SHADOW)
    plan = planned(capabilities=(shadow,), facts=facts, principal=who)
    assert plan.refused == ()
    assert [reason.code for reason in plan.watched] == (["capability.shadow"] if code else [])


@pytest.mark.parametrize(
    ("effort", "refused"), [("", False), ("low", False), ("high", True), ("max", True)]
)
def test_efforts_are_compared_as_asked(planned, effort, refused):
    rule = capability_of(
        "p",
        CapabilityText.model_validate({"forbid": "any", "for": {"reasoning": ["high", "max"]}}),
    )
    plan = planned(capabilities=(rule,), facts=replace(FACTS, reasoning=effort))
    assert bool(plan.refused) is refused


@pytest.mark.parametrize(
    ("says", "name"),
    [
        ({"forbid": ["logit_bias+logprobs", "n"]}, "forbid logit_bias+logprobs, n"),
        ({"forbid": "any", "for": {"model": "m"}}, "forbid any"),
        ({"require": "verified"}, "require verified"),
        ({"require": {"verified": True}}, "require verified"),
        ({"require": {"verified": False}}, "require verified: false"),
        ({"require": {"purpose": "eval", "plan": "paid"}}, "require plan, purpose"),
    ],
)
def test_a_capability_is_named_as_people_say_it(says, name):
    assert capability_of("p", CapabilityText.model_validate(says)).name == name


def test_keys_follow_what_each_limit_counts_by_whoever_asked_before():
    by = ((Scope.ACCOUNT,), (Scope.KEY, Scope.MODEL), (Scope.IP,), (Scope.GLOBAL,))
    limits = tuple(
        Limit("p", f"l{index}", Unit.REQUESTS, each, TEN, Mode.ENFORCE, OnStoreError.DENY)
        for index, each in enumerate(by)
    )
    policies = PolicySet((Policy("p", "", lambda *_: True, limits),), "d")
    who = [replace(STRANGER, key=key, account=account) for key in "kl" for account in "ab"]
    for env, principal, address, model in product(("e", "f"), who, ("1", "2"), ("m", "n")):
        found = plan(
            replace(FACTS, model=model), principal, address, policies, Model("m"),
            context=Context(env, str), lease_id="",
        )  # fmt: skip
        subjects = {"account": principal.account, "ip": address, "global": ""}
        for limit, charge in zip(limits, found.charges, strict=True):
            scope = limit.by[0].value
            subject, rest = subjects.get(scope, principal.key), ()
            if scope == "key":
                rest = ("model", model)
            told = bucket_key(env, scope, subject, "p", limit.name, TEN, rest)
            assert (charge.tag, charge.key) == told


def test_a_policy_remembers_the_keys_of_no_more_than_so_many():
    limit = Limit("p", "l", Unit.REQUESTS, (Scope.IP,), TEN, Mode.ENFORCE, OnStoreError.DENY)
    policy = Policy("p", "", lambda *_: True, (limit,))
    for address in range(MOST_SUBJECTS + 5):
        plan(
            FACTS, STRANGER, str(address), PolicySet((policy,), "d"), Model("m"),
            context=Context("e", str), lease_id="",
        )  # fmt: skip
    assert len(policy.keys) == 5
