"""`weir replay`: what it prints, writes and returns."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from proxy.cli import cli
from proxy.cli.replaying import replay
from proxy.core.facts import Usage
from proxy.journal.reader import records
from proxy.journal.record import schema
from proxy.traffic.entry import Answer, Entry, Label
from proxy.traffic.parsing import line_of

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "traffic" / "sample.jsonl"
NOON = 1_768_392_000_000_000
CANARY = "the canary sings at noon"


@pytest.fixture
def weir(tmp_path, monkeypatch):
    """Run the command in a folder of its own; returns code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(policy(5))
    (tmp_path / "tighter").mkdir()
    (tmp_path / "tighter" / "p.yaml").write_text(policy(2))
    (tmp_path / "week.jsonl").write_bytes(b"".join(map(line_of, traffic())))

    def run(*words: str):
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        code = done.return_value if done.exception is None else 2
        return code, done.stdout, done.stderr if done.exception is None else str(done.exception)

    return run


def policy(amount: int) -> str:
    return (
        "policy: p\nabout: for a test\n"
        f"limits: [{{limit: daily, allow: {amount} requests, per: day, by: [account]}}]\n"
    )


def traffic(label: Label | None = None) -> list[Entry]:
    body = {"model": "m", "messages": [{"role": "user", "content": CANARY}], "max_tokens": 9}
    answer = Answer(
        text=CANARY, usage=Usage(reported_prompt=5, reported_output=7, relayed=7), lasted=1000
    )
    return [
        Entry(
            NOON + at * 60_000_000,
            f"{name}-key",
            name,
            name,
            "free",
            "203.0.113.7",
            body=body,
            answer=answer,
            label=label,
        )
        for at in range(4)
        for name in ("ann", "bob")
    ]


def test_the_sample_traffic_is_played_with_the_sample_policies(weir):
    code, out, err = weir("replay", str(SAMPLE), "--policies", str(ROOT / "policies"))
    assert (code, err) == (0, "")
    assert "41 requests of 7 accounts" in out
    assert "By level." in out  # it is labelled


def test_json_to_stdout_is_json_alone_and_the_same_twice(weir):
    code, out, err = weir("replay", "week.jsonl", "--json", "-")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["decisions"]["allow"] == 8
    assert told["traffic"]["read"] == 8
    assert "metrics" not in told
    assert weir("replay", "week.jsonl", "--json", "-")[1] == out


def test_the_difference_is_between_what_is_tried_and_what_it_is_compared_with(weir):
    code, out, _ = weir(
        "replay", "week.jsonl", "--policies", "tighter", "--against", "policies", "--json", "-"
    )
    assert code == 0
    told = json.loads(out)
    assert told["policies"]["directory"] == "tighter"
    assert told["against"]["policies"]["directory"] == "policies"
    assert told["against"]["difference"]["new_refusals"] == 4
    assert told["against"]["decisions"]["refuse"] == 0
    assert told["decisions"]["refuse"] == 4


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        ("--max-new-refusals 50%", 0, ""),
        (
            "--max-new-refusals 49%",
            1,
            "BROKEN: 4 of 8 requests are newly refused (50%): at most 49% may be",
        ),
        ("--max-new-refusals 3", 1, "BROKEN: 4 of 8"),
        ("--fail-on daily", 1, "BROKEN: daily limits 4 requests that it did not limit so"),
        ("--fail-on p/daily", 1, "BROKEN"),
        ("--fail-on dayly", 2, "--fail-on dayly: no limit has this name (did you mean daily?)"),
        ("--max-new-refusals lots", 2, "cannot read 'lots' as a bound (0.1%, or a count: 25)"),
    ],
)
def test_bounds_decide_the_exit_code(weir, flags, code, says):
    words = shlex.split(f"replay week.jsonl --policies tighter --against policies {flags}")
    got, _, err = weir(*words)
    assert (got, says in err) == (code, True), err


def test_a_bound_on_new_refusals_needs_something_to_compare_with(weir):
    code, _, err = weir("replay", "week.jsonl", "--max-new-refusals", "1%")
    assert (code, "--against" in err) == (2, True)


