"""No prompt can be confirmed from a dump of Redis without the keys, not even with a list of them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "dump.py"
# By chance alone, so many standard errors may lie between two shares.
CHANCE = 3.5


@pytest.fixture(scope="module")
def attacked():
    return runpy.run_path(str(SCRIPT))["attacked"]()


@pytest.mark.parametrize(
    "attempt",
    ["the text itself", "digests of the text", "fingerprints under a guessed key",
     "profiles under a guessed key"],
)  # fmt: skip
def test_without_the_key_nothing_is_confirmed(attacked, attempt):
    right, wrong, of = attacked[attempt]
    assert of > 40
    assert right == wrong == 0


def test_sizes_say_no_more_of_prompts_that_were_sent_than_of_others(attacked):
    right, wrong, of = attacked["sizes"]
    assert abs(right - wrong) / of <= CHANCE * (0.5 / of**0.5)


def test_the_attempt_can_succeed_with_the_key_it_does(attacked):
    right, wrong, of = attacked["profiles under the real key"]
    assert right == of
    assert wrong < of
