"""Baselines on labelled traffic: whom they flag, and what was had before."""

from __future__ import annotations

import pytest

from proxy.core.facts import RequestFacts
from proxy.evaluation.baselines.distinct import DistinctQuota
from proxy.evaluation.baselines.embedding import Embedding
from proxy.evaluation.baselines.judging import Judge, Rule
from proxy.evaluation.baselines.quota import RequestQuota
from proxy.evaluation.calibrating import Calibration, HeldOut
from proxy.evaluation.evaluating import Asked, evaluate
from proxy.evaluation.race import Got
from proxy.evaluation.tables_tried import tried_tables
from proxy.evaluation.trial import Trial, tokens_of
from proxy.replay.played import Played
from proxy.replay.player import Player
from proxy.traffic.entry import Label

HOUR = 3_600_000_000


@pytest.fixture
def tried(rules):
    def run(entries, counters=(), judges=(), held_out=lambda _account, _label: False):
        trial = Trial(counters, judges, Embedding(1), held_out)
        Player(rules(), (trial,)).play(entries)
        return trial.results()

    return run


def test_a_campaign_is_caught_at_the_first_alarm_of_half_of_its_accounts(tried, sent):
    entries = [sent(0.1 * n, "ab"[n % 2], "c1") for n in range(10)]
    entries += [sent(2, "c", "c1")]
    (found,) = tried(entries, [RequestQuota(3)]).detectors
    (caught,) = found.campaigns
    # Each of the two has three; the seventh request is the first one too many.
    assert (found.name, caught.accounts, caught.answers) == ("requests-3", 3, 11)
    assert caught.reached.before == Got(6, 600)
    assert caught.reached.after == 6 * HOUR // 10
    assert caught.reached.accounts == 2


def test_cover_and_errors_count_for_the_alarm_and_not_as_answers(tried, sent):
    entries = [
        sent(0, "a", "c1", cover=True),
        sent(1, "a", "c1", status=500),
        sent(2, "a", "c1"),
        sent(3, "a", "c1"),
    ]
    (found,) = tried(entries, [RequestQuota(3)]).detectors
    assert (found.campaigns[0].answers, found.campaigns[0].reached.before) == (2, Got(1, 100))


def test_a_flag_holds_for_a_day_and_so_spoils_the_next_day_too(tried, sent):
    entries = [sent(hour, "h1") for hour in (20, 21, 22, 23)]  # alarms at 22 and 23
    entries += [sent(24 + 1, "h1"), sent(48 + 1, "h1")]
    entries += [sent(5, "h2", archetype="rag"), sent(30, "h2", archetype="rag")]
    entries.sort(key=lambda each: each.t)
    (found,) = tried(entries, [RequestQuota(2)]).detectors
    assert found.pooled is not None
    assert (found.pooled.days.found, found.pooled.days.of) == (2, 5)
    assert (found.pooled.accounts.found, found.pooled.accounts.of) == (1, 2)
    rag = dict(found.archetypes)["rag"]
    assert (rag.days.found, rag.days.of) == (0, 2)


def test_windows_are_counted_by_archetype_and_by_mix(tried, sent):
    def first(window):
        return float(window[:, 0].size)

    judge = Judge(100, first, (Rule("always", high=99.0), Rule("never", high=100.0)))
    entries = [sent(n / 1000, "h", text=f"text {n}") for n in range(250)]
    entries += [sent(n / 1000, "t", "c1", cover=n % 100 >= 10) for n in range(200)]
    entries.sort(key=lambda each: (each.t, each.account))
    always, never = tried(entries, judges=[judge]).detectors
    assert [(t.name, t.alarms.found, t.alarms.of) for t in always.honest] == [
        ("all", 2, 2),
        ("batch", 2, 2),
    ]
    assert [(t.name, t.alarms.found, t.alarms.of) for t in always.thieves] == [("10 %", 2, 2)]
    assert [t.alarms.found for t in (*never.honest, *never.thieves)] == [0, 0, 0]
    assert always.campaigns[0].reached.before.answers == 10


def test_what_is_held_out_is_not_measured_and_thieves_never_are(tried, sent):
    label = Label("x", "benign")
    held_out = HeldOut(1)
    held = [name for name in (f"h{n}" for n in range(200)) if held_out(name, label)]
    assert 40 < len(held) < 80
    assert not any(held_out(name, Label("x", "extraction")) for name in held)
    assert [HeldOut(2)(name, label) for name in held].count(True) < len(held)
    entries = [sent(n, name) for n, name in enumerate(held[:3])] + [sent(9, held[0], "c1")]
    found = tried(entries, [RequestQuota(1)], held_out=held_out)
    assert found.measured == 1
    assert found.detectors[0].pooled is None


def test_requests_without_a_label_are_shown_to_nobody(tried, sent):
    found = tried([sent(n, "x", unlabelled=True) for n in range(5)], [RequestQuota(1)])
    assert (found.measured, found.detectors[0].campaigns) == (0, ())


