"""`weir evaluate` as a person meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from proxy.cli import cli
from proxy.evaluation.markdown import BEGIN, END, drawn, replaced
from proxy.evaluation.tables import Table
from proxy.traffic.parsing import line_of

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "population" / "sample"


@pytest.fixture
def directory(tmp_path, rules, sent, monkeypatch):
    """A working directory with policies and traffic: one thief, four honest accounts."""
    rules()
    entries = [sent(n / 10, f"h{n % 4}", text=f"say {n}") for n in range(60)]
    entries += [sent(n / 20, "t", "c1", text=f"and {n}") for n in range(120)]
    entries += [sent(3, "x", unlabelled=True)]
    entries.sort(key=lambda each: each.t)
    (tmp_path / "week.jsonl").write_bytes(b"".join(line_of(each) for each in entries))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: str):
    return CliRunner().invoke(cli, ["evaluate", *args], standalone_mode=False)


def test_it_tells_what_policies_and_baselines_did(directory):
    found = run("week.jsonl")
    assert found.return_value == 0, found.output
    assert "All campaigns together got 120 answers at full fidelity" in found.output
    assert "1 requests without a label" in found.output
    row = next(line for line in found.output.splitlines() if "requests-100" in line)
    assert row.split()[:5] == ["requests-100", "1", "of", "1", "100"]
    assert "not calibrated: mmd-100" in found.output


def test_json_on_standard_output_is_json_alone(directory):
    found = run("week.jsonl", "--json", "-", "--baselines", "requests", "--controls", "0")
    told = orjson.loads(found.stdout_bytes)
    assert told["results"]["campaigns"][0]["full"] == {"answers": 120, "tokens": 12_000}
    assert [each["name"] for each in told["trialled"]["detectors"]][:2] == [
        "requests-30",
        "requests-100",
    ]
    assert told["controls"] == []


def test_a_document_keeps_what_is_around_its_markers(directory):
    document = directory / "evaluation.md"
    document.write_text(
        f"# Evaluation\n\nRead this.\n\n{BEGIN}\nwhat was here\n{END}\n\n## After\n"
    )
    assert run("week.jsonl", "--markdown", "evaluation.md", "--seed", "3").return_value == 0
    first = document.read_text()
    assert first.startswith("# Evaluation\n\nRead this.\n\n")
    assert first.endswith("\n## After\n")
    assert "what was here" not in first
    assert "`weir evaluate week.jsonl --seed 3`" in first
    assert "### Negative controls" in first
    run("week.jsonl", "--markdown", "evaluation.md", "--seed", "3")
    assert document.read_text() == first


def test_results_are_the_same_bytes_whatever_the_hash_seed(directory):
    args = ["week.jsonl", "--json", "-", "--controls", "3", "--baselines", "requests,distinct"]
    here = run(*args).stdout_bytes
    elsewhere = subprocess.run(
        [sys.executable, "-c", "from proxy.cli import main; main()", "evaluate", *args],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
    ).stdout
    assert here == elsewhere
    assert orjson.loads(here)["requests"] == 181


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["none.jsonl"], "there is no traffic at none.jsonl"),
        (
            ["week.jsonl", "--baselines", "prado"],
            "--baselines: there is no 'prado' (all, none, requests, distinct, prada, seat, mmd)",
        ),
        (["week.jsonl", "a.yaml"], "one population alone, or traffic files"),
        (["week.jsonl", "--markdown", "half.md"], "has no single pair of markers"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(directory, args, sentence):
    (directory / "half.md").write_text(f"{END}\n{BEGIN}\n")
    found = run(*args)
    assert sentence in str(found.exception)


def test_unreadable_lines_are_told_and_left_out(directory):
    (directory / "bad.jsonl").write_bytes(b"{nonsense\n")
    found = run("bad.jsonl", "--baselines", "none")
    assert found.return_value == 2
    assert "bad.jsonl:1:" in found.stderr
    assert "nothing was evaluated" in found.output


def test_a_document_without_markers_gets_them_at_its_end():
    assert replaced("# Head\n", "made\n") == f"# Head\n\n{BEGIN}\nmade\n{END}\n"
    assert replaced("", "made\n") == f"{BEGIN}\nmade\n{END}\n"


def test_a_table_in_markdown_has_its_numbers_to_the_right():
    table = Table("T", "N.", ("name", "n"), (("a|b", "1,000"), ("c", "")))
    assert drawn(table) == (
        "**T.** N.\n\n| name | n |\n| --- | --: |\n| a\\|b | 1,000 |\n| c |  |\n"
    )


def test_a_population_is_composed_on_the_fly_and_the_seed_is_its_own_unless_given(directory):
    (directory / "tiny.yaml").write_text(
        'population: tiny\nabout: For a test.\nstart: "2026-06-01"\ndays: 1\nseed: 1\ndata: .\n'
        "sources: {questions: {path: questions.jsonl}}\n"
        "honest:\n  - {archetype: chat-product, accounts: 3, sources: [questions]}\n"
        "campaigns:\n  - {campaign: grid, technique: template-grid, share: round-robin,"
        " accounts: 2, sources: [questions], requests_per_day: 14}\n"
    )
    args = ["tiny.yaml", "--data", str(SAMPLE), "--baselines", "requests", "--json", "-"]
    own, again, other = (
        orjson.loads(run(*args, *more).stdout_bytes) for more in ([], [], ["--seed", "2"])
    )
    assert own == again
    assert own["results"]["campaigns"][0]["name"] == "grid"
    assert own["results"]["pooled"]["accounts"] == 3
    assert own["results"]["campaigns"] != other["results"]["campaigns"]


def test_the_document_has_its_markers():
    document = (ROOT / "docs" / "evaluation.md").read_text("utf-8")
    assert replaced(document, "").count(BEGIN) == 1


WATCHED = """
shapes: {short: {truncate: {output_tokens: 9}}}
ladder:
  - {level: watch, at: 2.0, for: 24h}
  - {level: guarded, at: 4.0, families: 2, for: 24h, shape: short}
  - {level: restricted, at: 7.0, families: 2, for: 72h, shape: short}
