"""Which model of the models file a name is."""

import pytest

from proxy.policy.compiled import Model
from proxy.policy.loader import load
from proxy.policy.models import LONGEST_REMEMBERED, REMEMBERED, Models

POLICY = "policy: good\nlimits:\n  - {limit: r, allow: 6 requests, per: 1m}\n"
MODELS = """\
models:
  - model: "*"
    prices: {input: 15, output: 75}
  - model: gpt-*
    prices: {input: 2.50, cached_input: 1.25, output: 10.00}
    max_output_tokens: 16_384
    reserve_output_tokens: 2_048
  - {model: gpt-4o-*, prices: {input: 0.1}}
  - {model: gpt-4o-mini, prices: {input: 0.075}}
  - {model: standin*, counter: words}
"""


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"), ("gpt-4o-mini-2026", "gpt-4o-*"), ("gpt-4o", "gpt-*"),
        ("standin", "standin*"), ("standin-large", "standin*"), ("o3", "*"), ("", "*"),
    ],
)  # fmt: skip
def test_the_longest_beginning_wins(write, name, pattern):
    assert load(write(p=POLICY, models=MODELS)).models.find(name).pattern == pattern


def test_prices_are_micro_dollars_for_a_million_tokens(write):
    models = load(write(p=POLICY, models=MODELS)).models
    found = models.find("gpt-5")
    assert (found.input_price, found.cached_price, found.output_price) == (
        2_500_000, 1_250_000, 10_000_000,
    )  # fmt: skip
    assert models.find("gpt-4o-mini").input_price == 75_000
    assert models.find("gpt-4o-mini").cached_price == 75_000


def test_a_dialect_is_told_how_to_count(write):
    rules = load(write(p=POLICY, models=MODELS)).models.rules("gpt-5")
    assert (rules.counter, rules.max_output_tokens, rules.reserve_output_tokens) == (
        "chars", 16_384, 2_048,
    )  # fmt: skip


def test_a_model_that_nobody_lists_has_the_defaults():
    assert Models().find("anything") == Model("*")


def test_clients_cannot_fill_the_memory_with_names():
    models = Models([Model("gpt-*")])
    for number in range(REMEMBERED + 10):
        models.find(f"gpt-{number}")
    models.find("gpt-" + "x" * LONGEST_REMEMBERED)
    assert len(models._found) == REMEMBERED
    assert models.find("gpt-" + "x" * LONGEST_REMEMBERED).pattern == "gpt-*"