def test_calibration_keeps_a_bounded_sample_and_few_windows_of_one_account(rules, sent):
    calibration = Calibration(Embedding(1), seed=1)
    player = Player(rules(), (calibration,))
    player.play(sent(n / 1000, "h", text=f"text {n}") for n in range(550))
    assert (calibration.requests, len(calibration.prompts)) == (550, 550)
    assert [len(calibration.windows[size]) for size in (100, 1500)] == [3, 0]
    judges, missing = calibration.judges(("prada", "mmd"))
    assert [rule.name for judge in judges for rule in judge.rules] == [
        "prada-100", "mmd-100", "prada-1500",
    ]  # fmt: skip
    assert "mmd-1500: 550 honest prompts to calibrate on, 3,000 are needed" in missing
    assert "mmd-100-by-account: 3 honest windows to calibrate on, 20 are needed" in missing


def test_calibration_reads_the_first_days_of_the_accounts_that_are_held_out(rules, sent):
    names = [f"h{n}" for n in range(60)]
    held = [name for name in names if HeldOut(1)(name, Label("x", "benign"))]
    read = []

    def source():
        for hour in range(0, 300, 6):
            read.append(hour)
            yield from (sent(hour, name) for name in names)

    found = evaluate(source, rules(), Asked(families=("prada",), repeats=0))
    assert found.calibrated.accounts == len(held)
    assert found.calibrated.prompts == len(held) * 28  # seven days, four a day
    assert found.requests == 50 * 60
    assert found.trialled is not None
    assert found.trialled.measured == 50 * (60 - len(held))
    assert len(read) == 29 + 50  # the first reading ends with the seventh day


def test_an_evaluation_of_policies_alone_reads_once_and_tries_nothing(rules, sent):
    times = []

    def source():
        times.append(1)
        return [sent(0, "a", "c1"), sent(1, "h")]

    found = evaluate(source, rules(), Asked(families=(), repeats=2))
    assert (len(times), found.trialled, found.baseline_controls) == (1, None, ())
    assert [each.mark for each in found.controls] == ["watch", "guarded", "restricted", "contained"]


def test_an_evaluation_of_nothing_is_empty(rules):
    found = evaluate(list, rules(), Asked())
    assert (found.requests, found.first) == (0, None)
    assert found.as_dict()["results"] == {
        "campaigns": (), "archetypes": (), "pooled": None, "unlabelled": 0,
    }  # fmt: skip


def test_requests_without_a_text_are_counted_and_shown_to_quotas_alone(tried, sent):
    entries = [sent(n, "a", "c1") for n in range(3)]
    for each in entries:
        each.body, each.facts = None, RequestFacts("openai.chat", "m", prompt=f"{each.t:016x}")
    judge = Judge(100, lambda _window: 1.0, (Rule("never"),))
    found = tried(entries, [DistinctQuota(2)], [judge])
    assert (found.measured, found.textless) == (3, 3)
    assert found.detectors[0].campaigns[0].reached.after == 2 * HOUR


def test_an_answer_that_nobody_noted_is_an_answer_of_unknown_length(sent):
    entry = sent(0, "a")
    entry.answer = None
    assert tokens_of(entry) == 0
    assert tokens_of(sent(0, "a", status=500)) is None
    assert tokens_of(sent(0, "a")) == 100


def test_of_many_prompts_calibration_keeps_an_even_sample(sent):
    calibration = Calibration(Embedding(1), seed=1)
    entry = sent(0, "h")
    for n in range(9_000):
        text = "early words" if n < 4_500 else "late, and otherwise"
        calibration.decided(Played(entry, entry.t, facts=RequestFacts("openai.chat", prompt=text)))
    assert (calibration.requests, len(calibration.prompts)) == (9_000, 6_000)
    early = Embedding(1)("early words")
    kept = sum(bool((each == early).all()) for each in calibration.prompts)
    assert 2_800 < kept < 3_200


def test_windows_stand_beside_what_was_published_of_them(tried, sent):
    judge = Judge(100, lambda _window: 1.0, (Rule("mmd-100", high=0.5),))
    entries = [sent(n / 1000, "h", text=f"text {n}") for n in range(100)]
    entries += [sent(n / 1000, "t", "c1") for n in range(100)]
    entries.sort(key=lambda each: (each.t, each.account))
    tables = {each.title: each for each in tried_tables(tried(entries, judges=[judge]))}
    ours, published = tables["Window by window"].rows
    assert ours[:4] == ("mmd-100", "here", "100 % (2.5 to 100) of 1", "100 % of 1")
    assert published[:4] == ("", "published", "0.7 %", "100 %")
    assert len(ours) == len(published) == len(tables["Window by window"].head)
    assert tables["Honest windows with an alarm, by archetype"].rows == (("batch", "100"),)
    assert tables["Baselines"].rows[0][-1] == "batch 100 %"
    assert tables["Full answers before a campaign was caught"].rows == (("c1", "1", "100", "99"),)
