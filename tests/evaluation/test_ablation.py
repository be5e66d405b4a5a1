"""Levels out of histories: calculated by hand, and as the replay itself has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.core.standing import Level
from proxy.evaluation.ablation import WHOLE, ablations, judged
from proxy.evaluation.histories import NAMES, Histories
from proxy.evaluation.leaving import left_out, weighing
from proxy.evaluation.measuring import Measures
from proxy.evaluation.recombining import Held, Life, days_at, first_at, race, standings
from proxy.policy.compiled import Rung
from proxy.population.compose import asked_of, compose
from proxy.population.spec import load
from proxy.replay.calibrating import Scores
from proxy.replay.player import Player
from proxy.replay.watching import watching_for
from proxy.watch.calibration import Calibration
from proxy.watch.curve import Curve
from proxy.watch.detectors import FAMILIES
from proxy.watch.evidence import Finding, Weight, weigh

ROOT = Path(__file__).parents[2]
HOUR = 3_600_000_000
DAY = 24 * HOUR
EVIDENCE = ("evidence",)
LADDER = (
    Rung(Level.WATCH, at=2.0, families=1, lasts=DAY, by=EVIDENCE),
    Rung(Level.GUARDED, at=4.0, families=2, lasts=DAY, by=EVIDENCE),
    Rung(Level.RESTRICTED, at=7.0, families=2, lasts=3 * DAY, by=EVIDENCE),
    Rung(Level.CONTAINED, lasts=7 * DAY, by=("invariant", "person")),
)
WATCH, GUARDED, RESTRICTED, CONTAINED = (rung.level.rank for rung in LADDER)


def combine(values) -> Weight:
    """Weigh by the sum of a family's heaviest, as it stands."""
    by_family: dict[str, float] = {}
    for name, llr in values.items():
        by_family[FAMILIES[name]] = max(by_family.get(FAMILIES[name], 0.0), llr)
    certain = by_family.get("invariant", 0.0)
    return Weight(
        sum(by_family.values()), tuple(f for f, n in by_family.items() if n >= 1), certain
    )


def life(account, history, hours, operator="", archetype="eval", answers=None):
    asked = [round(hour * HOUR) for hour in hours]
    kept = [(round(hour * HOUR), values) for hour, values in history]
    return Life(account, operator, archetype, asked, asked if answers is None else answers, kept)


BOTH = {"harvest": 4.0, "knobs": 4.0}


def test_two_families_restrict_and_one_alone_is_watched():
    assert standings([(0, BOTH)], combine, LADDER) == [Held(RESTRICTED, 0, 3 * DAY)]
    assert standings([(0, {"harvest": 9.0})], combine, LADDER) == [Held(WATCH, 0, DAY)]
    assert standings([(0, {"harvest": 1.9})], combine, LADDER) == []


def test_a_level_is_never_lowered_while_it_holds_and_is_prolonged_after_a_tenth():
    history = [
        (0, BOTH),
        (HOUR, {"harvest": 3.0}),  # lower: changes nothing
        (2 * HOUR, BOTH),  # 2 of 72 hours: not yet a tenth
        (8 * HOUR, BOTH),
        (90 * HOUR, {"harvest": 3.0}),  # what was held has ended at 80 hours
    ]
    assert standings(history, combine, LADDER) == [
        Held(RESTRICTED, 0, 80 * HOUR),
        Held(WATCH, 90 * HOUR, 114 * HOUR),
    ]


def test_a_higher_level_ends_a_lower_one():
    history = [(0, {"harvest": 3.0}), (HOUR, BOTH)]
    assert standings(history, combine, LADDER) == [
        Held(WATCH, 0, HOUR),
        Held(RESTRICTED, HOUR, 73 * HOUR),
    ]


def test_what_cannot_happen_by_chance_contains_and_needs_no_second_family():
    assert standings([(0, {"foreign_reasoning": 8.0})], combine, LADDER)[0].rank == CONTAINED
    assert standings([(0, {"foreign_reasoning": 7.2})], combine, LADDER)[0].rank == RESTRICTED


def test_a_level_is_met_by_the_first_request_after_it_and_only_while_it_holds():
    held = [Held(WATCH, 5 * HOUR, 29 * HOUR)]
    asks = life("a", [], [1, 4, 6, 28, 30, 80])
    assert first_at(asks, held, Level.WATCH) == 6 * HOUR
    assert days_at(asks, held, Level.WATCH) == 2
    assert first_at(asks, held, Level.GUARDED) is None
    assert first_at(life("a", [], [1, 30]), held, Level.WATCH) is None


def test_a_campaign_is_restricted_when_half_of_its_accounts_so_far_are():
    lives = [life("a", [], [0, 2, 4, 6, 8]), life("b", [], [1, 3, 5, 7]), life("c", [], [2, 5, 9])]
    assert race(lives, [None, None, None]) == (None, 12)
    # One of three, then two of three; what is asked at that very moment is decided there.
    assert race(lives, [4 * HOUR, None, 9 * HOUR]) == (9 * HOUR, 11)
    # One of one: before anybody else has come.
    assert race(lives, [0, None, None]) == (0, 0)


