from __future__ import annotations

import numpy as np
import pytest

from proxy.watch.distribution import (
    honest,
    moments,
    nearest,
    reference_from,
    reference_of,
    references_from,
    references_to,
)
from proxy.watch.vector import DIMENSIONS, Projection, shipped

SECRET = b"a secret of thirty-two bytes, one"


def prompts(many: int, seed: int, off: float = 0.0) -> np.ndarray:
    """Return coordinates of prompts of one source; `off` moves them along one direction."""
    dice = np.random.default_rng(seed)
    spread = np.linspace(1.0, 0.05, DIMENSIONS)
    rows = dice.standard_normal((many, DIMENSIONS)) * spread
    rows[:, -1] += off
    return rows.astype(np.float32)


@pytest.fixture(scope="module")
def reference():
    return reference_of(*moments(prompts(2_000, 1)))


def distances(reference, windows, size):
    return [reference.distance(each.sum(axis=0), size) for each in windows]


@pytest.mark.parametrize("size", [20, 100, 1_500])
def test_windows_of_the_same_source_are_about_zero_deviations_away(reference, size):
    windows = prompts(60 * size, 2).reshape(60, size, DIMENSIONS)
    found = distances(reference, windows, size)
    assert abs(np.mean(found)) < 1.5
    assert max(found) < 6.0


def test_a_tenth_of_other_prompts_is_seen_in_a_hundred(reference):
    for seed in range(20):
        window = np.concatenate([prompts(90, 100 + seed), prompts(10, 200 + seed, off=2.0)])
        assert reference.distance(window.sum(axis=0), 100) > 6.0


def test_the_more_is_mixed_in_the_farther_it_is(reference):
    honest, other = prompts(100, 3), prompts(100, 4, off=2.0)
    found = [
        reference.distance(other[:bad].sum(axis=0) + honest[bad:].sum(axis=0), 100)
        for bad in (0, 10, 25, 50, 100)
    ]
    assert found == sorted(found)


def test_forgetting_brings_an_account_no_farther(reference):
    total = prompts(100, 5, off=2.0).sum(axis=0)
    assert reference.distance(total / 2, 50) < reference.distance(total, 100)


@pytest.mark.parametrize("n", [0.0, 1.0, 1.9])
def test_of_less_than_two_prompts_nothing_is_said(reference, n):
    assert reference.distance(prompts(1, 6, off=9.0).sum(axis=0), n) == 0.0


def test_a_reference_measures_the_same_under_any_key(reference):
    window = prompts(100, 7, off=0.2).sum(axis=0)
    for secret in (SECRET, b"another secret"):
        projection = Projection(secret, shipped())
        own = reference.keyed(projection).distance(window @ projection.key, 100)
        assert own == pytest.approx(reference.distance(window, 100), rel=1e-3)


def test_a_reference_of_another_key_takes_honest_prompts_for_others(reference):
    projection = Projection(SECRET, shipped())
    window = prompts(100, 8).sum(axis=0)
    assert reference.distance(window, 100) < 6.0
    assert reference.distance(window @ projection.key, 100) > 20.0


def test_what_is_read_measures_as_what_was_written(reference):
    data = reference.to_bytes()
    again = reference_from(data)
    window = prompts(100, 9, off=0.3).sum(axis=0)
    assert again.distance(window, 100) == pytest.approx(reference.distance(window, 100), rel=0.01)
    assert reference_from(again.to_bytes()).to_bytes() == data
    assert len(data) < 40_000


def test_prompts_that_are_all_the_same_make_a_reference_that_answers():
    one = np.repeat(prompts(1, 10), 50, axis=0)
    found = reference_of(*moments(one)).distance(one[:20].sum(axis=0), 20)
    assert np.isfinite(found)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: b"x" + data[1:], lambda _: b"",
                                    lambda data: data[:17] + b"\xff" * (len(data) - 17)],
                         ids=["cut", "another file", "empty", "no numbers"])  # fmt: skip
def test_what_is_no_reference_is_refused(reference, change):
    with pytest.raises(ValueError, match="is no reference"):
        reference_from(change(reference.to_bytes()))


def test_several_references_are_read_as_they_were_written(reference):
    other = reference_of(*moments(prompts(2_000, 13, off=1.0)))
    data = references_to({"b": reference, "a": other})
    found = references_from(data)
    assert list(found) == ["a", "b"]
    assert references_to(found) == data


@pytest.mark.parametrize("cut", [1, 20, 40_000])
def test_half_a_file_of_references_is_refused(reference, cut):
    data = references_to({"a": reference, "b": reference})
    with pytest.raises(ValueError, match="reference"):
        references_from(data[:-cut])


def test_the_shipped_references_are_of_several_archetypes():
    found = honest()
    assert {"chat-product", "rag", "batch", "eval", "code-agent"} <= set(found)
    assert all(each.of >= 2_000 for each in found.values())


def test_the_nearest_of_references_is_told_by_its_place(reference):
    far = reference_of(*moments(prompts(2_000, 11, off=3.0)))
    window = prompts(100, 12).sum(axis=0)
    assert nearest([far, reference], window, 100) == (reference.distance(window, 100), 1)
    assert nearest([], window, 100) == (0.0, -1)
