"""Recording: off by default, said aloud, in files of the owner alone, whole, and gone in time."""

from __future__ import annotations

import http.client
import json
import os
import time
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from proxy.traffic.parsing import entry_of
from proxy.traffic.reading import Tally, entries
from proxy.traffic.recorder import FileRecorder

CANARY = "canary-prompt-5d1e"
ASK = [{"role": "user", "content": f"[[tokens=12]] {CANARY}"}]
POLICY = """\
policy: open
limits:
  - {limit: requests, allow: 1_000_000 requests, per: 1m, by: [key]}
  - {limit: tokens, allow: 100_000 tokens, per: day, by: [account]}
  - {limit: streams, allow: 100 concurrent, by: [account]}
capabilities:
  - forbid: [logit_bias]
"""
DAY = 86_400


@pytest.fixture(scope="module")
def recording(tmp_path_factory, started_once):
    settings = tmp_path_factory.mktemp("settings") / "weir.yaml"
    settings.write_text("record: true\n")
    with started_once(open=POLICY, flags={"settings": settings}) as weir:
        yield weir


@pytest.fixture(scope="module")
def secret(recording):
    return recording.issue("acme", "paid")[1]


def recorded(weir, identity: str):
    """Return the entry of a decision, once it is there."""
    identity = identity.partition(";")[0]
    directory = weir.home / "traffic"

    def look():
        found = entries([directory], Tally()) if directory.is_dir() else ()
        return [entry for entry in found if entry.id == identity]

    (found,) = weir.eventually(look)
    return found


def said(weir, secret, door: str, **asked):
    """Ask with an official SDK; return the decision and what was said."""
    stream = asked.get("stream")
    with weir.client(secret) as client, weir.claude(secret) as claude:
        match door:
            case "chat":
                raw = client.chat.completions.with_raw_response.create(
                    model="standin", messages=ASK, **asked
                )
                got = raw.parse()
                text = (
                    "".join(one.choices[0].delta.content or "" for one in got if one.choices)
                    if stream
                    else got.choices[0].message.content
                )
            case "completions":
                raw = client.completions.with_raw_response.create(
                    model="standin", prompt=ASK[0]["content"], **asked
                )
                got = raw.parse()
                text = (
                    "".join(one.choices[0].text for one in got if one.choices)
                    if stream
                    else got.choices[0].text
                )
            case "responses":
                raw = client.responses.with_raw_response.create(
                    model="standin", input=ASK[0]["content"], **asked
                )
                got = raw.parse()
                text = (
                    "".join(one.delta for one in got if one.type == "response.output_text.delta")
                    if stream
                    else got.output_text
                )
            case "messages":
                raw = claude.messages.with_raw_response.create(
                    model="standin", max_tokens=50, messages=ASK, **asked
                )
                got = raw.parse()
                text = (
                    "".join(one.delta.text for one in got if one.type == "content_block_delta")
                    if stream
                    else got.content[0].text
                )
    return raw.headers["x-weir-decision"], text


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("door", ["chat", "completions", "responses", "messages"])
def test_a_line_has_what_was_asked_and_what_was_said(recording, secret, door, stream):
    identity, text = said(recording, secret, door, stream=stream)
    entry = recorded(recording, identity)
    record = recording.record(identity)
    assert len(text.split()) == 12
    assert entry.answer.text == text
    assert CANARY in json.dumps(entry.body)
    assert (entry.key, entry.account, entry.plan, entry.ip) == (
        record["key"],
        "acme",
        "paid",
        "127.0.0.1",
    )
    assert (entry.t, entry.charged_at, entry.settled_at) == (
        record["t"],
        record["charged_at"],
        record["settled_at"],
    )
    assert (entry.fp.prompt, entry.fp.ip) == (record["prompt_fp"], record["ip"])
    assert (entry.answer.status, entry.answer.end, entry.answer.billed) == (200, "complete", True)
    assert entry.answer.usage.reported_output == record["usage"]["reported_output"] == 12
    assert entry.answer.lasted == record["timings"]["total"]
    assert entry.facts is None


def test_a_body_on_many_lines_is_one_line(recording, secret):
    body = json.dumps({"model": "standin", "messages": ASK}, indent=2)
    identity = post(recording, secret, body)
    assert recorded(recording, identity).body == json.loads(body)


