"""Answers as they come: counted once, ended natively, unchanged."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import RequestFacts, Usage
from proxy.core.shape import Shape
from proxy.dialects import openai_responses
from proxy.dialects.tokens import TokenRules

WORDS = TokenRules("words", 1_000, 200)
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 3},
    "output_tokens": 6,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 15,
}
MESSAGE = {"id": "msg_1", "type": "message", "content": [{"type": "output_text", "text": "to be or", "annotations": [{"title": "not counted"}]}]}  # fmt: skip
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "c",
    "name": "look",
    "arguments": '{"a": 1}',
}
AT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
THERE = {"item_id": "fc_1", "output_index": 1}


def response(status="completed", output=(), **more):
    return {"id": "resp_1", "object": "response", "status": status, "output": list(output)} | more


def sse(*events, end="\n"):
    return "".join(
        f"event: {kind}{end}data: {json.dumps({'type': kind, 'sequence_number': n, **told})}{end}{end}"
        for n, (kind, told) in enumerate(events)
    ).encode()


CREATED = ("response.created", {"response": response("in_progress")})
ADDED = ("response.output_item.added", {"output_index": 0, "item": MESSAGE | {"content": []}})
DELTAS = [
    ("response.output_text.delta", {**AT, "delta": "to b", "logprobs": []}),
    ("response.output_text.delta", {**AT, "delta": "e or", "logprobs": []}),
]
TEXT_DONE = ("response.output_text.done", {**AT, "text": "to be or", "logprobs": []})
PART_DONE = ("response.content_part.done", {**AT, "part": MESSAGE["content"][0]})
ITEM_DONE = ("response.output_item.done", {"output_index": 0, "item": MESSAGE})
CALL_ADDED = ("response.output_item.added", {"output_index": 1, "item": CALL | {"arguments": ""}})
CALL_DELTA = ("response.function_call_arguments.delta", {**THERE, "delta": '{"a": 1}'})
CALL_DONE = ("response.output_item.done", {"output_index": 1, "item": CALL})
COMPLETED = ("response.completed", {"response": response(output=[MESSAGE, CALL], usage=USAGE)})
WHOLE = [
    CREATED,
    ADDED,
    *DELTAS,
    TEXT_DONE,
    PART_DONE,
    ITEM_DONE,
    CALL_ADDED,
    CALL_DELTA,
    CALL_DONE,
    COMPLETED,
]


def reader_for(
    content_type="text/event-stream", status=200, *, stored=False, features=(), shape=None
):
    facts = RequestFacts("openai.responses", "m", stream=True, stored=stored, features=frozenset(features))  # fmt: skip
    return openai_responses.answer(facts, WORDS, content_type, status, shape or Shape())


def run(data, cuts=(), **more):
    reader = reader_for(**more)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = b""
    try:
        for start, end in pairwise(edges):
            out += reader.feed(data[start:end])
        out += reader.end()
    except UpstreamGarbageError:
        out += reader.broken("garbage", "upstream.garbage")
    return out, reader


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_stream_passes_byte_for_byte_and_is_counted(end):
    stream = sse(*WHOLE, end=end)
    out, reader = run(stream)
    assert out == stream
    assert reader.usage == Usage(9, 6, 1, 3, relayed=6)
    assert (reader.complete, reader.errored, reader.pending) == (True, False, False)
    assert (reader.finish_reasons, reader.objects) == (("completed",), ())


@pytest.mark.parametrize(
    ("events", "relayed"),
    [
        (WHOLE, 6),
        ([CREATED, ADDED, *DELTAS], 3),
        ([CREATED, ADDED, DELTAS[0], TEXT_DONE], 3),
        ([CREATED, PART_DONE], 3),
        ([CREATED, ITEM_DONE, CALL_DONE, COMPLETED], 6),
        ([CREATED, COMPLETED], 6),
        ([CREATED, CALL_ADDED, CALL_DELTA], 3),
        ([CREATED, ("response.reasoning_summary_text.delta", {"output_index": 0, "summary_index": 0, "delta": "a b"}), ("response.reasoning_summary_text.done", {"output_index": 0, "summary_index": 0, "text": "a b"})], 2),
        ([CREATED, ("response.reasoning_text.delta", {"output_index": 0, "content_index": 0, "delta": "a b"})], 2),
        ([CREATED, ("response.refusal.delta", {**AT, "delta": "a b"}), ("response.refusal.done", {**AT, "refusal": "a b"})], 2),
        ([CREATED, ("response.custom_tool_call_input.delta", {"output_index": 0, "delta": "a b"}), ("response.custom_tool_call_input.done", {"output_index": 0, "input": "a b"})], 2),
        ([CREATED, ("response.code_interpreter_call_code.done", {"output_index": 0, "code": "a b"})], 2),
        ([CREATED, ("response.new_thing.delta", {"output_index": 0, "delta": "a b"}), ("response.output_item.done", {"output_index": 0, "item": {"type": "new_thing", "thing": "a b"}})], 2),
        ([CREATED, ("response.output_item.done", {"output_index": 0, "item": {"type": "new_thing", "id": "x y", "thing": "a b"}})], 2),
        ([CREATED, ("response.audio.delta", {"delta": "AAAA"}), ("response.audio.transcript.delta", {"delta": "a b"})], 2),
    ],
)  # fmt: skip
def test_every_text_is_counted_once_however_often_it_is_told(events, relayed):
    _, reader = run(sse(*events))
    assert reader.usage.relayed == relayed


def test_the_ids_of_a_stored_answer_are_known_as_they_come():
    stream = sse(*WHOLE)
    reader = reader_for(stored=True)
    seen = []
    for event in stream.split(b"\n\n")[:-1]:
        reader.feed(event + b"\n\n")
        seen.append(len(reader.objects))
    assert seen == [1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3]
    assert reader.objects == ("resp_1", "msg_1", "fc_1")


@pytest.mark.parametrize(
    ("kind", "more", "finish", "errored"),
    [
        ("response.incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}, "incomplete:max_output_tokens", False),
        ("response.incomplete", {"incomplete_details": {"reason": "content_filter"}}, "incomplete:content_filter", False),
        ("response.failed", {"error": {"code": "server_error", "message": "m"}}, "failed", True),
        ("response.cancelled", {}, "cancelled", False),
    ],
)  # fmt: skip
def test_each_ending_is_told(kind, more, finish, errored):
    ended = response(kind.removeprefix("response."), **more)
    _, reader = run(sse(CREATED, (kind, {"response": ended})))
    assert (reader.complete, reader.errored, reader.finish_reasons) == (True, errored, (finish,))


def test_a_refusal_under_a_good_status_is_an_error():
    stream = sse(
        CREATED,
        ("error", {"code": "rate_limit_exceeded", "message": "m", "param": None}),
        ("response.failed", {"response": response("failed", error={"code": "x", "message": "m"})}),
    )
    reader = reader_for()
    first = stream.index(b"event: response.failed")
    assert reader.feed(stream[:first]) == stream[:first]
    assert (reader.errored, reader.complete) == (True, False)
    assert reader.feed(stream[first:]) + reader.end() == stream[first:]
    assert (reader.errored, reader.complete, reader.usage.relayed) == (True, True, 0)


@pytest.mark.parametrize("how", ["ends", "breaks"])
def test_a_stream_that_stops_short_is_ended_with_an_error_event(how):
    stream = sse(CREATED, ADDED, DELTAS[0])
    reader = reader_for()
    out = reader.feed(stream)
    last = reader.end() if how == "ends" else reader.broken("m", "upstream.reset")
    assert out == stream
    name, data = last.decode().strip().split("\n")
    told = json.loads(data.removeprefix("data: "))
    assert name == "event: error"
    assert set(told) == {"type", "code", "message", "param", "sequence_number"}
    assert (told["type"], told["code"], told["sequence_number"]) == ("error", "upstream.reset", 3)
    openai.types.responses.ResponseErrorEvent.model_validate(told)
    assert (reader.complete, reader.pending) == (False, False)
    assert reader.feed(stream) == reader.end() == reader.broken("m", "c") == b""


def test_a_background_answer_is_pending_until_its_end():
    reader = reader_for(features=["background"])
    assert not reader.pending
    reader.feed(sse(CREATED, ADDED))
    assert reader.pending
    reader.broken("m", "c")
    assert reader.pending
    _, reader = run(sse(*WHOLE), features=["background"])
    assert not reader.pending


def test_nothing_but_the_mark_of_the_end_passes_after_the_end():
    stream = sse(*WHOLE)
    out, reader = run(stream + b": bye\n\n" + sse(DELTAS[0]) + b"data: [DONE]\n\n")
    assert out == stream + b": bye\n\n" + b"data: [DONE]\n\n"
    assert reader.usage.relayed == 6


def test_what_was_good_before_garbage_is_given_first():
    good = sse(CREATED)
    out, reader = run(good + b"data: {nope\n\n")
    assert out.startswith(good + b"event: error\n")
    assert not reader.complete


PIECES = st.sampled_from(
    [sse(event) for event in WHOLE]
    + [
        b": ping\n\n", b"data: {nope\n\n", b"data: 5\n\n", b"\n", b"\r", b"event: x\n", b"data: [DONE]\n\n",
        sse(("error", {"message": "m"})), b'data: {"error":{"message":"m"}}\n\n', b"data: " + b"[" * 2000 + b"\n\n", b"data: \xff\n\n",
    ]
)  # fmt: skip
SHAPES = st.sampled_from([Shape(), Shape(strip=frozenset({"logprobs"}), hide_reasoning=True), Shape(truncate=1), Shape(truncate=4, hide_reasoning=True)])  # fmt: skip


@settings(deadline=None)
@given(
    st.lists(PIECES, max_size=8).map(b"".join), st.lists(st.integers(0, 3000), max_size=8), SHAPES
)
def test_any_stream_cut_anywhere_gives_the_same_and_only_garbage_is_raised(stream, cuts, shape):
    whole, one = run(stream, shape=shape, stored=True)
    parts, two = run(stream, cuts, shape=shape, stored=True)
    assert parts == whole
    assert (one.usage, one.complete, one.errored, one.cut, one.objects, one.finish_reasons) == (
        two.usage, two.complete, two.errored, two.cut, two.objects, two.finish_reasons,
    )  # fmt: skip


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a b", "message", "reasoning", "output_text", "summary_text", "function_call", "x"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "id", "content", "summary", "text", "refusal", "annotations", "logprobs", "output", "status", "usage", "arguments", "encrypted_content", "end_index"]), inner, max_size=5),
    max_leaves=10,
)  # fmt: skip
KINDS = st.sampled_from([kind for kind, _ in WHOLE] + ["response.output_text.annotation.added", "response.reasoning_summary_part.added", "response.reasoning_summary_text.delta", "response.shell_call_command.delta", "response.refusal.done", "x.delta", "x.done", "error", ""])  # fmt: skip
EVENTS = st.tuples(KINDS, st.dictionaries(st.sampled_from(["output_index", "content_index", "item", "part", "delta", "text", "response", "error", "annotation", "logprobs", "item_id", "refusal"]), ODD, max_size=5))  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(EVENTS, max_size=6), SHAPES, st.sampled_from(["text/event-stream", "application/json"])
)
def test_odd_events_raise_garbage_or_nothing(events, shape, content_type):
    reader = reader_for(content_type, shape=shape, stored=True)
    with contextlib.suppress(UpstreamGarbageError):
        if content_type == "application/json":
            reader.feed(json.dumps(events[0][1] if events else {}).encode())
        else:
            reader.feed(sse(CREATED, *events))
        reader.end()
    reader.broken("m", "c")
    assert reader.usage.relayed >= 0


def test_a_body_passes_and_is_counted_at_its_end():
    body = json.dumps(response(output=[MESSAGE, CALL], usage=USAGE), indent=1).encode()
    reader = reader_for("application/json; charset=utf-8", stored=True)
    assert reader.feed(body[:200]) + reader.feed(body[200:]) + reader.end() == body
    assert reader.usage == Usage(9, 6, 1, 3, relayed=6)
    assert (reader.complete, reader.errored, reader.pending, reader.cut) == (
        True,
        False,
        False,
        False,
    )
    assert (reader.objects, reader.finish_reasons) == (("resp_1", "msg_1", "fc_1"), ("completed",))


def test_of_half_a_body_what_came_is_counted_but_not_the_echo_of_the_request():
    body = json.dumps({"instructions": "not this", "output": [MESSAGE]}).encode()
    reader = reader_for("application/json")
    reader.feed(body[: body.index(b" or")])
    assert reader.usage.relayed == 2
    assert reader.broken("m", "c") == b""


@pytest.mark.parametrize("shape", [Shape(), Shape(truncate=3)])
@pytest.mark.parametrize(
    ("body", "errored", "pending"),
    [
        (response("queued"), False, True),
        (response("in_progress"), False, True),
        (response("completed"), False, False),
        (response("cancelled"), False, False),
        (response("failed", error={"message": "m"}), True, False),
        ({"error": {"message": "m"}}, True, False),
    ],
)
def test_a_body_tells_whether_the_work_goes_on(body, errored, pending, shape):
    reader = reader_for("application/json", shape=shape)
    data = json.dumps(body).encode()
    assert reader.feed(data) + reader.end() == data
    assert (reader.errored, reader.pending, reader.complete) == (errored, pending, True)


def test_an_error_of_the_provider_passes_unread():
    reader = reader_for("application/json", 429, shape=Shape(truncate=1))
    assert reader.feed(b'{"error":{}}') + reader.end() == b'{"error":{}}'
    assert (reader.errored, reader.objects) == (True, ())


def test_what_could_not_be_metered_is_garbage():
    with pytest.raises(UpstreamGarbageError):
        reader_for("text/html")
    for shape in (Shape(), Shape(truncate=1)):
        reader = reader_for("application/json", shape=shape)
        reader.feed(b"[1]")
        with pytest.raises(UpstreamGarbageError):
            reader.end()
