from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.core.facts import Usage
from proxy.evaluation.measuring import Measures
from proxy.policy.loader import load
from proxy.replay.player import Player
from proxy.traffic.entry import Answer, Entry, Label

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
START = 1_768_348_800 * SECOND  # 2026-01-14T00:00:00Z

MODELS = """
models:
  - model: "*"
    counter: words
    max_output_tokens: 1000
    prices: {input: 1, output: 2}
"""
OPEN = "limits: [{limit: wide, allow: 1_000_000 requests, per: day, by: [account]}]"


@pytest.fixture
def rules(tmp_path: Path):
    def make(text: str = OPEN):
        directory = tmp_path / "policies"
        directory.mkdir()
        (directory / "models.yaml").write_text(MODELS)
        (directory / "p.yaml").write_text("policy: p\nabout: for a test\n" + text)
        return load(directory)

    return make


@pytest.fixture
def measured(rules):
    """Play entries and return what was measured."""

    def play(entries: list[Entry], text: str = OPEN):
        measures = Measures()
        Player(rules(text), (measures,)).play(entries)
        return measures.results()

    return play


@pytest.fixture
def sent():
    """Make an entry: `at` in hours since START, an answer of 100 tokens after a second."""

    def make(
        at: float,
        account: str,
        operator: str = "",
        *,
        text: str = "one two",
        archetype: str = "batch",
        cover: bool = False,
        level: str = "clear",
        lasted: int = SECOND,
        status: int = 200,
        unlabelled: bool = False,
        knobs: dict | None = None,
    ) -> Entry:
        body = {"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 500}
        kind = "extraction" if operator else "benign"
        usage = Usage(reported_prompt=10, reported_output=100, relayed=100)
        failed = Answer(status=status, end="error", lasted=lasted)
        return Entry(
            START + round(at * HOUR),
            key=account,
            account=account,
            org=account,
            body=body | (knobs or {}),
            answer=failed if status >= 400 else Answer(usage=usage, lasted=lasted),
            label=None if unlabelled else Label(operator or account, kind, archetype, cover),
            level=level,
        )

    return make
