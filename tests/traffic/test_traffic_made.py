"""Traffic made of other things: of a journal, of HAR; sorted, sampled, given keys."""

import base64
import random
from collections import Counter
from pathlib import Path

import orjson
import pytest

from proxy import engine
from proxy.core.errors import TrafficError
from proxy.core.principal import Principal
from proxy.engine import Context
from proxy.policy.compiled import Model, PolicySet
from proxy.traffic import sorting
from proxy.traffic.entry import Entry, Prints
from proxy.traffic.har import from_har
from proxy.traffic.journalled import Left, entry_of_record, journalled
from proxy.traffic.parsing import entry_of, line_of
from proxy.traffic.reading import Tally
from proxy.traffic.sampling import sampled
from proxy.traffic.sorting import sorted_lines

GOLDEN = Path(__file__).parents[1] / "journal" / "golden"
RECORDS = {path.stem: orjson.loads(path.read_bytes()) for path in sorted(GOLDEN.glob("*.json"))}
DECIDED = {name: record for name, record in RECORDS.items() if record["effect"]}
T = 1_763_900_000_000_000


# Of a journal


@pytest.mark.parametrize("name", DECIDED)
def test_a_record_becomes_traffic_that_costs_what_the_record_says(name):
    record = DECIDED[name]
    entry = entry_of_record(record)
    assert (entry.t, entry.id, entry.account) == (record["t"], record["id"], record["account"])
    assert (entry.charged_at, entry.settled_at) == (record["charged_at"], record["settled_at"])
    assert (entry.effect, entry.level, entry.policies) == (
        record["effect"], record["level"], record["policies"],
    )  # fmt: skip
    assert entry.body is None
    if record["end"] == "refused":
        assert entry.answer is None
        return
    nothing = engine.plan(
        entry.facts, Principal("k", "a", "o"), "", PolicySet((), ""), Model("*"),
        context=Context("test", str), lease_id="1",
    )  # fmt: skip
    answer = entry.answer
    spent = engine.spent(nothing, answer.end, answer.usage, billed=answer.billed, kept=answer.kept)
    assert (spent.prompt, spent.output) == (
        record["usage"]["charged_input"], record["usage"]["charged_output"],
    )  # fmt: skip
    assert answer.lasted == record["timings"]["total"]


def test_fingerprints_stand_for_what_a_journal_does_not_hold():
    record = RECORDS["allow.complete"]
    entry = entry_of_record(record)
    assert entry.ip == record["ip"]
    assert entry.fp == Prints(prompt=record["prompt_fp"], ip=record["ip"])
    assert entry.facts.features == {"logprobs", "tools"}
    assert (entry.facts.prompt_tokens, entry.facts.output_tokens) == (312, 4096)


def test_choices_share_the_reservation_that_the_record_has():
    record = {**RECORDS["allow.complete"], "choices": 4}
    assert entry_of_record(record).facts.output_tokens == 1024


def test_an_answer_in_the_background_keeps_what_it_reserved():
    record = RECORDS["allow.complete"]
    usage = {
        **record["usage"],
        "reported_output": None,
        "reported_prompt": None,
        "relayed": 0,
        "charged_output": 4096,
    }
    entry = entry_of_record(
        {
            **record,
            "features": ["background", "store"],
            "route": "/v1/responses",
            "object_id": "resp_1",
            "usage": usage,
        }
    )
    assert (entry.answer.kept, entry.answer.object, entry.facts.stored) == (True, "resp_1", True)


def test_what_never_came_to_a_decision_is_left_out_and_counted(tmp_path):
    lines = [orjson.dumps(record) for record in RECORDS.values()]
    other = orjson.dumps({**RECORDS["allow.complete"], "v": 2})
    (tmp_path / "decisions-0.jsonl").write_bytes(
        b"\n".join([*lines, other, b'{"effect":"allow"}', b'{"torn'])
    )
    left = Left()
    found = list(journalled(tmp_path, left))
    assert [entry.id for entry in found] == [record["id"] for record in DECIDED.values()]
    assert left == Left(undecided=len(RECORDS) - len(DECIDED), unreadable=3)


# Of HAR


def har(*entries):
    return orjson.dumps({"log": {"version": "1.2", "entries": entries}})


