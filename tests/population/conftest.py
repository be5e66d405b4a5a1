from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from proxy.population.compose import compose
from proxy.population.spec import load

SAMPLE = Path(__file__).parent / "sample"
SMALL = Path(__file__).parents[2] / "bench" / "populations" / "small.yaml"
HEAD = """\
population: drawn
start: "2026-06-01"
days: {days}
sources:
  questions: {{path: questions.jsonl}}
  instructions: {{path: instructions.jsonl}}
  sums: {{path: sums-train.jsonl}}
  coding: {{path: coding.jsonl}}
  support: {{path: support.jsonl}}
  dialogues: {{path: dialogues.jsonl}}
  notes: {{path: notes.jsonl}}
"""


@pytest.fixture
def population(tmp_path):
    """Write a population's parts below the sample's sources and load it."""

    def population(parts: str, days: int = 7):
        path = tmp_path / "drawn.yaml"
        path.write_text(HEAD.format(days=days) + parts)
        return load(path, SAMPLE)

    return population


@pytest.fixture
def honest(population):
    """Compose accounts of one archetype; entries by account."""

    def honest(archetype: str, sources: str, rate: float = 30, accounts: int = 6, more: str = ""):
        parts = f"""\
honest:
  - archetype: {archetype}
    accounts: {accounts}
    sources: {sources}
    requests_per_day: {{median: {rate}, spread: 0.3}}
{more}"""
        return by_account(compose(population(parts)))

    return honest


@pytest.fixture
def campaign(population):
    """Compose one campaign; its entries in order."""

    def campaign(words: str, more: str = "", days: int = 4):
        parts = f"campaigns:\n  - {{campaign: drawn, {words}}}\n{more}"
        return list(compose(population(parts, days)))

    return campaign


@pytest.fixture(scope="session")
def small():
    """The small population, composed once."""
    return list(compose(load(SMALL)))


def by_account(entries):
    found = defaultdict(list)
    for entry in entries:
        found[entry.account].append(entry)
    return found