def test_unreadable_lines_are_told_with_their_numbers_and_the_rest_is_played(weir):
    with Path("week.jsonl").open("ab") as file:
        file.write(b'{"t": 1768392000}\nno json\n')
    code, out, err = weir("replay", "week.jsonl")
    assert code == 0
    assert "8 requests of 2 accounts" in out
    assert re.search(r"week.jsonl:9: ", err)
    assert re.search(r"week.jsonl:10: ", err)
    assert "left out: 2 unreadable" in err


def test_traffic_of_which_nothing_can_be_read_is_bad_input(weir):
    Path("bad.jsonl").write_text("no\nno\n")
    assert weir("replay", "bad.jsonl")[0] == 2
    code, _, err = weir("replay", "nowhere.jsonl")
    assert (code, err) == (2, "there is no traffic at nowhere.jsonl")


def test_policies_with_mistakes_are_bad_input_and_told_all_at_once(weir):
    Path("tighter/p.yaml").write_text(
        "policy: p\nlimits: [{limit: x, allow: 1 aple, per: day}]\nwhy: 1\n"
    )
    code, _, err = weir("replay", "week.jsonl", "--against", "tighter")
    assert code == 2
    assert err.count("tighter/p.yaml:") == 2


def test_records_are_lines_of_the_journal_that_explain_reads(weir):
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to load, one test needs it

    assert (
        weir("replay", "week.jsonl", "--policies", "tighter", "--records", "decisions-0.jsonl")[0]
        == 0
    )
    found = list(records(Path()))
    assert [record["effect"] for record in found].count("refuse") == 4
    assert len({record["id"] for record in found}) == 8
    validator = Draft202012Validator(schema())
    assert [error.message for record in found for error in validator.iter_errors(record)] == []
    code, out, _ = weir("explain", str(found[-1]["id"]), "--journal", ".")
    assert code == 0
    assert "p/daily: 2 requests per day by account" in out


def test_no_prompt_and_no_answer_is_in_anything_that_is_written(weir):
    flags = "--policies tighter --against policies --json all.json --report page.html --records rec.jsonl"
    code, out, err = weir("replay", "week.jsonl", *shlex.split(flags))
    assert code == 0
    written = (
        out
        + err
        + "".join(Path(name).read_text() for name in ("all.json", "page.html", "rec.jsonl"))
    )
    assert CANARY not in written
    assert "ann" in written


def test_labels_are_measured_where_there_are_any(weir):
    label = Label("ring", "extraction", "round-robin")
    Path("week.jsonl").write_bytes(b"".join(map(line_of, traffic(label))))
    code, out, _ = weir("replay", "week.jsonl", "--policies", "tighter", "--json", "-")
    assert code == 0
    (campaign,) = json.loads(out)["metrics"]["campaigns"]
    assert campaign["name"] == "ring"


def test_the_sample_workflow_calls_the_command_as_it_is(weir):
    """Every `weir …` of the workflow in the docs is one that the command understands."""
    text = (ROOT / "docs" / "examples" / "policy-checks.yaml").read_text()
    steps = YAML(typ="safe").load(text)["jobs"]["replay"]["steps"]
    commands = [
        shlex.split(step["run"]) for step in steps if step.get("run", "").startswith("weir ")
    ]
    assert [words[1] for words in commands] == ["check", "test", "replay"]
    context = replay.make_context("replay", commands[2][2:])
    assert context.params["against"] == Path("../in-force/policies")
    assert str(context.params["most_new"]) == "0.1%"
    assert context.params["fail_on"] == ("paid/requests",)


def test_live_traffic_needs_keys(weir):
    code, _, err = weir("replay", "week.jsonl", "--target", "http://127.0.0.1:1")
    assert (code, "weir traffic keys" in err) == (2, True)


@pytest.mark.parametrize(
    "flag", ["--speed 2x", "--keys k.json", "--for 1m", "--most 5", "--forward-ip"]
)
def test_flags_of_sending_are_refused_where_nothing_is_sent(weir, flag):
    code, _, err = weir("replay", "week.jsonl", *shlex.split(flag))
    assert (code, "is about --target URL" in err) == (2, True)


def test_bounds_say_nothing_where_more_is_left_out_than_played(weir):
    with Path("week.jsonl").open("ab") as file:
        file.write(b"no\n" * 9)
    code, _, err = weir("replay", "week.jsonl", "--fail-on", "daily")
    assert (code, "more was left out than played" in err) == (2, True)
    assert weir("replay", "week.jsonl")[0] == 0
