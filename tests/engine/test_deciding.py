"""From receipts and standing to an effect and its reasons."""

import pytest

from proxy.core.decision import Effect, Mode, OnStoreError
from proxy.core.shape import NO_SHAPE, Shape
from proxy.core.standing import Level, Standing
from proxy.engine import decide, decide_blind, decide_forbidden, local_plan
from proxy.policy.compiled import Capability, Otherwise, Rung

SECRET = "the operator's own words"
GUARDED = Shape(names=("p/guarded",), n=1)
TIGHT = Shape(names=("p/tight",), n=2, truncate=256)
SLOW = Shape(names=("p/slow",), delay=400_000)
LADDER = (
    Rung(Level.GUARDED, GUARDED),
    Rung(Level.RESTRICTED, TIGHT),
    Rung(Level.CONTAINED, refuse="account_under_review"),
)


def at(level: str) -> Standing | None:
    return None if level == "clear" else Standing(Level(level), 0, 10, "ada", SECRET)


R, S, D, F = "refuse", "shape", "delay", "flag"
TABLE = [
    # limits without room   level         effect           codes of the reasons
    ([],                    "clear",      Effect.ALLOW,    []),
    ([F],                   "clear",      Effect.ALLOW,    ["limit.flagged"]),
    ([D],                   "clear",      Effect.DELAY,    ["limit.shaped"]),
    ([S],                   "clear",      Effect.SHAPE,    ["limit.shaped"]),
    ([S, D, F],             "clear",      Effect.SHAPE,    ["limit.shaped", "limit.shaped", "limit.flagged"]),
    ([R],                   "clear",      Effect.REFUSE,   ["limit.exceeded"]),
    ([R, S, D, F],          "clear",      Effect.REFUSE,   ["limit.exceeded"]),
    ([],                    "watch",      Effect.ALLOW,    []),
    ([],                    "guarded",    Effect.SHAPE,    ["standing.guarded"]),
    ([],                    "restricted", Effect.SHAPE,    ["standing.restricted"]),
    ([S],                   "guarded",    Effect.SHAPE,    ["standing.guarded", "limit.shaped"]),
    ([R],                   "guarded",    Effect.REFUSE,   ["limit.exceeded"]),
    ([],                    "contained",  Effect.REFUSE,   ["standing.contained"]),
    ([R],                   "contained",  Effect.REFUSE,   ["standing.contained"]),
]  # fmt: skip


@pytest.fixture
def house(limit, planned):
    """Plan for one limit of each answer, under a ladder."""
    return planned(
        limit(R),
        limit(S, Otherwise.SHAPE, GUARDED),
        limit(D, Otherwise.SHAPE, SLOW),
        limit(F, Otherwise.FLAG),
        ladders=[LADDER],
    )


@pytest.mark.parametrize(("full", "level", "effect", "codes"), TABLE)
def test_what_is_decided(house, charged, full, level, effect, codes):
    fits = [limit.name not in full for limit in house.limits]
    decision = decide(house, charged(house, *fits, standing=at(level)))
    assert (decision.effect, [reason.code for reason in decision.reasons]) == (effect, codes)
    assert decision.level == level
    assert (decision.retry_after == 5_000_000) is ("limit.exceeded" in codes)
    assert (decision.shape is NO_SHAPE) is (effect in {Effect.ALLOW, Effect.REFUSE})


def test_only_limits_that_refuse_bind(house):
    assert [charge.binding for charge in house.charges] == [True, False, False, False]


def test_shapes_add_up_to_the_strictest(house, charged):
    decision = decide(house, charged(house, True, False, False, True, standing=at("restricted")))
    assert decision.shape == Shape(
        names=("p/guarded", "p/slow", "p/tight"), n=1, truncate=256, delay=400_000
    )


def test_a_shape_has_its_numbers(house, charged):
    (reason,) = decide(house, charged(house, True, False, True, True)).reasons
    assert (reason.policy, reason.limit, reason.scope, reason.unit) == ("p", S, "key", "requests")
    assert (reason.amount, reason.asked, reason.remaining) == (10, 1, 3)
    assert reason.retry_after == 5_000_000


@pytest.mark.parametrize("otherwise", [Otherwise.SHAPE, Otherwise.FLAG, Otherwise.REFUSE])
def test_a_limit_in_shadow_only_says_what_it_would_do(limit, planned, charged, otherwise):
    plan = planned(limit("s", otherwise, GUARDED, Mode.SHADOW))
    decision = decide(plan, charged(plan, False))
    assert (decision.effect, decision.reasons, decision.shape) == (Effect.ALLOW, (), NO_SHAPE)
    assert [(reason.code, reason.limit) for reason in decision.shadowed] == [("limit.shadow", "s")]


def test_an_account_stands_on_the_highest_rung_that_its_level_reaches(planned, charged):
    plan = planned(ladders=[(Rung(Level.WATCH, SLOW), Rung(Level.RESTRICTED, TIGHT))])
    shapes = [
        decide(plan, charged(plan, standing=at(level))).shape
        for level in ("clear", "watch", "guarded", "restricted")
    ]
    assert shapes == [NO_SHAPE, SLOW, SLOW, TIGHT]


def test_the_ladders_of_all_policies_add_up(planned, charged):
    other = Shape(names=("q/all",), strip=frozenset({"seed"}))
    plan = planned(ladders=[LADDER, (), (Rung(Level.WATCH, other),)])
    decision = decide(plan, charged(plan, standing=at("guarded")))
    assert decision.shape.names == ("p/guarded", "q/all")
    assert [(reason.policy, reason.limit) for reason in decision.reasons] == [
        ("p", "guarded"), ("p2", "all"),
    ]  # fmt: skip


