"""What thieves got and what honest accounts felt: every number here is calculated by hand."""

from __future__ import annotations

import pytest

from proxy.evaluation.bounds import clopper_pearson, share
from proxy.evaluation.measuring import Measures
from proxy.evaluation.race import Got, Race
from proxy.replay.player import Player

HOUR = 3_600_000_000
DAY = 24 * HOUR
NEVER = None


def by_name(levels) -> dict:
    return {each.name: each for each in levels}


def test_one_account_has_got_what_it_was_answered_before_its_first_request_at_the_level(
    measured, sent
):
    levels = ["clear", "clear", "clear", "watch", "guarded", "clear"]
    found = measured([sent(hour, "a", "c1", level=level) for hour, level in enumerate(levels)])
    (campaign,) = found.campaigns
    assert (campaign.requests, campaign.answers, campaign.full) == (6, 6, Got(6, 600))
    at = by_name(campaign.levels)
    # level        before          reached after  accounts
    expected = {
        "watch": (Got(3, 300), 3 * HOUR, 1),
        "guarded": (Got(4, 400), 4 * HOUR, 1),
        "restricted": (Got(6, 600), NEVER, 0),
        "contained": (Got(6, 600), NEVER, 0),
    }
    assert {k: (v.before, v.after, v.accounts) for k, v in at.items()} == expected


def test_an_account_at_a_level_stands_at_all_below_it(measured, sent):
    found = measured([sent(0, "a", "c1"), sent(1, "a", "c1", level="contained")])
    # What is contained is refused, and so is no answer.
    assert [each.before for each in found.campaigns[0].levels] == [Got(1, 100)] * 4
    assert found.campaigns[0].refused == 1
    assert found.campaigns[0].full == Got(1, 100)


def test_a_campaign_has_reached_a_level_when_half_of_its_accounts_so_far_have(measured, sent):
    found = measured(
        [
            sent(0, "a", "c1"),
            sent(1, "b", "c1"),
            sent(2, "c", "c1"),
            sent(3, "a", "c1", level="watch"),  # one of three
            sent(4, "b", "c1"),
            sent(5, "b", "c1", level="watch"),  # two of three
            sent(6, "c", "c1"),
        ]
    )
    watch = by_name(found.campaigns[0].levels)["watch"]
    assert (watch.before.answers, watch.after, watch.accounts) == (5, 5 * HOUR, 2)


def test_a_campaign_that_goes_on_with_new_accounts_falls_below_again(measured, sent):
    found = measured(
        [
            sent(0, "a", "c1", level="watch"),  # one of one: reached
            sent(1, "b", "c1"),  # one of two: still
            sent(2, "c", "c1"),  # one of three: below
            sent(3, "c", "c1"),
            sent(4, "b", "c1", level="watch"),  # two of three
        ]
    )
    watch = by_name(found.campaigns[0].levels)["watch"]
    assert (watch.before, watch.below) == (Got(0, 0), Got(2, 200))


def test_cover_is_no_answer_that_a_thief_wanted(measured, sent):
    found = measured([sent(0, "a", "c1", cover=True), sent(1, "a", "c1")])
    (campaign,) = found.campaigns
    assert (campaign.answers, campaign.cover, campaign.full) == (2, 1, Got(1, 100))


def test_an_error_is_no_answer(measured, sent):
    found = measured([sent(0, "a", "c1", status=500), sent(1, "a", "c1")])
    assert (found.campaigns[0].requests, found.campaigns[0].answers) == (2, 1)
    assert found.campaigns[0].full == Got(1, 100)


def test_an_answer_counts_by_when_it_was_asked_for_not_by_when_it_ended(measured, sent):
    found = measured(
        [sent(0, "a", "c1", lasted=2 * HOUR), sent(1, "a", "c1", level="watch"), sent(5, "a", "c1")]
    )
    watch = by_name(found.campaigns[0].levels)["watch"]
    assert watch.before == Got(1, 100)


def test_what_a_shape_cuts_is_shaped_and_not_at_full_fidelity(measured, sent):
    two = """
shapes: {one: {clamp: {n: 1}}}
limits:
  - {limit: two, allow: 2 requests, per: day, by: [account], otherwise: {shape: one}}
"""
    entries = [sent(hour, "a", "c1", knobs={"n": 4}) for hour in range(5)]
    found = measured(entries, two)
    assert (found.campaigns[0].shaped, found.campaigns[0].full.answers) == (3, 2)
    assert found.campaigns[0].answers == 5


