"""Which rules speak of a request."""

from dataclasses import dataclass, replace
from itertools import product
from zlib import crc32

import pytest

from proxy.core.decision import Mode, OnStoreError
from proxy.core.facts import RequestFacts
from proxy.core.principal import Principal
from proxy.engine import Context, plan
from proxy.engine.planning import MOST_SUBJECTS, within
from proxy.limits.buckets import Distinct, Rate
from proxy.limits.charges import Charge
from proxy.limits.distinct import Counter, estimate
from proxy.limits.keys import bucket_key
from proxy.policy.answers import CapabilityText
from proxy.policy.compiled import BY_FEATURES, Limit, Model, Policy, PolicySet, Scope, Unit
from proxy.policy.rules import capability_of

TEN = Rate(10, 60_000_000, 10)
CONTEXT = Context("test", lambda text: f"{crc32(text.encode()):016x}")
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


def asked(limit, planned, unit, features=None, facts=FACTS):
    """Return the value by which a request is counted."""
    distinct = limit(unit=unit, bucket=Distinct(400, 86_400_000_000))
    (charge,) = planned(distinct, features=features, facts=facts).charges
    assert charge.cost == 1
    return charge.token


@dataclass
class Asked:
    template: int = 0
    topic: int = 0


@pytest.mark.parametrize("unit", sorted(BY_FEATURES))
def test_what_is_counted_by_features_is_told_by_them_alone(limit, planned, unit):
    word = unit.value.removeprefix("distinct ").removesuffix("s")
    tokens = {asked(limit, planned, unit, Asked(**{word: number})) for number in range(50)}
    assert len(tokens) == 50
    assert all(len(token) == 16 and int(token, 16) >= 0 for token in tokens)
    (other,) = {"template", "topic"} - {word}
    same = {
        asked(
            limit, planned, unit, Asked(**{word: 7, other: number}), replace(FACTS, prompt="x" * number)
        )
        for number in range(50)
    }  # fmt: skip
    assert len(same) == 1


@pytest.mark.parametrize("unit", sorted(BY_FEATURES))
def test_facts_without_text_are_counted_by_their_prompts(limit, planned, unit):
    facts = [replace(FACTS, prompt="x" * length) for length in (3, 4)]
    told = [asked(limit, planned, unit, None, each) for each in facts]
    assert told == [asked(limit, planned, Unit.DISTINCT_PROMPTS, None, each) for each in facts]
    assert len(set(told)) == len(facts)


def test_prompts_are_counted_by_their_texts_where_features_are_known(limit, planned):
    told = [asked(limit, planned, Unit.DISTINCT_PROMPTS, each) for each in (Asked(3, 4), None)]
    assert told[0] == told[1]


@pytest.mark.parametrize("unit", sorted(each for each in Unit if each.value.startswith("distinct")))
@pytest.mark.parametrize("features", [None, Asked(3, 4)])
def test_one_value_is_another_to_each_account(limit, planned, unit, features):
    distinct = limit(unit=unit, bucket=Distinct(400, 86_400_000_000), by=(Scope.ACCOUNT,))
    tokens = {
        planned(distinct, features=features, principal=replace(STRANGER, account=f"a{n}")).charges[0].token
        for n in range(50)
    }  # fmt: skip
    assert len(tokens) == 50


@pytest.mark.parametrize("amount", [100, 400, 900, 2_000, 4_000])
def test_values_are_estimated_whatever_they_are(amount):
    bucket, start = Distinct(amount, 86_400_000_000), 1_000_000_000_000_000
    counter = Counter(bucket)
    for value in range(amount):
        charge = Charge("t", "k", bucket, 1, binding=True, token=within("k", f"{value:016x}"))
        counter.look(charge, start)
    assert abs(estimate(int(counter.state.live.total), bucket.cells) - amount) <= 0.03 * amount + 3