def test_each_family_is_left_out_and_each_detector_of_a_larger_one():
    thief = life("t", [(2, BOTH)], range(10), operator="c1")
    odd = life("h", [(2, {"harvest": 4.0, "breadth": 5.0, "knobs": 2.5})], range(4))
    calm = life("i", [], range(6), archetype="rag")
    found = {each.name: each for each in ablations([thief, odd, calm], combine, LADDER, FAMILIES)}
    assert len(found) == 1 + len(set(FAMILIES.values())) + len(FAMILIES)
    whole = found[WHOLE]
    assert (whole.campaigns[0].answers, whole.campaigns[0].reached) == (2, True)
    assert (whole.restricted.days.found, whole.restricted.days.of) == (1, 2)
    assert (whole.restricted.worst, whole.restricted.worst_days.value) == ("eval", 1.0)
    # Without content one family speaks, and of a thief's ten answers all are got.
    without = found["without content"]
    assert (without.single[0].answers, without.single[0].reached) == (10, False)
    assert (without.restricted.days.found, without.guarded.days.found) == (0, 0)
    assert found["without breadth"].restricted.days.found == 0
    assert found["without breadth"].guarded.days.found == 1
    assert found["without harvest"].restricted.days.found == 1
    assert found["without reasoning"] == replace(whole, name="without reasoning")


def test_nobody_is_judged_of_nothing():
    (whole, *_) = ablations([], combine, LADDER, FAMILIES)
    assert (whole.campaigns, whole.guarded.days.of, whole.guarded.worst) == ((), 0, "")


LOUD = Calibration(
    {name: Curve((1.5, 2.5, 4.0), (1.2, 2.4, 4.0)) for name in NAMES},
    Curve(tuple(float(k) for k in range(1, 30)), tuple(float(k) for k in range(1, 30))),
)


@pytest.fixture(scope="module")
def played():
    """The small population's first two days under tables that say far too much."""
    from proxy.policy.loader import load as load_policies  # noqa: PLC0415

    spec = load(ROOT / "bench" / "populations" / "small.yaml")
    rules = replace(load_policies(ROOT / "policies"), calibration=LOUD)
    watching = watching_for(rules)
    assert watching is not None
    histories, scores, measures = Histories(), Scores(), Measures()
    watching.hears = (histories, scores)
    player = Player(rules, (measures, histories), watching)
    for entry in compose(spec):
        if entry.t >= spec.start + 5 * DAY // 2:
            break
        player.feed(entry)
    player.finish()
    return rules, spec, histories, scores, measures.results()


def ladder_of(rules):
    return tuple(rung for policy in rules.policies.policies for rung in policy.ladder)


def loud(values):
    return weigh(
        [Finding(name, FAMILIES[name], 0.0, llr, {}) for name, llr in values.items()], LOUD
    )


def test_all_detectors_recombined_raise_whom_the_replay_has_raised(played):
    rules, _, histories, _, results = played
    lives = [each for each, _ in histories.lives()]
    raised = [(each, standings(each.history, loud, ladder_of(rules))) for each in lives]
    found = judged(WHOLE, raised)
    levels = {each.name: each for each in results.pooled.levels}
    assert levels["guarded"].days.found > 5
    assert found.guarded.days == levels["guarded"].days
    assert found.restricted.days == levels["restricted"].days
    for ours, theirs in zip(found.campaigns, results.campaigns, strict=True):
        reached = next(each for each in theirs.levels if each.name == "restricted")
        assert (ours.name, ours.accounts) == (theirs.name, theirs.accounts)
        assert ours.reached == (reached.after is not None)
        # What a level cut before is an answer here and none at full fidelity there.
        assert ours.answers >= reached.before.answers
    assert any(each.reached for each in found.campaigns)


def test_scores_weighed_by_the_same_tables_are_the_nats_that_were_said(played):
    _, _, histories, _, _ = played
    nats = {each.account: each.history for each, _ in histories.lives()}
    compared = 0
    for each, purpose in histories.lives(scores=True):
        combined = weighing(LOUD, purpose)
        for (at, scores), (same, said) in zip(each.history, nats[each.account], strict=True):
            assert at == same
            assert combined(scores).total == pytest.approx(loud(said).total, abs=1e-4)
            compared += 1
    assert compared > 1_000


def test_a_source_is_left_out_of_the_tables_and_judged_by_them(played):
    rules, spec, histories, scores, _ = played
    sources = asked_of(spec)
    found = {each.source: each for each in left_out(histories, scores, sources, ladder_of(rules))}
    assert list(found) == sorted(spec.texts)
    coding = found["coding"]
    has = {a for a, names in sources.items() if "coding" in names}
    honest = {a for a, kept in histories.accounts.items() if not kept.operator}
    assert (coding.judged, coding.accounts) == (len(honest & has), len(honest - has))
    named = {each.name for each in coding.found.campaigns}
    assert {"one-heavy", "foreign"} <= named
    assert "reseller" not in named
    assert 0 < coding.most < LOUD.most


def test_where_too_few_are_without_a_source_nothing_is_said(played):
    rules, _, histories, scores, _ = played
    sources = dict.fromkeys(histories.accounts, ("everybody's",))
    (left,) = left_out(histories, scores, sources, ladder_of(rules))
    assert (left.accounts, left.found) == (0, None)


def test_sources_are_known_of_every_account_that_sends(small_accounts):
    spec, accounts = small_accounts
    sources = asked_of(spec)
    assert accounts <= set(sources)


@pytest.fixture(scope="module")
def small_accounts():
    spec = load(ROOT / "bench" / "populations" / "small.yaml")
    return spec, {entry.account for entry in compose(spec)}
