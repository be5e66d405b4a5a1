"""`weir replay` and `weir traffic` when something is broken: the disk, the flags, the names."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import cli
from proxy.core.facts import Usage
from proxy.policy.loader import load
from proxy.replay.recordwriting import RecordWriter
from proxy.replay.run import Replay
from proxy.traffic.entry import Answer, Entry
from proxy.traffic.parsing import line_of

NOON = 1_768_392_000_000_000
HOSTILE = "\x1b]0;owned\x07\x9b31m\u202ex"
POLICY = "policy: p\nabout: for a test\nlimits: [{limit: daily, allow: 2 requests, per: day, by: [account]}]\n"


@pytest.fixture
def weir(tmp_path, monkeypatch):
    """Run the command in a folder of its own; returns code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    Path("policies").mkdir()
    Path("policies/p.yaml").write_text(POLICY)
    Path("loose").mkdir()
    Path("loose/p.yaml").write_text(POLICY.replace("2 requests", "9 requests"))
    Path("week.jsonl").write_bytes(b"".join(line_of(asked(at)) for at in range(4)))

    def run(*words: str):
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        code = done.return_value if done.exception is None else 2
        return code, done.stdout, done.stderr if done.exception is None else str(done.exception)

    return run


def asked(second: int, account: str = "ann", model: str = "m", **more) -> Entry:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}
    answer = Answer(usage=Usage(reported_prompt=5, reported_output=7, relayed=7), lasted=1000)
    return Entry(
        NOON + second * 1_000_000, account, account, account, body=body, answer=answer, **more
    )


@pytest.mark.parametrize("flag", ["--json", "--report", "--records"])
def test_what_cannot_be_written_is_told_and_the_results_are_printed_all_the_same(weir, flag):
    code, out, err = weir("replay", "week.jsonl", flag, "/dev/full")
    assert code == 2
    assert "4 requests of 1 accounts" in out
    assert "No space left" in err
    assert Path("/dev/full").is_char_device()


def test_one_file_that_cannot_be_written_does_not_take_the_other_with_it(weir):
    files = ("--json", "/dev/full", "--report", "page.html", "--records", "rec.jsonl")
    assert weir("replay", "week.jsonl", *files)[0] == 2
    assert Path("page.html").read_text().endswith("</html>")
    assert Path("rec.jsonl").read_bytes().count(b"\n") == 4


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--json week.jsonl", "--json week.jsonl: is the traffic too"),
        ("--records ./policies/../week.jsonl", "is the traffic too"),
        ("--report same --json same", "--report same: is --json too"),
        ("--report policies", "is a directory"),
        ("--records nowhere/rec.jsonl", "there is no directory nowhere"),
        ("--target http://127.0.0.1:1 --report a.html", "--report is of a replay in memory"),
    ],
)
def test_what_would_be_lost_in_the_end_is_refused_at_the_beginning(weir, flags, says):
    before = Path("week.jsonl").read_bytes()
    code, out, err = weir("replay", "week.jsonl", *flags.split())
    assert (code, out, says in err) == (2, "", True), err
    assert Path("week.jsonl").read_bytes() == before


def test_records_that_are_written_among_the_traffic_are_not_read_as_traffic(weir):
    Path("days").mkdir()
    Path("week.jsonl").rename("days/week.jsonl")
    code, _, err = weir("replay", "days", "--records", "days/records.jsonl")
    assert (code, err) == (0, "")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"no\n"])
def test_bounds_do_not_hold_over_traffic_that_is_not_there(weir, content):
    Path("none.jsonl").write_bytes(content)
    bound = ("--max-new-refusals", "1%")
    code, _, err = weir("replay", "none.jsonl", "--against", "loose", *bound)
    assert (code, "nothing could be read" in err) == (2, True)


def test_names_that_others_chose_drive_no_terminal(weir):
    lines = [asked(at, HOSTILE, HOSTILE, plan=HOSTILE, id=HOSTILE) for at in range(4)]
    lines.append(asked(5, path=f"/v1/{HOSTILE}"))
    Path(f"{HOSTILE}.jsonl").write_bytes(b"".join(map(line_of, lines)) + b"no json\n")
    words = ["replay", f"{HOSTILE}.jsonl", "--against", "loose"]
    for told in (weir(*words), weir("traffic", "check", f"{HOSTILE}.jsonl")):
        shown = "".join(told[1:]).replace("\n", "")
        assert shown.isprintable()
        assert "owned" in shown


def test_file_names_that_are_no_unicode_are_told_in_json(weir):
    name = os.fsdecode(b"\xff.jsonl")
    Path(name).write_bytes(Path("week.jsonl").read_bytes() + b"no json\n")
    code, out, _ = weir("replay", name, "--json", "-")
    assert (code, json.loads(out)["traffic"]["files"]) == (0, ["\\udcff.jsonl"])
    code, out, _ = weir("traffic", "check", name, "--json")
    assert (code, json.loads(out)["complaints"][0]["file"]) == (1, "\\udcff.jsonl")


def test_what_is_newly_refused_one_way_is_eased_the_other_way(weir):
    def difference(tried, other):
        words = ["replay", "week.jsonl", "--policies", tried, "--against", other, "--json", "-"]
        return json.loads(weir(*words)[1])["against"]["difference"]

    there, back = difference("policies", "loose"), difference("loose", "policies")
    assert there["new_refusals"] == back["eased"] == 2
    for each in (there, back):
        parts = (each["new_refusals"], each["newly_limited"], each["eased"], each["other"])
        assert sum(parts) == each["changed"]


def test_ctrl_c_in_the_middle_of_a_count_waits_until_it_is_counted_everywhere(weir):
    class Impatient:
        """Who presses Ctrl-C while the second request is counted; twice, to be sure."""

        def __init__(self) -> None:
            self.heard = self.settled_ = 0

        def decided(self, played) -> None:
            self.heard += 1
            if self.heard == 2:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

        def settled(self, played) -> None:
            self.settled_ += 1

    someone = Impatient()
    rules = load(Path("policies"))
    played = Replay(rules, load(Path("loose")), (someone,))
    played.play(asked(at) for at in range(4))
    assert played.interrupted
    counts = (
        played.summary.total.requests, played.summary_before.total.requests,
        played.difference.requests, someone.heard, someone.settled_,
    )  # fmt: skip
    assert counts == (2, 2, 2, 2, 2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_traffic_is_waited_for_is_heard_at_once(weir):
    def waiting():
        yield asked(0)
        signal.raise_signal(signal.SIGINT)
        yield asked(1)

    played = Replay(load(Path("policies")))
    played.play(waiting())
    assert (played.interrupted, played.summary.total.requests) == (True, 1)


def test_a_disk_that_is_full_ends_the_records_and_not_the_replay(weir):
    with Path("/dev/full").open("wb", buffering=0) as full:
        writer = RecordWriter(full, "digest")
        played = Replay(load(Path("policies")), None, (writer,))
        played.play(asked(at) for at in range(4))
    assert played.summary.total.requests == 4
    assert "No space left" in str(writer.failed)


def test_a_pipe_is_written_to_and_stays_a_pipe(weir):
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert weir("traffic", "sort", "week.jsonl", "--out", "pipe")[0] == 0
        assert os.read(reader, 65_536) == Path("week.jsonl").read_bytes()
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)


def test_a_directory_is_refused_before_anything_is_sorted(weir):
    code, _, err = weir("traffic", "sort", "week.jsonl", "--out", "policies")
    assert (code, "Is a directory: 'policies'" in err) == (2, True)
