"""`weir population`."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import cli
from proxy.core.errors import PopulationError
from proxy.traffic.reading import Tally, entries

SAMPLE = Path(__file__).parent / "sample"
TINY = """\
population: tiny
about: Some people and a thief.
start: "2026-06-01"
days: 2
sources: {q: {path: questions.jsonl}}
honest: [{archetype: chat-product, accounts: 5, sources: q}]
campaigns:
  - {campaign: thief, technique: harvest, share: heavy, sources: q, requests_per_day: 40}
"""


@pytest.fixture
def weir(tmp_path):
    """Run the command with a tiny population."""
    spec = tmp_path / "tiny.yaml"
    spec.write_text(TINY)

    def weir(*words: str):
        return CliRunner().invoke(
            cli, ["population", str(spec), "--data", str(SAMPLE), *words], standalone_mode=False
        )

    return weir


def test_it_writes_traffic_that_can_be_read_and_tells_what_is_in_it(weir, tmp_path):
    out = tmp_path / "t.jsonl.gz"
    told = weir("--out", str(out), "--json")
    assert told.exception is None
    counted = json.loads(told.output)
    tally = Tally()
    found = list(entries([out], tally))
    assert (tally.unreadable, tally.late) == (0, 0)
    assert counted["requests"] == len(found)
    assert counted["bytes"] == out.stat().st_size
    thief = counted["campaigns"]["thief"]
    assert thief["requests"] == sum(e.label.operator == "thief" for e in found)
    assert counted["honest"]["chat-product"]["accounts"] == 5


def test_the_table_names_archetypes_and_campaigns(weir, tmp_path):
    told = weir("--out", str(tmp_path / "t.jsonl")).output
    assert "chat-product" in told
    assert "campaign thief" in told
    assert "of them by campaigns" in told


def test_a_seed_on_the_command_line_counts(weir, tmp_path):
    for name, words in (("a", ()), ("b", ("--seed", "0")), ("c", ("--seed", "9"))):
        weir("--out", str(tmp_path / f"{name}.jsonl.gz"), *words)
    a, b, c = (gzip.decompress((tmp_path / f"{n}.jsonl.gz").read_bytes()) for n in "abc")
    assert a == b != c


def test_describing_makes_nothing(weir, tmp_path):
    told = weir("--describe").output
    assert "tiny: 2 days from 2026-06-01, seed 0" in told
    assert "Some people and a thief." in told
    rows = json.loads(weir("--describe", "--json").output)
    assert {"name": "thief", "kind": "harvest/heavy", "accounts": 1, "requests": 80} in rows
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


@pytest.mark.parametrize("words", [(), ("--describe", "--out", "x.jsonl")])
def test_it_is_either_described_or_written(weir, words):
    assert "give --out FILE, or --describe" in str(weir(*words).exception)


def test_mistakes_go_out_as_sentences(weir, tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY.replace("chat-product", "chatter"))
    failed = weir("--describe").exception
    assert isinstance(failed, PopulationError)
    assert "tiny.yaml:6:11: honest[0].archetype: 'chatter' is no archetype" in str(failed)
