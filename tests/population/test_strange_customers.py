"""Honest customers who look like thieves, and thieves in a costume."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from proxy.population.compose import asked_of, compose
from proxy.population.honest.archetypes import ARCHETYPES, STRANGE
from proxy.population.rhythm import DAY
from proxy.population.spec import load

BENCH = Path(__file__).parents[2] / "bench" / "populations"
HARVEST = "technique: harvest, share: heavy, sources: coding, requests_per_day: 60"


def by_account(entries):
    found = defaultdict(list)
    for entry in entries:
        found[entry.account].append(entry)
    return found


def texts_of(entry) -> tuple[str, list]:
    """Return the system prompt and the turns of a body, of any door."""
    body = entry.body
    turns = body.get("messages") or body.get("input")
    if isinstance(turns, str):
        turns = [{"role": "user", "content": turns}]
    system = body.get("system") or body.get("instructions") or ""
    return system or next((t["content"] for t in turns if t["role"] in {"system", "developer"}), ""), [
        turn for turn in turns if turn["role"] not in {"system", "developer"}
    ]  # fmt: skip


def test_writers_ask_bare_single_questions_with_long_answers(honest):
    entries = [
        each for found in honest("writer", "[instructions, notes]").values() for each in found
    ]
    shapes = [texts_of(each) for each in entries]
    assert all(not system and len(turns) == 1 for system, turns in shapes)
    assert all("user" not in each.body for each in entries)
    done = [each.answer.usage.reported_output for each in entries if each.answer.end == "complete"]
    assert sorted(done)[len(done) // 2] > 150


def test_pupils_want_to_see_the_reasoning_and_share_their_exercises(honest):
    entries = [each for found in honest("tutor", "sums").values() for each in found]
    last = [texts_of(each)[1][-1]["content"] for each in entries]
    wanting = sum(
        "reasoning" in each.lower() or "steps" in each or "working" in each for each in last
    )
    assert 0.1 < wanting / len(last) < 0.6
    assert any(len(texts_of(each)[1]) > 1 for each in entries)


def test_in_a_costume_every_request_is_of_a_products_conversation(campaign):
    plain, dressed = campaign(HARVEST), campaign(f"{HARVEST}, dress: product")
    assert all(len(texts_of(each)[1]) == 1 for each in plain)
    shapes = [texts_of(each) for each in dressed]
    (system,) = {system for system, _ in shapes}
    assert len(system) > 40
    lengths = Counter(len(turns) for _, turns in shapes)
    assert lengths[1] < 0.7 * len(dressed)
    assert all(length % 2 for length in lengths)
    users = {
        each.body.get("user") or each.body.get("metadata", {}).get("user_id") for each in dressed
    }
    assert len(users) > 5
    assert None not in users


def test_a_costumes_history_is_what_was_answered(campaign):
    dressed = campaign(f"{HARVEST}, dress: product")
    answered = {each.answer.text for each in dressed if each.answer.text}
    quoted = 0
    for each in dressed:
        for turn in texts_of(each)[1]:
            if turn["role"] == "assistant":
                content = turn["content"]
                words = content if isinstance(content, str) else content[-1]["text"]
                assert words in answered
                quoted += 1
    assert quoted > 20


def test_a_slow_campaign_comes_up_to_its_volume(campaign):
    words = f"{HARVEST}, ramp: 4d"
    entries = campaign(words, days=8)
    days = Counter((each.t - 1780272000_000_000) // DAY for each in entries)
    assert days[0] < 0.4 * days[5]
    assert days[0] < days[2] < days[5]


def test_one_account_replays_its_own_reasoning_in_another_conversation(campaign):
    entries = campaign(
        "technique: blob-replay, share: heavy, sources: [sums, coding], requests_per_day: 60,"
        " models: claude-sonnet-4-5"
    )
    assert len({each.account for each in entries}) == 1
    begun = {}
    carried = moved = 0
    for each in entries:
        first = texts_of(each)[1][0]["content"]
        for turn in texts_of(each)[1]:
            for block in turn["content"] if isinstance(turn["content"], list) else ():
                if block["type"] == "thinking":
                    carried += 1
                    moved += begun[block["signature"]] != first
        for sealed in each.answer.sealed:
            begun.setdefault(sealed, first)
    assert carried > 20
    assert moved > 0.8 * carried  # a set is small: now and then it is the same question


def test_newcomers_without_a_ramp_are_at_their_maximum_at_once(population):
    parts = """\
honest:
  - {archetype: rag, accounts: 24, sources: notes, newcomers: 95%, ramp: RAMP,
     requests_per_day: {median: 40, spread: 0.1}, rhythm: flat}
"""
    first = {}
    for ramp in ("true", "false"):
        found = by_account(compose(population(parts.replace("RAMP", ramp), 14)))
        new = [each for each in found.values() if each[0].attributes["signed_up"] >= "2026-06-01"]
        assert len(new) > 6
        # The first whole day: who begins in the evening has little of the day before.
        days = [[e.t // DAY - each[0].t // DAY for e in each] for each in new]
        first[ramp] = sum(each.count(1) for each in days)
    assert first["false"] > 2 * first["true"]


def test_a_purpose_is_declared_by_all_of_a_group_or_by_none(population):
    parts = "honest:\n  - {archetype: eval, accounts: 12, sources: sums, purpose: PURPOSE}\n"
    for purpose, declared in (("none", ""), ("eval", "eval")):
        entries = compose(population(parts.replace("PURPOSE", purpose)))
        assert {each.purpose for each in entries} == {declared}


def test_who_has_all_of_a_set_asks_all_of_it(population):
    parts = """\
honest:
  - {archetype: eval, accounts: 4, sources: [instructions, questions], whole: WHOLE, models: gpt-4.1,
     requests_per_day: {median: 200, spread: 0.1}, rhythm: flat}
"""
    asked = {}
    for whole in ("true", "false"):
        found = by_account(compose(population(parts.replace("WHOLE", whole))))
        asked[whole] = [
            len({texts_of(e)[1][-1]["content"] for e in each}) for each in found.values()
        ]
    assert set(asked["true"]) == {48}
    assert min(asked["false"]) < 48


def test_one_campaign_more_leaves_the_others_as_they_were(population):
    one = "campaigns:\n  - {campaign: a, " + HARVEST + "}\n"
    honest = "honest:\n  - {archetype: rag, accounts: 3, sources: [notes, questions]}\n"
    two = one + "  - {campaign: b, " + HARVEST + ", signups: 365d, dress: product}\n"
    before, after = by_account(compose(population(honest + one))), by_account(
        compose(population(honest + two))
    )  # fmt: skip
    assert len(after) == len(before) + 1
    assert all(after[account] == before[account] for account in before)


def test_the_sources_of_every_account_are_known(population):
    parts = """\
honest:
  - {archetype: migration, accounts: 8, sources: [support, notes]}
campaigns:
  - {campaign: a, technique: harvest, share: random, accounts: 3, sources: coding,
     requests_per_day: 9, cover: 50%, cover_sources: [questions, coding]}
"""
    spec = population(parts)
    sources = asked_of(spec)
    for account, entries in by_account(compose(spec)).items():
        thief = entries[0].label.kind == "extraction"
        assert sources[account] == (("coding", "questions") if thief else ("support", "notes"))


def test_what_is_calibrated_on_holds_every_ordinary_archetype_and_nobody_else():
    spec = load(BENCH / "calibration-small.yaml")
    assert {each.archetype for each in spec.text.honest} == set(ARCHETYPES) - set(STRANGE)
    assert not spec.text.campaigns
    assert "dress" not in (BENCH / "medium.yaml").read_text()