def test_a_body_that_is_nested_too_deeply_to_be_read_back_leaves_its_facts(recording, secret):
    deep = {"x": 1}
    for _ in range(243):
        deep = {"x": deep}
    asked = {"model": "standin", "messages": ASK, "metadata": deep, "user": "u" * 600}
    entry = recorded(recording, post(recording, secret, json.dumps(asked)))
    assert entry.body is None
    assert (entry.facts.dialect, entry.facts.model) == ("openai.chat", "standin")
    assert entry.facts.user == "u" * 512  # no longer than a line may tell


def post(weir, secret: str, body: str) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", weir.port, timeout=10)) as line:
        line.request(
            "POST", "/v1/chat/completions", body, {"authorization": f"Bearer {secret}"}
        )  # fmt: skip
        answer = line.getresponse()
        answer.read()
        return answer.headers["x-weir-decision"]


def test_what_is_refused_has_no_answer(recording, secret):
    body = {"model": "standin", "messages": ASK, "logit_bias": {"1": 1}}
    entry = recorded(recording, post(recording, secret, json.dumps(body)))
    assert (entry.effect, entry.answer) == ("refuse", None)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_what_is_handed_out_sealed_is_kept(recording, secret, stream):
    with recording.client(secret) as client, recording.claude(secret) as claude:
        raw = claude.messages.with_raw_response.create(
            model="standin", max_tokens=2000, messages=ASK, stream=stream,
            thinking={"type": "enabled", "budget_tokens": 1024},
        )  # fmt: skip
        got = raw.parse()
        signature = (
            next(one.delta.signature for one in got if getattr(getattr(one, "delta", None), "type", "") == "signature_delta")
            if stream else got.content[0].signature
        )  # fmt: skip
        assert recorded(recording, raw.headers["x-weir-decision"]).answer.sealed == (signature,)
        raw = client.responses.with_raw_response.create(
            model="standin-reasoner", input="Why?", stream=stream, store=False,
            include=["reasoning.encrypted_content"], reasoning={"effort": "low"},
        )  # fmt: skip
        got = raw.parse()
        if stream:  # its first event hands out another, of nothing yet
            got = next(one.response for one in got if one.type == "response.completed")
        kept = recorded(recording, raw.headers["x-weir-decision"]).answer.sealed
    assert kept[-1] == got.output[0].encrypted_content
    assert len(kept) == 1 + stream


def test_a_stored_answer_is_named_where_it_was_made_and_its_reader_tells_facts(recording, secret):
    with recording.client(secret) as client:
        raw = client.responses.with_raw_response.create(model="standin", input="Why?")
        made = raw.parse().id
        reads = client.responses.with_raw_response.retrieve(made)
    assert recorded(recording, raw.headers["x-weir-decision"]).answer.object == made
    entry = recorded(recording, reads.headers["x-weir-decision"])
    assert (entry.method, entry.path) == ("GET", f"/v1/responses/{made}")
    assert (entry.facts.model, entry.facts.references) == ("standin", (made,))
    assert (entry.answer.object, entry.answer.billed) == ("", False)


def test_files_are_the_owners_alone_and_hold_no_secret(recording, secret):
    said(recording, secret, "chat")
    directory = recording.home / "traffic"
    files = list(directory.iterdir())
    assert directory.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * len(files)
    whole = b"".join(file.read_bytes() for file in files)
    assert secret.encode() not in whole
    assert b"upstream-secret" not in whole


def test_a_key_in_a_query_is_not_recorded(recording, secret):
    path = f"/v1/models?limit=5&api_key={secret}"
    with closing(http.client.HTTPConnection("127.0.0.1", recording.port, timeout=10)) as line:
        line.request("GET", path, headers={"authorization": f"Bearer {secret}"})
        answer = line.getresponse()
        answer.read()
    assert recorded(recording, answer.headers["x-weir-decision"]).path == "/v1/models?limit=5"


def test_it_is_said_aloud_once_and_in_the_metrics(recording, secret):
    said(recording, secret, "chat")
    lines = [line for line in recording.text.splitlines() if "recording.on" in line]
    assert len(lines) == 1
    assert "IN THE CLEAR" in lines[0]
    assert str(recording.home / "traffic") in lines[0]
    assert "keep='7d'" in lines[0]
    assert CANARY not in recording.text
    assert "weir_recording 1.0" in recording.get("/metrics")[1]


