"""No prompt can be confirmed from a dump of Redis without the keys, not even with a list of them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "dump.py"
CHANCE = 3.5  # standard errors that may lie between two shares that are the same


@pytest.fixture(scope="module")
def attacked():
    return runpy.run_path(str(SCRIPT))["attacked"]()


@pytest.mark.parametrize(
    "attempt",
    ["the text, or a piece of it", "digests of the text", "fingerprints, keys guessed",
     "profiles, keys guessed"],
)  # fmt: skip
def test_without_the_key_nothing_is_found(attacked, attempt):
    right, wrong, of = attacked[attempt]
    assert of >= 200
    assert right == wrong == 0


@pytest.mark.parametrize(
    "attempt", ["counters, a key guessed", "counters, asked oneself", "sizes of profiles"]
)
def test_what_is_said_without_the_key_is_said_of_others_as_often(attacked, attempt):
    right, wrong, of = attacked[attempt]
    share = (right + wrong + 2) / (2 * of + 4)
    assert abs(right - wrong) / of <= CHANCE * (2 * share * (1 - share) / of) ** 0.5


@pytest.mark.parametrize("attempt", ["profiles, the real key", "counters, the real key"])
def test_the_attempt_is_a_fair_one_with_the_key_it_succeeds(attacked, attempt):
    right, wrong, of = attacked[attempt]
    assert right == of
    assert wrong < of / 4
