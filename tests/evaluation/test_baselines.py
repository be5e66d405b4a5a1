"""Baselines on prompts and vectors of which the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from proxy.evaluation.baselines import mmd, prada, seat
from proxy.evaluation.baselines.distinct import DistinctQuota
from proxy.evaluation.baselines.embedding import DIMENSIONS, Embedding, squared_distances
from proxy.evaluation.baselines.judging import Rule, above, outside
from proxy.evaluation.baselines.quota import RequestQuota
from proxy.evaluation.baselines.windows import Windows

DAY = 86_400_000_000


def points(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32)
    made[:, 0] += shift
    return made / np.linalg.norm(made, axis=1, keepdims=True)


# Embedding


def test_equal_prompts_have_equal_vectors_of_length_one_whatever_their_case():
    embed = Embedding(1)
    one, other = embed("What is the capital of France?"), embed("what is the capital of france?")
    assert np.array_equal(one, other)
    assert np.linalg.norm(one.astype(np.float64)) == pytest.approx(1.0, abs=2e-3)


def test_like_prompts_are_nearer_than_unlike_ones():
    embed = Embedding(1)
    texts = ("List five rivers in Spain.", "List five rivers in Italy.", "def f(x): return x + 1")
    vectors = np.stack([embed(text) for text in texts]).astype(np.float32)
    between = squared_distances(vectors, vectors)
    assert between[0, 1] < 0.6 * between[0, 2]


def test_another_seed_is_another_key():
    text = "Translate this into German, please."
    assert not np.array_equal(Embedding(1)(text), Embedding(2)(text))
    assert np.array_equal(Embedding(1)(text), Embedding(1)(text))


@pytest.mark.parametrize("text", ["", "ab", "\ud800\udc00\ud800x", "日本語の文章", "a" * 100_000])
def test_any_text_has_a_vector(text):
    vector = Embedding(1)(text)
    assert vector.shape == (DIMENSIONS,)
    assert np.isfinite(vector).all()


def test_of_a_long_prompt_both_ends_are_read():
    embed = Embedding(1)
    start, end = "s" * 2_000, "e" * 2_000
    assert np.array_equal(embed(start + "m" * 5_000 + end), embed(start + "other" * 999 + end))
    assert not np.array_equal(embed(start + end), embed(start + "f" * 2_000))


# Windows


def test_windows_tumble_by_account_and_sizes():
    windows, row = Windows((50, 100)), np.ones(DIMENSIONS, np.float16)
    full = [[size for size, _ in windows.add("a", row * n)] for n in range(1, 201)]
    at = {n: sizes for n, sizes in enumerate(full, 1) if sizes}
    assert at == {50: [50], 100: [50, 100], 150: [50], 200: [50, 100]}
    assert list(windows.add("b", row)) == []


def test_a_window_holds_the_last_prompts_in_their_order():
    windows = Windows((50, 100))
    rows = [np.full(DIMENSIONS, n, np.float16) for n in range(100)]
    found = [full for row in rows for full in windows.add("a", row)]
    assert [(size, window[0, 0], window[-1, 0]) for size, window in found] == [
        (50, 0, 49),
        (50, 50, 99),
        (100, 0, 99),
    ]


# Rules


def test_five_percent_of_honest_scores_lie_outside_of_a_rule():
    scores = [float(n) for n in range(1, 101)]
    one, two = above("one", scores), outside("two", scores)
    assert one is not None
    assert two is not None
    assert sum(one.alarms(score) for score in scores) == 5
    assert sum(two.alarms(score) for score in scores) == 6  # 3 on each side
    assert not two.alarms(math.nan)


def test_of_too_few_honest_windows_no_threshold_is_made():
    assert above("one", [1.0] * 19) is None
    assert outside("two", [1.0] * 19 + [math.nan]) is None


# Quotas


def test_a_request_quota_alarms_beyond_its_amount_and_begins_anew_at_midnight():
    quota = RequestQuota(2)
    told = [quota.alarms("a", at, "x") for at in (0, 1, 2, DAY - 1, DAY, DAY + 1, DAY + 2)]
    assert told == [False, False, True, True, False, False, True]
    assert not quota.alarms("b", 2, "x")


def test_a_distinct_quota_counts_a_prompt_once():
    quota = DistinctQuota(2)
    told = [quota.alarms("a", 0, text) for text in ("x", "x", "y", "x", "z", "y", "z")]
    assert told == [False, False, False, False, True, False, True]
    assert not quota.alarms("a", DAY, "z")


# PRADA


def test_prada_measures_from_each_prompt_to_the_growing_set():
    window = np.array([[0.0], [3.0], [1.0], [3.1]], np.float32)
    # 3 is 3 from {0} and joins; the threshold becomes 3 - 0. 1 is 1 away and stays out; 3.1 is 0.1.
    assert prada.smallest_distances(window) == pytest.approx([3.0, 1.0, 0.1], abs=1e-5)


def test_prada_finds_natural_prompts_normal_and_interpolated_ones_not():
    judge, calibrated = prada.judge(100, ())
    assert not calibrated
    (rule,) = judge.rules
    natural = judge.score(points(100, 1))
    # A thief that walks between a few prompts: most steps are tiny, some are large.
    ends = points(4, 2)
    steps = [ends[n % 4] + (n / 100) ** 4 * (ends[(n + 1) % 4] - ends[n % 4]) for n in range(100)]
    interpolated = judge.score(np.array(steps, np.float32))
    assert natural > 0.95 > interpolated
    assert (rule.alarms(natural), rule.alarms(interpolated)) == (False, True)


def test_prada_takes_equal_prompts_for_not_normal_at_all():
    assert prada.normality(np.ones((100, DIMENSIONS), np.float32)) == 0.0


def test_prada_says_nothing_of_a_handful():
    assert math.isnan(prada.normality(points(10, 1)))


def test_prada_two_sided_is_set_by_honest_windows():
    judge, calibrated = prada.judge(100, [points(100, seed) for seed in range(40)])
    assert calibrated
    assert [rule.name for rule in judge.rules] == ["prada-100", "prada-100-two-sided"]
    assert 0.9 < judge.rules[1].low < judge.rules[1].high <= 1.0


# SEAT


def test_seat_counts_pairs_closer_than_tau():
    window = np.array([[0.0], [0.1], [5.0], [5.05]], np.float32)
    assert seat.Nearness(0.2)(window) == pytest.approx(2 / 6)
    assert seat.Nearness(0.07)(window) == pytest.approx(1 / 6)
    assert seat.Nearness(0.0)(window) == 0.0


def test_seat_alarms_at_a_grid_and_two_sided_at_a_sweep_too():
    rng = np.random.default_rng(1)
    honest = []
    for seed in range(40):  # people ask again: near pairs, more or less
        window = points(100, seed)
        again = 40 + seed % 20
        window[:again] = window[0] + 0.01 * rng.normal(size=(again, DIMENSIONS)) / 16
        honest.append(window)
    judge, calibrated = seat.judge(100, honest)
    assert calibrated
    one, two = judge.rules
    grid = judge.score(points(1, 99) + 0.01 * points(100, 98))
    sweep = judge.score(points(100, 97))
    assert (one.alarms(grid), two.alarms(grid)) == (True, True)
    assert (one.alarms(sweep), two.alarms(sweep)) == (False, True)


# MMD


@pytest.fixture(scope="module")
def reference():
    return mmd.reference(100, points(300, 1), np.random.default_rng(1))


def test_mmd_is_about_zero_for_the_same_distribution(reference):
    found = [reference.discrepancy(points(100, seed)) for seed in range(50, 90)]
    assert abs(float(np.mean(found))) < 4 * float(np.std(found)) / math.sqrt(len(found)) + 1e-5


def test_mmd_grows_with_the_distance(reference):
    scores = [reference.discrepancy(points(100, 60, shift)) for shift in (0.0, 4.0, 8.0, 16.0)]
    assert scores == sorted(scores)
    assert scores[-1] > 100 * abs(scores[0])


def test_mmd_is_what_its_definition_says_pair_by_pair():
    pool, window = points(8, 1), points(5, 2)
    found = mmd.reference(5, pool, np.random.default_rng(3))

    def k(one, other):
        squared = float(((one - other) ** 2).sum())
        spans = [found.sigma * factor for factor in (0.5, 1, 2, 4)]
        return sum(math.exp(-squared / (2 * span * span)) for span in spans) / 4

    def inside(rows):
        pairs = [(a, b) for a in range(len(rows)) for b in range(len(rows)) if a != b]
        return sum(k(rows[a], rows[b]) for a, b in pairs) / len(pairs)

    each = []
    for draw in found.draws:
        drawn = pool[draw > 0]
        assert len(drawn) == 5
        across = sum(k(a, b) for a in window for b in drawn) / 25
        each.append(inside(window) + inside(drawn) - 2 * across)
    assert len(each) == 20
    assert found.discrepancy(window) == pytest.approx(sum(each) / 20, abs=1e-5)


def test_the_nulls_of_mmd_leave_five_percent_above_its_threshold():
    judge, whole = mmd.judge(100, points(600, 1), (), np.random.default_rng(2))
    assert judge is not None
    assert not whole
    (rule,) = judge.rules
    fresh = [rule.alarms(judge.score(points(100, seed))) for seed in range(100, 300)]
    assert 0 < sum(fresh) < 40  # about 10
    assert rule.alarms(judge.score(points(100, 1_000, shift=8.0)))


def test_mmd_by_account_forgives_what_honest_accounts_are_like():
    # Honest accounts differ from each other more than any window of all of them does.
    homes = points(40, 5)
    accounts = [home + 0.5 * points(100, n) for n, home in enumerate(homes)]
    everybody = np.concatenate(accounts)[np.random.default_rng(1).permutation(4_000)][:600]
    judge, whole = mmd.judge(100, everybody, accounts[:30], np.random.default_rng(2))
    assert judge is not None
    assert whole
    pooled, own = judge.rules
    scores = [judge.score(window) for window in accounts[30:]]
    assert all(pooled.alarms(score) for score in scores)
    assert sum(own.alarms(score) for score in scores) <= 3


def test_mmd_is_not_made_of_too_few_prompts():
    assert mmd.judge(100, points(150, 1), (), np.random.default_rng(1)) == (None, False)


def test_a_rule_alarms_outside_of_its_ends():
    rule = Rule("r", 1.0, 2.0)
    assert [rule.alarms(score) for score in (0.9, 1.0, 1.5, 2.0, 2.1)] == [
        True, False, False, False, True,
    ]  # fmt: skip
