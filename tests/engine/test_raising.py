"""A limit without room raises the account's standing: when, to what, and what is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.core.decision import Effect, Mode, OnStoreError
from proxy.core.shape import Shape
from proxy.core.standing import BY_LIMIT, Level, Standing
from proxy.engine import decide, decide_blind, highest, local_plan, standing_after
from proxy.limits.buckets import Rolling
from proxy.policy.compiled import Otherwise, Rung, Unit

S = 1_000_000
H = 3600 * S
NOW = 1_795_435_200 * S
LADDER = (
    Rung(Level.GUARDED, Shape(names=("p/guarded",), n=1)),
    Rung(Level.RESTRICTED, refuse="ask_us"),
)


@pytest.fixture
def raising(limit):
    """Make one limit that raises a level for ten hours unless told otherwise."""

    def raising(name="r", level=Level.GUARDED, lasts=10 * H, **more):
        return replace(limit(name, Otherwise.LEVEL, **more), level=level, lasts=lasts)

    return raising


@pytest.fixture
def asked(planned, charged):
    """Decide a request at NOW under limits none of which has room."""

    def asked(*limits, standing=None, fits=False, ladders=(LADDER,)):
        plan = planned(*limits, ladders=ladders)
        told = charged(plan, *[fits] * len(limits), standing=standing)
        told = replace(told, at=NOW)
        return decide(plan, told), told

    return asked


def at(level, until=NOW + H, by="ada"):
    return Standing(Level(level), NOW - H, until, by, "why")


def test_the_request_itself_is_decided_by_the_standing_that_it_came_with(asked, raising):
    decision, charged = asked(raising(level=Level.RESTRICTED))
    assert (decision.effect, decision.level) == (Effect.ALLOW, "clear")
    assert [reason.code for reason in decision.reasons] == ["limit.raised"]
    assert [(one.policy, one.limit) for one in decision.raised] == [("p", "r")]
    assert standing_after(decision, charged).level is Level.RESTRICTED


def test_what_is_raised_says_since_when_until_when_by_what_and_why(asked, raising):
    bucket = Rolling(2_000_000, 720 * H)
    decision, charged = asked(
        raising("campaign", Level.RESTRICTED, 72 * H, unit=Unit.OUTPUT_TOKENS, bucket=bucket)
    )
    assert standing_after(decision, charged) == Standing(
        Level.RESTRICTED,
        NOW,
        NOW + 72 * H,
        BY_LIMIT + "p/campaign",
        "p/campaign has no room: 50 output tokens asked, 3 left of 2,000,000 by key;"
        " restricted for 3d",
    )


def test_dollars_are_told_as_dollars(asked, raising):
    decision, charged = asked(raising(unit=Unit.USD, bucket=Rolling(2_500_000, 24 * H)))
    told = "p/r has no room: $0.00 asked, $0.000003 left of $2.50 by key; guarded for 10h"
    assert standing_after(decision, charged).reason == told


def test_with_room_nothing_is_raised(asked, raising):
    decision, charged = asked(raising(), fits=True)
    assert (decision.raised, decision.reasons) == ((), ())
    assert standing_after(decision, charged) is None


def test_in_shadow_nothing_is_raised_and_it_is_told(asked, raising):
    decision, charged = asked(raising(mode=Mode.SHADOW))
    assert (decision.raised, decision.reasons) == ((), ())
    assert [reason.code for reason in decision.shadowed] == ["limit.shadow"]
    assert standing_after(decision, charged) is None


# the account stands at          the limit raises to      is it told?
TOLD = [
    (None,                         Level.WATCH,           True),
    (at("watch"),                  Level.GUARDED,         True),
    (at("watch", NOW + 99 * H),    Level.GUARDED,         True),
    (at("guarded", NOW + 11 * H),  Level.GUARDED,         False),
    (at("guarded", NOW + 10 * H),  Level.GUARDED,         False),
    (at("guarded", NOW + 9 * H + 1), Level.GUARDED,       False),
    (at("guarded", NOW + 9 * H),   Level.GUARDED,         True),
    (at("guarded", NOW + 1),       Level.WATCH,           False),
]  # fmt: skip


@pytest.mark.parametrize(("standing", "level", "told"), TOLD)
def test_what_lifts_nothing_and_is_not_longer_by_a_tenth_is_not_told_again(
    asked, raising, standing, level, told
):
    decision, charged = asked(raising(level=level), standing=standing)
    assert bool(decision.raised) is told
    assert ("limit.raised" in [reason.code for reason in decision.reasons]) is told
    assert (standing_after(decision, charged) is not None) is told


def test_of_several_raises_the_highest_counts_and_then_the_longest(asked, raising):
    decision, charged = asked(
        raising("a", Level.WATCH, 99 * H),
        raising("b", Level.GUARDED, 10 * H),
        raising("c", Level.GUARDED, 20 * H),
        raising("d", Level.GUARDED, 5 * H),
    )
    assert len(decision.raised) == 4
    assert highest(decision).limit == "c"
    after = standing_after(decision, charged)
    assert (after.by, after.until) == (BY_LIMIT + "p/c", NOW + 20 * H)


def test_a_limit_that_refuses_keeps_none_from_raising(asked, raising, limit):
    decision, charged = asked(limit("full"), raising())
    assert decision.effect is Effect.REFUSE
    assert [reason.code for reason in decision.reasons] == ["limit.exceeded", "limit.raised"]
    assert decision.retry_after == 5_000_000
    assert standing_after(decision, charged).level is Level.GUARDED


@pytest.mark.parametrize("level", ["restricted", "contained"])
def test_whom_the_standing_refuses_is_raised_no_further_and_so_comes_out(asked, raising, level):
    decision, _ = asked(raising(level=Level.RESTRICTED), standing=at(level, NOW + 1))
    assert (decision.effect, decision.raised) == (Effect.REFUSE, ())
    assert [reason.code for reason in decision.reasons] == [f"standing.{level}"]


@pytest.mark.parametrize("error", list(OnStoreError))
def test_while_the_counters_are_away_nothing_is_raised(planned, charged, raising, error):
    plan = planned(raising(error=error))
    local = local_plan(plan, 1)
    decision = decide_blind(plan, local, charged(local, *[False] * len(local.charges)))
    assert (decision.effect, decision.raised, decision.reasons) == (Effect.ALLOW, (), ())


def test_a_raise_and_a_shape_stand_beside_each_other(asked, raising):
    decision, _ = asked(raising(level=Level.RESTRICTED), standing=at("guarded"))
    assert decision.effect is Effect.SHAPE
    assert [reason.code for reason in decision.reasons] == ["standing.guarded", "limit.raised"]