def test_nothing_is_recorded_by_default(start):
    with start() as weir:
        said(weir, weir.issue()[1], "chat")
    assert not (weir.home / "traffic").exists()
    assert "recording" not in weir.text


@pytest.fixture
def opened(tmp_path):
    """Return how to open a recorder that is closed in the end."""
    made = []

    def open_(**more) -> FileRecorder:
        told = {
            "rotate_bytes": 1000,
            "keep_bytes": 3000,
            "keep_seconds": 7 * DAY,
            "queue_bytes": 10_000,
        }
        made.append(FileRecorder(tmp_path, 0, **{**told, **more}))
        return made[-1]

    yield open_
    for each in made:
        each.close()


def line(number: int) -> bytes:
    return b'{"t":%d,"account":"a","facts":{"dialect":"d"},"id":"%s"}\n' % (
        1_763_900_000 + number,
        b"x" * 300,
    )


def drained(recorder: FileRecorder, count: int) -> None:
    deadline = time.monotonic() + 5
    while recorder.written + recorder.dropped < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def aged(path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_a_file_goes_when_its_last_line_is_older_than_is_kept(tmp_path, opened):
    old, young, other = (
        tmp_path / name for name in ("traffic-3.jsonl", "traffic-1.jsonl.gz", "decisions-0.jsonl")
    )
    for path in (old, young, other):
        path.write_bytes(line(1))
    aged(old, 8 * DAY)
    aged(young, 6 * DAY)
    aged(other, 8 * DAY)
    recorder = opened()
    assert not old.exists()
    assert young.exists()
    assert other.exists()
    aged(young, 8 * DAY)
    recorder.tidy()
    assert not young.exists()


def test_a_file_that_nothing_came_to_for_long_is_begun_anew(tmp_path, opened):
    recorder = opened()
    recorder.record(line(1))
    drained(recorder, 1)
    aged(tmp_path / "traffic-0.jsonl", 8 * DAY)
    recorder.tidy()
    assert list(tmp_path.iterdir()) == []
    recorder.record(line(2))
    drained(recorder, 2)
    assert [
        entry_of(each).t for each in (tmp_path / "traffic-0.jsonl").read_bytes().splitlines()
    ] == [1_763_900_002_000_000]


def test_all_files_together_keep_within_their_bytes_and_the_oldest_go_first(tmp_path, opened):
    recorder = opened()
    for number in range(20):
        recorder.record(line(number))
        drained(recorder, number + 1)
    recorder.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000
    tally = Tally()
    kept = [entry.t // 1_000_000 - 1_763_900_000 for entry in entries([tmp_path], tally)]
    assert kept == list(range(20 - len(kept), 20))
    assert len(kept) >= 6
    assert tally.unreadable == 0


def test_what_cannot_be_deleted_is_told_and_keeps_nothing_else(tmp_path, opened, monkeypatch):
    """A directory that is in the way is nobody's recording; a file that stays is said aloud."""
    stays, old, directory = (
        tmp_path / f"traffic-{name}"
        for name in ("1.jsonl", "2-20260101T000000000000Z.jsonl", "0.jsonl.d")
    )
    directory.mkdir()
    for path in (stays, old):
        path.write_bytes(line(1))
    for path in (stays, old, directory):
        aged(path, 8 * DAY)
    unlink = type(stays).unlink

    def forbidden(path, **more):
        if path == stays:
            raise PermissionError(1, "Operation not permitted")
        unlink(path, **more)

    monkeypatch.setattr(type(stays), "unlink", forbidden)
    with capture_logs() as logs:
        opened()
    assert (stays.exists(), old.exists(), directory.exists()) == (True, False, True)
    assert [(each["event"], each["why"]) for each in logs] == [
        ("recording.kept_too_long", "Operation not permitted")
    ]


def test_nobody_waits_for_the_disk_and_what_is_lost_is_told(opened):
    with capture_logs() as logs:
        recorder = opened(queue_bytes=1000)
        for number in range(50):
            recorder.record(line(number))
        assert recorder.dropped >= 40  # two fit; the disk is written to every 50 ms
        deadline = time.monotonic() + 5
        while not logs and time.monotonic() < deadline:
            time.sleep(0.01)
    assert logs[0]["event"] == "recording.dropped"
    assert "x" * 300 not in str(logs)
