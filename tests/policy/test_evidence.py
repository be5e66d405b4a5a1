"""What the ladder's evidence, `detectors`, `reasoning` and the limits of features mean."""

import re
from pathlib import Path
from typing import get_args

import pytest

from proxy.core.errors import PolicyError
from proxy.core.facts import RequestFacts
from proxy.core.principal import Principal
from proxy.core.standing import Level
from proxy.limits.buckets import Distinct
from proxy.policy.compiled import DetectorSetting, PolicySet, Rung, Unit
from proxy.policy.ladders import By
from proxy.policy.loader import load
from proxy.replay.cases import run_cases
from proxy.watch.detectors import FAMILIES

ROOT = Path(__file__).parents[2] / "policies"
HOUR = 3_600_000_000
DAY = 24 * HOUR
SHAPES = "policy: p\nshapes: {s: {delay: 1s}}\nladder:\n"

# what a rung says                                                   at    families  lasts    by
RUNGS = {
    "{level: watch, at: 2, for: 1m}":                               (2.0,  1, HOUR // 60, ("evidence",)),
    "{level: watch, at: 0.5, families: 3, for: 24h}":               (0.5,  3, DAY,        ("evidence",)),
    "{level: watch, shape: s, at: 2.0, for: 30d}":                  (2.0,  1, 30 * DAY,   ("evidence",)),
    "{level: guarded, shape: s, at: 4.0, for: 24h}":                (4.0,  2, DAY,        ("evidence",)),
    "{level: guarded, shape: s, at: 50, families: 4, for: 24h}":    (50.0, 4, DAY,        ("evidence",)),
    "{level: restricted, refuse: a, at: 7, for: 72h, by: [person, evidence]}": (7.0, 2, 3 * DAY, ("evidence", "person")),
    "{level: guarded, shape: s}":                                   (None, 0, 0,          ("person",)),
    "{level: guarded, shape: s, by: person}":                       (None, 0, 0,          ("person",)),
    "{level: contained, refuse: a}":                                (None, 0, 0,          ("person",)),
    "{level: contained, refuse: a, by: [person, invariant]}":       (None, 0, 7 * DAY,    ("invariant", "person")),
    "{level: contained, refuse: a, by: invariant, for: 30d}":       (None, 0, 30 * DAY,   ("invariant",)),
}  # fmt: skip


@pytest.mark.parametrize(("says", "means"), RUNGS.items())
def test_what_it_takes_to_reach_a_rung_follows_from_its_words(write, says, means):
    (policy,) = load(write(p=f"{SHAPES}  - {says}\n")).policies.policies
    (rung,) = policy.ladder
    assert (rung.at, rung.families, rung.lasts, rung.by) == means


def test_a_rung_that_says_nothing_of_evidence_waits_for_people():
    assert Rung(Level.GUARDED) == Rung(Level.GUARDED, at=None, families=0, lasts=0, by=("person",))


@pytest.mark.parametrize("level", ["guarded", "restricted"])
def test_one_kind_of_evidence_reaches_nothing_that_anybody_sees(write, level):
    rung = f"{{level: {level}, shape: s, at: 9.0, families: 1, for: 1h}}"
    with pytest.raises(PolicyError, match="one kind of evidence has an honest explanation"):
        load(write(p=f"{SHAPES}  - {rung}\n"))


@pytest.mark.parametrize(
    "words", ["at: 20.0, for: 1h", "at: 20.0, for: 1h, by: [invariant]", "by: [evidence]"]
)
def test_no_evidence_contains_anybody(write, words):
    with pytest.raises(PolicyError, match="an invariant or a person sets it"):
        load(write(p=f"{SHAPES}  - {{level: contained, refuse: a, {words}}}\n"))


def test_rungs_without_evidence_stand_between_those_with_it(write):
    text = (
        f"{SHAPES}  - {{level: restricted, shape: s, at: 2.5, for: 1h}}\n"
        "  - {level: guarded, shape: s}\n  - {level: watch, at: 2.0, for: 1h}\n"
    )
    (policy,) = load(write(p=text)).policies.policies
    assert [(rung.level.value, rung.at) for rung in policy.ladder] == [
        ("watch", 2.0), ("guarded", None), ("restricted", 2.5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("{plan: free, account: a, org: o, purpose: eval, verified: true, model: m}", ""),
        ("{key: k}", "key"),
        ("{stream: true, ip: 10.0.0.1}", "ip and stream"),
        ("{attributes: {a: b}, prompt_tokens: {above: 1}}", "attributes and prompt_tokens"),
        ("{output_tokens: {above: 1}}", "output_tokens"),
    ],
)
def test_who_is_judged_is_chosen_by_what_is_known_of_accounts(write, when, told):
    text = f"policy: p\nwhen: {when}\nladder: [{{level: watch, at: 2.0, for: 1h}}]\n"
    if not told:
        assert load(write(p=text)).policies.policies[0].ladder[0].at == 2.0
        return
    with pytest.raises(PolicyError, match=f"asks for {told} of a request"):
        load(write(p=text))


@pytest.mark.parametrize("purpose", ["eval", "batch", "synthetic-licensed"])
def test_a_policy_may_speak_of_who_has_declared_a_purpose(write, purpose):
    text = f"policy: p\nwhen: {{purpose: [{purpose}]}}\ndetectors: {{knobs: {{off: true}}}}\n"
    (policy,) = load(write(p=text)).policies.policies
    facts = RequestFacts("openai.chat", "m")
    assert policy.applies(Principal("k", "a", "o", purpose=purpose), facts, "")
    assert not policy.applies(Principal("k", "a", "o"), facts, "")


def test_detectors_are_set_as_the_file_says(write):
    text = "policy: p\ndetectors:\n  breadth: {half_life: 12h, cap: 6}\n  knobs: {cap: 0.1}\n  ramp: {off: true}\n"
    rules = load(write(p=text)).policies
    (policy,) = rules.policies
    assert policy.detectors == {
        "breadth": DetectorSetting(12 * HOUR, 6.0),
        "knobs": DetectorSetting(None, 0.1),
        "ramp": DetectorSetting(off=True),
    }
    assert rules.half_lives == {FAMILIES["breadth"]: 12 * HOUR}
    assert DetectorSetting() == DetectorSetting(half_life=None, cap=None, off=False)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_detector_can_be_set(write, name):
    text = f"policy: p\ndetectors: {{{name}: {{half_life: 90d, off: true}}}}\n"
    rules = load(write(p=text)).policies
    assert rules.half_lives == {FAMILIES[name]: 90 * DAY}
    assert rules.policies[0].detectors == {name: DetectorSetting(90 * DAY, None, off=True)}


def test_who_names_no_detector_is_told_which_there_are(write):
    with pytest.raises(PolicyError) as failed:
        load(write(p="policy: p\ndetectors: {clocks: {off: true}}\n"))
    assert f"'clocks' is no detector ({', '.join(FAMILIES)})" in str(failed.value)


def test_the_files_of_a_set_agree_on_the_half_life_of_a_family(write):
    files = {
        "a": "policy: a\ndetectors: {breadth: {half_life: 7d}}\n",
        "b": "policy: b\ndetectors:\n  knobs: {half_life: 1d}\n  harvest: {half_life: 1d}\n",
        "c": "policy: c\ndetectors: {known_sets: {half_life: 168h}}\n",
    }
    with pytest.raises(PolicyError) as failed:
        load(write(**files))
    (told,) = str(failed.value).splitlines()
    assert told.endswith(
        "b.yaml:4:13: detectors.harvest.half_life: content has the half-life 7d already, of"
        " breadth in a.yaml:2 (one for a whole family)"
    )
    files["b"] = files["b"].replace("harvest: {half_life: 1d}", "harvest: {half_life: 1w}")
    assert load(write(**files)).policies.half_lives == {"content": 7 * DAY, "parameters": DAY}


@pytest.mark.parametrize("rule", ["pass", "drop", "refuse"])
def test_foreign_reasoning_meets_what_the_file_says(write, rule):
    (policy,) = load(write(p=f"policy: p\nreasoning: {{foreign: {rule}}}\n")).policies.policies
    assert policy.foreign == rule


def test_nothing_said_is_nothing_set(write):
    rules = load(write(p="policy: p\nlimits: [{limit: r, allow: 6 requests, per: 1m}]\n")).policies
    (policy,) = rules.policies
    assert (policy.foreign, policy.detectors, policy.ladder) == ("", {}, ())
    assert (rules.half_lives, rules.reads_features) == ({}, False)
    assert hash(rules) == hash(PolicySet(rules.policies, rules.digest))


@pytest.mark.parametrize("unit", [Unit.DISTINCT_TEMPLATES, Unit.DISTINCT_TOPICS])
def test_templates_and_topics_are_counted_as_differing_values(write, unit):
    text = f"policy: p\nlimits: [{{limit: d, allow: 400 {unit.value}, per: 24h, by: [account]}}]\n"
    rules = load(write(p=text)).policies
    (limit,) = rules.policies[0].limits
    assert (limit.unit, limit.bucket) == (unit, Distinct(400, DAY))
    assert rules.reads_features


@pytest.mark.parametrize(
    "text",
    [
        "policy: p\nlimits: [{limit: r, allow: 6 requests, per: 1m, mode: canary}]\n",
        "policy: p\nlimits: [{limit: r, allow: 6 requests, per: 1m, by: cluster}]\n",
    ],
    ids=["canary", "cluster"],
)
def test_words_of_later_versions_are_not_taken_for_known(write, text):
    with pytest.raises(PolicyError, match="is not known in this version"):
        load(write(p=text))


def test_the_shipped_ladder_rises_from_watching_to_people():
    policies = load(ROOT).policies
    (everyone,) = [policy for policy in policies.policies if policy.ladder]
    told = [(rung.level.value, rung.at, rung.families, rung.by) for rung in everyone.ladder]
    assert told == [
        ("watch", 2.0, 1, ("evidence",)),
        ("guarded", 4.0, 2, ("evidence",)),
        ("restricted", 7.0, 2, ("evidence",)),
        ("contained", None, 0, ("invariant", "person")),
    ]
    assert all(rung.lasts for rung in everyone.ladder)
    assert everyone.foreign == "drop"
    assert set(policies.half_lives) == set(FAMILIES.values())
    assert get_args(By) == ("evidence", "invariant", "person")


def test_a_case_names_templates_and_topics_by_words(write):
    directory = write(
        p="policy: p\nlimits:\n  - {limit: t, allow: 2 distinct topics, per: 24h}\n"
        "  - {limit: f, allow: 2 distinct templates, per: 24h}\n"
    )
    (directory / "tests").mkdir()
    (directory / "tests" / "p.yaml").write_text(
        "cases:\n"
        "  - case: one of each is asked where nothing is said\n"
        "    after: [{requests: 9, differing: [prompts, models, keys]}]\n"
        "    expect: {effect: allow, remaining: {t: {above: 0}, f: {above: 0}}}\n"
        "  - case: words are topics\n"
        "    given: {topic: cooking}\n"
        "    after: [{requests: 2, given: {topic: sewing}}, {requests: 1, given: {topic: law}, effect: any}]\n"
        "    expect: {effect: refuse, limit: t}\n"
        "  - case: and others are templates\n"
        "    after: [{requests: 3, differing: [templates], effect: any}]\n"
        "    expect: {effect: refuse, limit: f}\n"
        "  - case: a retry asks for nothing new\n"
        "    given: {template: a, topic: b, prompt: c}\n"
        "    after: [{requests: 5}]\n"
        "    expect: {effect: allow, remaining: {t: {above: 0}, f: {above: 0}}}\n"
    )
    report = run_cases(directory)
    assert report.passed, report.lines()


def test_the_manual_names_every_detector_under_its_family():
    manual = (ROOT.parent / "docs" / "policies.md").read_text()
    table = dict(re.findall(r"^\| (\w+) \| (`\w+`.*) \|$", manual, re.MULTILINE))
    told = {name: family for family, row in table.items() for name in re.findall(r"`(\w+)`", row)}
    assert {name: told.get(name) for name in FAMILIES} == dict(FAMILIES)