def exchange(
    path,
    asked=None,
    answer=None,
    *,
    kind="application/json",
    status=200,
    key="sk-canary",
    method="POST",
    **more,
):
    text = answer if isinstance(answer, str) else orjson.dumps(answer).decode()
    request = {
        "method": method,
        "url": f"https://api.example.com{path}",
        "headers": [{"name": "Authorization", "value": f"Bearer {key}"}],
    }
    if asked is not None:
        request["postData"] = {"mimeType": "application/json", "text": orjson.dumps(asked).decode()}
    return {
        "startedDateTime": "2025-11-23T13:13:20.250+01:00",
        "time": 1234.5,
        "request": request,
        "response": {"status": status, "content": {"mimeType": kind, "text": text}},
        **more,
    }


CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
SSE = "text/event-stream"


def events(*told, end=""):
    return "".join(f"data: {orjson.dumps(each).decode()}\n\n" for each in told) + end


def named(*told):
    return "".join(
        f"event: {each['type']}\ndata: {orjson.dumps(each).decode()}\n\n" for each in told
    )


MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "usage": {"input_tokens": 9, "output_tokens": 1},
}
ANSWERS = [
    # the door, what was asked, the answer's type and body; its prompt and output tokens, text
    ("/v1/chat/completions", CHAT, "application/json",
     {"choices": [{"index": 0, "message": {"content": "one two"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 4}},
     9, 4, "one two"),
    ("/v1/chat/completions", {**CHAT, "stream": True}, SSE,
     events({"choices": [{"index": 0, "delta": {"content": "one "}}]},
            {"choices": [{"index": 0, "delta": {"content": "two"}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}, end="data: [DONE]\n\n"),
     9, 4, "one two"),
    ("/v1/completions", {"model": "m", "prompt": "Hi"}, "application/json",
     {"choices": [{"index": 0, "text": "one two", "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
     1, 2, "one two"),
    ("/v1/embeddings", {"model": "m", "input": "Hi"}, "application/json",
     {"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 3, "total_tokens": 3}}, 3, None, ""),
    ("/v1/messages?beta=true", {**CHAT, "max_tokens": 50}, "application/json",
     {**MESSAGE, "content": [{"type": "text", "text": "one two"}], "stop_reason": "end_turn", "usage": {"input_tokens": 9, "cache_read_input_tokens": 5, "output_tokens": 4}},
     14, 4, "one two"),
    ("/v1/messages", {**CHAT, "max_tokens": 50, "stream": True}, SSE,
     named({"type": "message_start", "message": MESSAGE},
           {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
           {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "one two"}},
           {"type": "content_block_stop", "index": 0},
           {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
           {"type": "message_stop"}),
     9, 4, "one two"),
    ("/v1/responses", {"model": "m", "input": "Hi"}, "application/json",
     {"id": "resp_1", "object": "response", "status": "completed",
      "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "one two"}]}],
      "usage": {"input_tokens": 9, "output_tokens": 4}},
     9, 4, "one two"),
    ("/v1/responses", {"model": "m", "input": "Hi", "stream": True, "store": False}, SSE,
     named({"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "status": "in_progress"}},
           {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "i", "output_index": 0, "content_index": 0, "delta": "one two"},
           {"type": "response.completed", "sequence_number": 2, "response": {"id": "resp_1", "status": "completed", "output": [], "usage": {"input_tokens": 9, "output_tokens": 4}}}),
     9, 4, "one two"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "asked", "kind", "answer", "prompt", "output", "text"),
    ANSWERS,
    ids=[f"{case[0]} {case[2]}" for case in ANSWERS],
)
def test_an_answer_is_read_by_its_dialect(path, asked, kind, answer, prompt, output, text):
    left = Counter()
    (entry,) = from_har(har(exchange(path, asked, answer, kind=kind)), left, "acme")
    assert not left
    assert (entry.t, entry.account, entry.path, entry.body) == (T + 250_000, "acme", path, asked)
    found = entry.answer
    assert (found.status, found.end, found.lasted, found.text) == (200, "complete", 1_234_500, text)
    assert (found.usage.reported_prompt, found.usage.reported_output) == (prompt, output)
    assert entry_of(line_of(entry)) == entry


def test_contents_in_base64_are_read():
    one = exchange("/v1/chat/completions", CHAT, ANSWERS[0][3])
    content = one["response"]["content"]
    content["text"], content["encoding"] = (
        base64.b64encode(content["text"].encode()).decode(),
        "base64",
    )
    (entry,) = from_har(har(one), Counter())
    assert entry.answer.text == "one two"


def test_how_an_answer_ended_is_told_by_what_came():
    def end(**more):
        (entry,) = from_har(
            har(exchange("/v1/chat/completions", {**CHAT, "stream": True}, **more)), Counter()
        )
        return entry.answer.end

    cut = events({"choices": [{"index": 0, "delta": {"content": "one"}}]})
    assert end(answer=cut, kind=SSE) == "broken"
    assert end(answer={"error": {"message": "slow down"}}, status=429) == "error"
    assert end(answer="", status=0) == "abandoned"
    assert end(answer="") == "complete"  # exported without contents


def test_credentials_become_pseudonyms_and_are_nowhere():
    asked = [
        exchange("/v1/chat/completions", CHAT, {}, key=key)
        for key in ("sk-canary-1", "sk-canary-2", "sk-canary-1")
    ]
    found = list(from_har(har(*asked), Counter()))
    assert [entry.account for entry in found] == ["account-1", "account-2", "account-1"]
    assert all(b"canary" not in line_of(entry) for entry in found)


def test_parameters_that_no_door_lets_through_are_not_copied():
    one = exchange("/v1/models?limit=5&api_key=sk-canary", answer={}, method="GET")
    (entry,) = from_har(har(one), Counter())
    assert (entry.method, entry.path, entry.body) == ("GET", "/v1/models?limit=5", None)


def test_what_is_left_out_is_counted_by_reason():
    broken = exchange("/v1/chat/completions", CHAT, {})
    del broken["time"]
    old = exchange("/v1/chat/completions", CHAT, {}, startedDateTime="1999-01-01T00:00:00Z")
    vague = exchange("/v1/chat/completions", CHAT, {}, startedDateTime="2025-11-23T13:13:20")
    form = exchange("/v1/chat/completions", CHAT, {})
    form["request"]["postData"]["text"] = "a=b"
    left = Counter()
    entries = har(
        exchange("/favicon.ico", method="GET"),
        exchange("/v1/files", {}, {}),
        broken,
        old,
        vague,
        form,
        5,
    )
    assert list(from_har(entries, left)) == []
    assert left == {
        "is no door that Weir serves": 2,
        "is no entry of HAR 1.2": 2,
        "cannot be traffic: t: must lie between 2000 and 2100, in seconds since 1970 (1763900000.25)": 1,
        "has a startedDateTime without a time zone": 1,
        "has a body that is no JSON": 1,
    }


@pytest.mark.parametrize("text", [b"", b"{}", b'{"log":5}', b'{"log":{"entries":{}}}', b"[]"])
def test_what_is_no_har_is_told(text):
    with pytest.raises(TrafficError, match="is no HAR"):
        list(from_har(text, Counter()))


# Sorted, sampled


def test_traffic_larger_than_memory_is_sorted_whatever_its_order(tmp_path, monkeypatch):
    monkeypatch.setattr(sorting, "FAN_IN", 3)
    lines = [
        line_of(Entry(T + number // 3, "k", f"a{number % 7}", "o", body={"n": number}))
        for number in range(400)
    ]
    expected = sorted(lines, key=lambda line: (entry_of(line).t, entry_of(line).account, line))
    random.Random(4).shuffle(lines)
    file, folder = tmp_path / "a.jsonl", tmp_path / "runs"
    folder.mkdir()
    file.write_bytes(b"".join(lines[:300]) + b"nonsense\n" + b"".join(lines[300:]))
    tally = Tally()
    assert list(sorted_lines([file], tally, folder, run=2000)) == expected
    assert (tally.read, tally.unreadable) == (400, 1)
    # Of threes there were a few levels: what is left is two of each at most.
    assert 1 < len(list(folder.iterdir())) <= 8


def test_a_sample_is_the_same_in_any_order_and_another_under_another_seed():
    accounts = [f"account-{number}" for number in range(1000)]
    chosen = sampled(accounts, 100)
    assert len(chosen) == 100
    assert sampled(reversed(accounts), 100) == chosen
    assert sampled(accounts, 100, seed=1) != chosen
    assert sampled(accounts[:5], 100) == frozenset(accounts[:5])


def test_adding_accounts_changes_a_sample_only_by_those():
    accounts = [f"account-{number}" for number in range(1000)]
    before, after = sampled(accounts, 100), sampled([*accounts, "another"], 100)
    assert after - before <= {"another"}