def test_what_is_refused_is_counted_as_refused_alone(measured, sent):
    two = "limits: [{limit: two, allow: 2 requests, per: day, by: [account]}]"
    found = measured([sent(hour, "a", "c1") for hour in range(5)], two)
    campaign = found.campaigns[0]
    assert (campaign.requests, campaign.refused, campaign.answers) == (5, 3, 2)


def test_honest_account_days_are_accounts_by_days_of_utc_with_a_request(measured, sent):
    found = measured(
        [
            sent(0, "h1"),
            sent(1, "h1", level="watch"),
            sent(2, "h1", level="watch"),
            sent(3, "h2", archetype="rag"),
            sent(23.9, "h2", archetype="rag", level="guarded"),
            sent(24, "h1"),  # midnight: a new day
            sent(24.1, "h2", archetype="rag", level="watch"),
            sent(24 * 3, "h1"),
        ]
    )
    named = {each.name: each for each in found.archetypes}
    assert (named["batch"].accounts, named["batch"].days, named["batch"].requests) == (1, 3, 5)
    assert (named["rag"].accounts, named["rag"].days) == (1, 2)
    watch, guarded = found.pooled.levels[:2]
    assert (watch.days.found, watch.days.of) == (3, 5)
    assert (guarded.days.found, guarded.days.of) == (1, 5)
    assert (watch.accounts.found, guarded.accounts.found, watch.accounts.of) == (2, 1, 2)
    # Beta quantiles of 3 in 5, from published tables.
    assert (watch.days.low, watch.days.high) == pytest.approx((0.14663, 0.94726), abs=2e-5)
    assert (found.pooled.full, found.pooled.tokens) == (8, 800)


def test_a_day_with_two_refusals_is_one_day_with_a_refusal(measured, sent):
    two = "limits: [{limit: two, allow: 2 requests, per: day, by: [account]}]"
    entries = [sent(hour, "h1") for hour in (0, 1, 2, 3, 24, 25, 49)]
    found = measured(entries, two)
    assert (found.pooled.refused, found.pooled.days) == (2, 3)
    assert (found.pooled.refused_days.found, found.pooled.refused_days.of) == (1, 3)
    assert found.pooled.shaped_days.found == 0


def test_requests_without_a_label_are_counted_apart(measured, sent):
    found = measured([sent(0, "x", unlabelled=True), sent(1, "h1")])
    assert (found.unlabelled, found.pooled.requests) == (1, 1)
    assert any("1 requests without a label" in line for line in found.lines())


def test_traffic_without_any_label_has_no_results(rules, sent):
    measures = Measures()
    Player(rules(), (measures,)).play([sent(0, "x", unlabelled=True)])
    found = measures.results()
    assert not measures.labelled
    assert (found.campaigns, found.archetypes, found.pooled) == ((), (), None)


def test_results_come_in_the_order_of_names(measured, sent):
    found = measured([sent(0, "b", "c2"), sent(1, "a", "c1"), sent(2, "h", archetype="rag")])
    assert [each.name for each in found.campaigns] == ["c1", "c2"]
    assert found.as_dict()["campaigns"][0]["levels"][0]["before"] == {"answers": 1, "tokens": 100}


@pytest.mark.parametrize(
    ("found", "of", "low", "high"),
    [
        (0, 3000, 0.0, 0.0012289),
        (0, 10, 0.0, 0.308497),
        (10, 10, 0.691503, 1.0),
        (5, 10, 0.187086, 0.812914),
        (1, 20, 0.001265, 0.248733),
        (0, 0, 0.0, 1.0),
    ],
)
def test_clopper_pearson_bounds_are_those_of_the_tables(found, of, low, high):
    assert clopper_pearson(found, of) == pytest.approx((low, high), abs=1e-6)


def test_a_share_of_nothing_is_zero_and_proves_nothing():
    assert (share(0, 0).value, share(0, 0).low, share(0, 0).high) == (0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="4 of 3 is no share"):
        clopper_pearson(4, 3)


def test_an_account_that_bears_a_mark_twice_bears_it_once():
    race = Race(("one", "two"))
    for _ in range(3):
        race.enters("a", 5, 0b01)
    assert [each.accounts for each in race.results()] == [1, 0]
    assert [each.after for each in race.results()] == [0, None]