def test_a_refusal_of_one_ladder_is_not_softened_by_another(planned, charged):
    plan = planned(ladders=[LADDER, (Rung(Level.RESTRICTED, refuse="ask_us"),)])
    decision = decide(plan, charged(plan, standing=at("restricted")))
    assert (decision.effect, decision.shape) == (Effect.REFUSE, NO_SHAPE)
    assert [(reason.policy, reason.says) for reason in decision.reasons] == [("p1", "ask_us")]


@pytest.mark.parametrize("ladders", [(), [()], [(Rung(Level.GUARDED, GUARDED),)]])
def test_a_contained_account_is_refused_whatever_the_ladders_say(planned, charged, ladders):
    plan = planned(ladders=ladders or [()])
    decision = decide(plan, charged(plan, standing=at("contained")))
    (reason,) = decision.reasons
    assert (decision.effect, decision.retry_after) == (Effect.REFUSE, None)
    assert (reason.code, reason.says) == ("standing.contained", "account_under_review")


@pytest.mark.parametrize("level", ["guarded", "contained"])
def test_why_an_account_has_its_level_is_for_operators(house, charged, level):
    assert SECRET not in repr(decide(house, charged(house, *[True] * 4, standing=at(level))))


def test_a_request_that_a_capability_refuses_is_refused_with_its_sentence(planned):
    rule = Capability("p", "forbid n", (frozenset(),), None, lambda *_: True, because="we sell one")
    watched = Capability("p", "watch", (frozenset(),), None, lambda *_: True, mode=Mode.SHADOW)
    decision = decide_forbidden(planned(capabilities=(rule, watched)))
    (reason,) = decision.reasons
    assert (decision.effect, decision.retry_after) == (Effect.REFUSE, None)
    assert (reason.code, reason.limit, reason.because) == (
        "capability.forbidden", "forbid n", "we sell one",
    )  # fmt: skip
    assert [each.code for each in decision.shadowed] == ["capability.shadow"]


def test_what_capabilities_in_shadow_say_is_in_every_decision(limit, planned, charged):
    watched = Capability("p", "watch", (frozenset(),), None, lambda *_: True, mode=Mode.SHADOW)
    plan = planned(limit(), capabilities=(watched,))
    for fits in (True, False):
        decision = decide(plan, charged(plan, fits))
        assert [each.code for each in decision.shadowed] == ["capability.shadow"]


BLIND = [
    # otherwise         on_store_error       mode          standing      effect
    (Otherwise.REFUSE, OnStoreError.DENY,  Mode.ENFORCE, "clear",     Effect.REFUSE),
    (Otherwise.REFUSE, OnStoreError.DENY,  Mode.SHADOW,  "clear",     Effect.ALLOW),
    (Otherwise.REFUSE, OnStoreError.ALLOW, Mode.ENFORCE, "clear",     Effect.ALLOW),
    (Otherwise.REFUSE, OnStoreError.ALLOW, Mode.ENFORCE, "guarded",   Effect.SHAPE),
    (Otherwise.REFUSE, OnStoreError.ALLOW, Mode.ENFORCE, "contained", Effect.REFUSE),
    (Otherwise.SHAPE,  OnStoreError.DENY,  Mode.ENFORCE, "clear",     Effect.SHAPE),
    (Otherwise.SHAPE,  OnStoreError.DENY,  Mode.SHADOW,  "clear",     Effect.ALLOW),
    (Otherwise.SHAPE,  OnStoreError.ALLOW, Mode.ENFORCE, "clear",     Effect.ALLOW),
    (Otherwise.FLAG,   OnStoreError.DENY,  Mode.ENFORCE, "clear",     Effect.ALLOW),
]  # fmt: skip


@pytest.mark.parametrize(("otherwise", "error", "mode", "level", "effect"), BLIND)
def test_what_is_decided_blind(limit, planned, charged, otherwise, error, mode, level, effect):
    plan = planned(limit("r", otherwise, GUARDED, mode, error), ladders=[LADDER])
    local = local_plan(plan, 1)
    decision = decide_blind(plan, local, charged(local), at(level))
    assert (decision.effect, decision.blind, decision.level) == (effect, True, level)


def test_blind_a_standing_refuses_before_a_limit_that_denies(limit, planned, charged):
    plan = planned(limit(), ladders=[LADDER])
    local = local_plan(plan, 1)
    decision = decide_blind(plan, local, charged(local), at("contained"))
    assert [reason.code for reason in decision.reasons] == ["standing.contained"]
    assert decision.retry_after is None


def test_a_shape_is_counted_in_the_process_too(limit, planned, charged):
    plan = planned(limit("r", Otherwise.SHAPE, GUARDED, error=OnStoreError.LOCAL))
    local = local_plan(plan, 2)
    decision = decide_blind(plan, local, charged(local, False))
    assert (decision.effect, decision.shape) == (Effect.SHAPE, GUARDED)
    assert [reason.code for reason in decision.reasons] == ["limit.shaped"]
    assert decision.reasons[0].amount == 10


def test_of_a_limit_that_never_fits_no_wait_is_told(limit, planned, charged):
    plan = planned(limit("a"), limit("b"))
    decision = decide(plan, charged(plan, False, False, retry_after=None))
    assert [reason.code for reason in decision.reasons] == ["limit.never_fits"] * 2
    assert decision.retry_after is None