"""
POPULATION = """\
population: few
start: "2026-06-01"
days: 2
sources: {notes: {path: notes.jsonl}, coding: {path: coding.jsonl}}
honest:
  - {archetype: rag, accounts: 6, sources: notes}
  - {archetype: ci, accounts: 3, sources: coding}
campaigns:
  - {campaign: one, technique: harvest, share: heavy, sources: coding, requests_per_day: 80}
"""


def test_where_evidence_sets_levels_its_marks_and_its_parts_are_told(tmp_path, rules, monkeypatch):
    rules(WATCHED)
    (tmp_path / "few.yaml").write_text(POPULATION)
    monkeypatch.chdir(tmp_path)
    args = ["few.yaml", "--data", str(SAMPLE), "--baselines", "none", "--controls", "0"]
    found = run(*args, "--markdown", "all.md")
    assert found.return_value == 0, found.output
    assert "full answers of a single account before restricted" in found.output
    told = (tmp_path / "all.md").read_text()
    for part in ("### Detection", "**The marks.**", "**Single accounts.**", "| without content |"):
        assert part in told
    # Nine honest accounts make no tables: that is said by an empty row.
    row = next(line for line in told.splitlines() if line.startswith("| coding |"))
    assert set(row.split("|")[3:-1]) == {"  "}
    run(*args, "--markdown", "marks.md", "--no-ablation")
    marks = (tmp_path / "marks.md").read_text()
    assert "**The marks.**" in marks
    assert "without content" not in marks
    assert "--no-ablation`" in marks


def test_traffic_files_name_no_sources_and_leave_none_out(directory):
    (directory / "policies" / "p.yaml").write_text(f"policy: p\nabout: for a test\n{WATCHED}")
    run("week.jsonl", "--baselines", "none", "--controls", "0", "--markdown", "e.md")
    told = (directory / "e.md").read_text()
    assert "| without volume |" in told
    assert "A source left out" not in told


def test_without_levels_by_evidence_there_are_no_marks(directory):
    found = run("week.jsonl", "--baselines", "none", "--controls", "0", "--json", "-")
    told = orjson.loads(found.stdout_bytes)
    assert (told["marks"], told["ablated"], told["left"]) == ([], [], [])
