"""Dice, rhythms and words."""

from collections import Counter
from itertools import pairwise

import pytest

from proxy.population import prose
from proxy.population.chance import about, count, dice, popular, several
from proxy.population.playing import played
from proxy.population.rewriting import reworded, typed
from proxy.population.rhythm import DAY, HOUR, HOURS, rhythm, shares
from proxy.population.texts import Trace
from proxy.traffic.entry import Entry

TEXT = "Write a short story about a lamp. Explain each step. Give an example of the result."


def test_dice_tell_their_names_apart():
    assert dice("ab", "c").random() != dice("a", "bc").random()
    assert dice("a", 1).random() == dice("a", 1).random()


@pytest.mark.parametrize("mean", [0.3, 4.0, 80.0])
def test_counts_have_their_mean(mean):
    rng = dice("counts", mean)
    drawn = [count(rng, mean) for _ in range(4_000)]
    assert abs(sum(drawn) / len(drawn) - mean) < 0.05 * mean + 0.02
    assert count(rng, 0.0) == 0


def test_half_of_all_amounts_lie_below_the_median():
    rng = dice("amounts")
    assert 0.47 < sum(about(rng, 12.0, 1.1) < 12.0 for _ in range(4_000)) / 4_000 < 0.53


def test_the_first_are_popular_and_all_are_reached():
    rng = dice("popular")
    drawn = Counter(popular(rng, 10) for _ in range(4_000))
    assert sorted(drawn) == list(range(10))
    assert drawn[0] > 4 * drawn[9]


def test_several_is_at_least_one_and_has_its_mean():
    rng = dice("several")
    drawn = [several(rng, 3.0, 50) for _ in range(4_000)]
    assert min(drawn) == 1
    assert abs(sum(drawn) / len(drawn) - 3.0) < 0.2


@pytest.mark.parametrize("kind", list(HOURS))
@pytest.mark.parametrize("offset", [-8, 0, 9])
def test_a_rhythm_holds_the_whole_day_in_order(kind, offset):
    day = rhythm(kind, offset)
    moments = [day.moment(k / 500) for k in range(500)]
    assert moments == sorted(moments)
    assert moments[0] == 0
    assert moments[-1] < DAY


def test_an_office_works_in_its_own_zone():
    tokyo = rhythm("office", 9)
    moments = [(tokyo.moment(k / 500) // HOUR + 9) % 24 for k in range(500)]
    assert sum(9 <= hour < 18 for hour in moments) > 0.6 * len(moments)


def test_gaps_of_a_trace_are_kept_in_their_order():
    trace = Trace((1.0, 1.0, 1.0, 50.0) * 30, (1,) * 120)
    found = shares(dice("trace"), 60, trace)
    gaps = [b - a for a, b in pairwise(found)]
    large = [k for k, gap in enumerate(gaps) if gap > 10 * min(gaps)]
    assert {b - a for a, b in pairwise(large)} == {4}


def test_what_sleeps_wakes_in_order_and_decides_at_its_own_moment():
    seen = []

    def process(name, *moments):
        for t in moments:
            yield t
            seen.append((t, name))
            yield Entry(t=t, key="", account=name, org="")

    def parent():
        yield 5
        yield process("child", 7, 20)
        yield 6

    found = list(played([(0, process("a", 1, 7, 9)), (0, parent())], 15))
    assert [(entry.t, entry.account) for entry in found] == [
        (1, "a"), (7, "a"), (7, "child"), (9, "a"),
    ]  # fmt: skip
    assert seen == [(entry.t, entry.account) for entry in found]


def test_rewording_changes_the_words_and_keeps_the_subject():
    rng = dice("words")
    found = [reworded(rng, TEXT) for _ in range(200)]
    assert len(set(found)) > 150
    assert all("lamp" in text for text in found)
    assert sum(text[:20] == TEXT[:20] for text in found) < 30


def test_the_same_dice_reword_alike():
    assert reworded(dice("w"), TEXT) == reworded(dice("w"), TEXT)


@pytest.mark.parametrize("text", ["a", "Hi", "?", "ÄÖÜ", TEXT])
def test_any_text_can_be_reworded_and_typed(text):
    rng = dice("any", text)
    for _ in range(100):
        assert reworded(rng, text)
        assert typed(rng, text)


def test_no_two_answers_are_alike():
    rng = dice("answers")
    found = [prose.answer(rng, 60, TEXT) for _ in range(500)]
    assert len(set(found)) == len(found)
    assert all(200 < len(text) < 400 for text in found)


def test_products_have_prompts_of_their_own():
    found = {prose.persona(dice("firm", k)).system for k in range(300)}
    assert len(found) > 295
