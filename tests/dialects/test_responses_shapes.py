"""What a shape leaves of a response: in every copy of its text, in JSON and in a stream."""

from __future__ import annotations

import copy
import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from proxy.core.facts import RequestFacts
from proxy.core.shape import Shape
from proxy.dialects import openai_responses
from proxy.dialects.tokens import TokenRules, count

EVENT = TypeAdapter(ResponseStreamEvent)
WORDS = TokenRules("words", 1_000, 200)
USAGE = {
    "input_tokens": 7,
    "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 27,
}
CHANCES = [{"token": "to", "logprob": -0.1, "bytes": [1], "top_logprobs": []}]
CLEAN = Shape(("p/s",), strip=frozenset({"logprobs"}), hide_reasoning=True)


def response(status, output, **more):
    return {
        "id": "resp_1",
        "created_at": 1.0,
        "error": None,
        "incomplete_details": None,
        "instructions": "Be brief.",
        "metadata": {"k": "v"},
        "model": "m",
        "object": "response",
        "output": output,
        "parallel_tool_calls": True,
        "status": status,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    } | more


def reasoning(pieces, sealed=None):
    text = "".join(pieces)
    item = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}
    return item | ({} if sealed is None else {"encrypted_content": sealed})


def message(pieces, kind="output_text", name="msg_1", chances=None):
    text = "".join(pieces)
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": chances or []}
    if kind == "refusal":
        part = {"type": "refusal", "refusal": text}
    return {"id": name, "type": "message", "role": "assistant", "status": "completed", "content": [part]}  # fmt: skip


def call(pieces, name="look", place="fc_1"):
    return {"id": place, "type": "function_call", "status": "completed", "call_id": "c", "name": name, "arguments": "".join(pieces)}  # fmt: skip


def told_of(items, index, item, pieces):
    """The events of one item."""
    at = {"item_id": item["id"], "output_index": index}
    kind = item["type"]
    begun = copy.deepcopy(item)
    if kind == "message":
        begun |= {"content": [], "status": "in_progress"}
    elif kind == "reasoning":
        begun |= {"summary": []}
    else:
        begun |= {"arguments": "", "status": "in_progress"}
    yield "response.output_item.added", {"output_index": index, "item": begun}
    if kind == "message":
        (part,) = item["content"]
        at |= {"content_index": 0}
        leaf = "refusal" if part["type"] == "refusal" else "text"
        empty = part | {leaf: ""} | ({"logprobs": []} if leaf == "text" else {})
        yield "response.content_part.added", {**at, "part": empty}
        more = {"logprobs": part.get("logprobs")} if leaf == "text" else {}
        stem = "response.output_text" if leaf == "text" else "response.refusal"
        for piece in pieces:
            yield f"{stem}.delta", {**at, "delta": piece, "obfuscation": "xyz", **more}
        yield f"{stem}.done", {**at, leaf: part[leaf], **more}
        yield "response.content_part.done", {**at, "part": part}
    elif kind == "reasoning":
        at |= {"summary_index": 0}
        (part,) = item["summary"]
        yield "response.reasoning_summary_part.added", {**at, "part": part | {"text": ""}}
        for piece in pieces:
            yield "response.reasoning_summary_text.delta", {**at, "delta": piece}
        yield "response.reasoning_summary_text.done", {**at, "text": part["text"]}
        yield "response.reasoning_summary_part.done", {**at, "part": part}
    else:
        for piece in pieces:
            yield "response.function_call_arguments.delta", {**at, "delta": piece}
        yield "response.function_call_arguments.done", {**at, "arguments": item["arguments"], "name": item["name"]}  # fmt: skip
    yield "response.output_item.done", {"output_index": index, "item": item}


def written(events):
    return b"".join(
        f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': n, **told}, separators=(',', ':'))}\n\n".encode()
        for n, (kind, told) in enumerate(events)
    )


def script(*items, status="completed", **more):
    """The bytes of a stream of items, each with its deltas, and the same as one JSON body."""
    begun = {"response": response("in_progress", [])}
    events = [("response.created", begun), ("response.in_progress", begun)]
    for index, (item, pieces) in enumerate(items):
        events += told_of(items, index, item, pieces)
    ended = response(status, [item for item, _ in items], usage=USAGE, **more)
    events.append((f"response.{status}", {"response": ended}))
    return written(events), json.dumps(ended).encode()


def facts(**more):
    return RequestFacts("openai.responses", "m", prompt_tokens=9, **more)


def run(data, shape, *, stream=True, cuts=(), rules=WORDS, **more):
    kind = "text/event-stream" if stream else "application/json"
    reader = openai_responses.answer(facts(stream=stream, **more), rules, kind, 200, shape)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = b"".join(reader.feed(data[start:end]) for start, end in pairwise(edges))
    return out + reader.end(), reader


def events_of(out):
    found = []
    for event in out.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        told = json.loads(data.removeprefix("data: "))
        assert name == f"event: {told['type']}"
        found.append(told)
    return found


def accepted(out):
    """The final response, after the SDK's types and its accumulator have taken every event."""
    told = events_of(out)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    state = ResponseStreamState(input_tools=[], text_format=omit)
    last = None
    for event in told:
        parsed = EVENT.validate_python(event)
        for each in state.handle_event(parsed):
            last = each
    final = last.response.model_dump()
    Response.model_validate(final)
    for index in range(len(final["output"])):
        done = [
            e
            for e in told
            if e["type"] == "response.output_item.done" and e["output_index"] == index
        ]
        assert [e["item"] for e in done] == [told[-1]["response"]["output"][index]]
    return told[-1]["response"]


TALK = (reasoning(["think ", "hard now"]), ["think ", "hard now"]), (message(["to b", "e or", " not to", " be"], chances=CHANCES), ["to b", "e or", " not to", " be"])  # fmt: skip
STREAM, BODY = script(*TALK)
MANY_STREAM, MANY_BODY = script(
    (reasoning(["r1 r2 ", "r3"]), ["r1 r2 ", "r3"]),
    (message(["m1 m2", " m3"]), ["m1 m2", " m3"]),
    (call(['{"a":', ' "c1 c2"}']), ['{"a":', ' "c1 c2"}']),
    (message(["n1", " n2 n3"], "refusal", "msg_2"), ["n1", " n2 n3"]),
)
MARKS = re.compile(r"\b[rmcn]\d\b")


@pytest.mark.parametrize("shape", [Shape(), Shape(("p/s",), n=1, temperature_max=0.5, delay=5)])
def test_what_is_not_shaped_keeps_every_byte(shape):
    for data, stream in ((STREAM, True), (BODY, False), (MANY_STREAM, True)):
        out, reader = run(data, shape, stream=stream)
        assert out == data
        assert (reader.complete, reader.cut, reader.pending) == (True, False, False)
        assert reader.finish_reasons == ("completed",)


def test_log_probabilities_become_empty_lists_in_all_copies_and_nothing_else_changes():
    shape = Shape(("p/s",), strip=frozenset({"logprobs"}))
    out, reader = run(STREAM, shape)
    assert out == STREAM.replace(json.dumps(CHANCES, separators=(",", ":")).encode(), b"[]")
    assert reader.usage.relayed == 9
    body, _ = run(BODY, shape, stream=False)
    assert json.loads(body) == json.loads(BODY.replace(json.dumps(CHANCES).encode(), b"[]"))


def test_hidden_reasoning_leaves_its_item_and_its_seal_and_dense_numbers():
    sealed = (reasoning(["secret thought"], "SEALED"), ["secret", " thought"])
    stream, body = script(sealed, TALK[1])
    shape = Shape(("p/s",), hide_reasoning=True)
    out, reader = run(stream, shape)
    final = accepted(out)
    assert final["output"][0] == {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "SEALED"}  # fmt: skip
    assert b"secret" not in out
    assert b"thought" not in out
    assert (reader.usage.relayed, reader.usage.reported_reasoning) == (6, 4)
    whole, _ = run(body, shape, stream=False)
    assert json.loads(whole)["output"] == final["output"]
    assert b"secret" not in whole


def test_raw_reasoning_is_hidden_too():
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]}  # fmt: skip
    at = {"item_id": "rs_1", "output_index": 0, "content_index": 0}
    stream = written(
        [
            ("response.created", {"response": response("in_progress", [])}),
            ("response.output_item.added", {"output_index": 0, "item": item | {"content": []}}),
            ("response.content_part.added", {**at, "part": {"type": "reasoning_text", "text": ""}}),
            ("response.reasoning_text.delta", {**at, "delta": "raw"}),
            ("response.reasoning_text.done", {**at, "text": "raw"}),
            (
                "response.content_part.done",
                {**at, "part": {"type": "reasoning_text", "text": "raw"}},
            ),
            ("response.output_item.done", {"output_index": 0, "item": item}),
            ("response.completed", {"response": response("completed", [item], usage=USAGE)}),
        ]
    )
    out, _ = run(stream, Shape(("p/s",), hide_reasoning=True))
    assert b"raw" not in out
    assert len(accepted(out)["output"]) == 1
    assert len(events_of(out)) == 4


def test_a_stream_ends_at_its_ration_as_the_provider_would_end_it():
    stream, _ = script(
        (message(["to b", "e or", " not"], chances=CHANCES), ["to b", "e or", " not"])
    )
    out, reader = run(stream, Shape(("p/s",), truncate=2), stored=True)
    final = accepted(out)
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "to be", "annotations": [], "logprobs": []}
    item = message(["to be"]) | {"status": "incomplete", "content": [part]}
    told = events_of(out)
    assert [event["type"].removeprefix("response.") for event in told] == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "incomplete",
    ]  # fmt: skip
    assert out.startswith(stream[: stream.index(b'"e or"') - 200])
    assert (told[5]["delta"], "obfuscation" in told[5]) == ("e", False)
    assert told[6] == {"type": "response.output_text.done", "sequence_number": 6, **at, "text": "to be", "logprobs": []}  # fmt: skip
    assert told[7] == {
        "type": "response.content_part.done",
        "sequence_number": 7,
        **at,
        "part": part,
    }
    assert told[8] == {"type": "response.output_item.done", "sequence_number": 8, "output_index": 0, "item": item}  # fmt: skip
    usage = {
        "input_tokens": 9, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 11,
    }  # fmt: skip
    assert final == response(
        "incomplete", [item], usage=usage, incomplete_details={"reason": "max_output_tokens"}
    )
    assert (reader.cut, reader.complete, reader.errored) == (True, True, False)
    assert (reader.usage.relayed, reader.usage.reported_output) == (2, None)
    assert reader.finish_reasons == ("incomplete:max_output_tokens",)
    assert reader.objects == ("resp_1", "msg_1")
    assert reader.feed(stream) == reader.end() == reader.broken("m", "c") == b""


def test_one_body_is_cut_in_the_same_way():
    out, reader = run(BODY, Shape(("p/s",), truncate=5), stream=False)
    told = json.loads(out)
    Response.model_validate(told)
    assert told["status"] == "incomplete"
    assert told["incomplete_details"] == {"reason": "max_output_tokens"}
    assert told["output"][0] == reasoning(["think hard now"])
    assert told["output"][1]["content"][0]["text"] == "to be"
    assert told["output"][1]["status"] == "incomplete"
    assert told["usage"] == USAGE | {"output_tokens": 5, "total_tokens": 12, "output_tokens_details": {"reasoning_tokens": 3}}  # fmt: skip
    assert (reader.cut, reader.complete, reader.usage.relayed) == (True, True, 5)
    assert (reader.usage.reported_prompt, reader.usage.reported_output) == (7, 20)


@pytest.mark.parametrize("most", [9, 1_000])
def test_an_answer_within_its_ration_keeps_every_byte_and_its_own_end(most):
    for data, stream in ((STREAM, True), (BODY, False)):
        out, reader = run(data, Shape(("p/s",), truncate=most), stream=stream)
        assert out == data
        assert (reader.cut, reader.usage.relayed, reader.finish_reasons) == (
            False,
            9,
            ("completed",),
        )


@pytest.mark.parametrize("hide", [True, False])
@pytest.mark.parametrize("counter", ["words", "chars"])
@pytest.mark.parametrize("most", range(1, 18))
def test_no_ration_leaks_and_the_sdk_takes_every_stream(most, counter, hide):
    shape = Shape(("p/s",), truncate=most, hide_reasoning=hide, strip=frozenset({"logprobs"}))
    rules = TokenRules(counter)
    for stream in (True, False):
        out, reader = run(MANY_STREAM if stream else MANY_BODY, shape, stream=stream, rules=rules)
        final = accepted(out) if stream else json.loads(out)
        said = " ".join(
            [
                part.get("text", part.get("refusal"))
                for item in final["output"]
                for part in item.get("content", item.get("summary", ()))
            ]
            + [
                item["name"] + " " + item["arguments"]
                for item in final["output"]
                if "arguments" in item
            ]
        )
        marks = set(MARKS.findall(out.decode()))
        assert marks == set(MARKS.findall(said))
        assert count(said, counter) <= most + 1
        if counter == "words":
            assert len(marks) <= most
        assert reader.usage.relayed <= most
        assert reader.usage.relayed == final["usage"]["output_tokens"] or not reader.cut
        assert all(json.loads(item["arguments"]) for item in final["output"] if "arguments" in item)


@pytest.mark.parametrize(("most", "kinds"), [(3, ["reasoning"]), (8, ["reasoning", "message"]), (9, ["reasoning", "message"]), (10, ["reasoning", "message", "function_call"])])  # fmt: skip
def test_a_tool_call_is_given_whole_or_not_at_all(most, kinds):
    out, reader = run(MANY_STREAM, Shape(("p/s",), truncate=most))
    final = accepted(out)
    assert [item["type"] for item in final["output"]] == kinds
    assert reader.cut
    assert b"n1" not in out


def test_sealed_reasoning_is_held_until_it_is_whole():
    sealed = (reasoning(["r1 r2 r3"], "SEALED"), ["r1 ", "r2 r3"])
    stream, body = script(sealed, (message(["m1 m2"]), ["m1 m2"]))
    features = frozenset({"encrypted_reasoning"})
    out, _ = run(stream, Shape(("p/s",), truncate=2), features=features)
    assert accepted(out)["output"] == []
    assert not MARKS.findall(out.decode())
    assert b"SEALED" not in out
    out, _ = run(stream, Shape(("p/s",), truncate=4), features=features)
    assert accepted(out)["output"][0] == sealed[0]
    for most, kinds in ((2, []), (4, ["reasoning", "message"])):
        out, _ = run(body, Shape(("p/s",), truncate=most), stream=False)
        assert [item["type"] for item in json.loads(out)["output"]] == kinds


def test_items_that_come_at_once_keep_their_order():
    one, two = call(['{"x": 1}']), message(["m1 m2 m3"])
    first = list(told_of((), 0, one, ['{"x":', " 1}"]))
    second = list(told_of((), 1, two, ["m1", " m2 m3"]))
    begun = {"response": response("in_progress", [])}
    ended = {"response": response("completed", [one, two], usage=USAGE)}
    mixed = [first[0], second[0], second[1], first[1], second[2], *first[2:], *second[3:]]
    stream = written([("response.created", begun), *mixed, ("response.completed", ended)])
    for most, text in ((4, "m1"), (6, "m1 m2 m3"), (50, "m1 m2 m3")):
        out, _ = run(stream, Shape(("p/s",), truncate=most))
        final = accepted(out)
        assert [item["type"] for item in final["output"]] == ["function_call", "message"]
        assert final["output"][1]["content"][0]["text"] == text


def test_text_that_only_the_copies_bring_is_cut_too():
    item = message(["m1 m2 m3"])
    begun = {"response": response("in_progress", [])}
    ended = {"response": response("completed", [item], usage=USAGE, output_text="m1 m2 m3")}
    done = ("response.output_item.done", {"output_index": 0, "item": item})
    for middle in ([], [done], list(told_of((), 0, item, []))):
        stream = written(
            [("response.created", begun), *copy.deepcopy(middle), ("response.completed", ended)]
        )
        out, reader = run(stream, Shape(("p/s",), truncate=2))
        assert set(MARKS.findall(out.decode())) == {"m1", "m2"}
        assert events_of(out)[-1]["response"]["output"][0]["content"][0]["text"] == "m1 m2"
        assert (reader.cut, reader.usage.relayed) == (True, 2)


def test_annotations_and_log_probabilities_end_with_the_text():
    chances = [{"token": token, "logprob": -1.0, "bytes": [], "top_logprobs": []} for token in ("m1", " m2", " m3")]  # fmt: skip
    item = message(["m1 m2 m3"], chances=chances)
    cite = {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "t", "url": "u"}
    item["content"][0]["annotations"] = [cite, cite | {"end_index": 8}]
    _, body = script((item, []))
    out, _ = run(body, Shape(("p/s",), truncate=2), stream=False)
    (part,) = json.loads(out)["output"][0]["content"]
    assert part == {
        "type": "output_text",
        "text": "m1 m2",
        "annotations": [cite],
        "logprobs": chances[:2],
    }


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 20_000), max_size=8),
    st.sampled_from([STREAM, MANY_STREAM, MANY_STREAM.replace(b"\n", b"\r\n")]),
    st.sampled_from(
        [Shape(), CLEAN, *(Shape(("p/s",), truncate=most) for most in (1, 4, 9, 11, 99))]
    ),
)
def test_a_stream_cut_anywhere_comes_out_the_same(cuts, stream, shape):
    whole, one = run(stream, shape)
    parts, two = run(stream, shape, cuts=cuts)
    assert parts == whole
    assert (one.usage, one.cut, one.objects, one.finish_reasons) == (
        two.usage,
        two.cut,
        two.objects,
        two.finish_reasons,
    )


def test_a_stream_read_from_its_middle_gives_no_second_ration():
    tail = b"".join(event + b"\n\n" for event in MANY_STREAM.split(b"\n\n")[9:-1])
    out, reader = run(tail, Shape(("p/s",), truncate=4))
    told = events_of(out)
    assert [event["type"] for event in told] == ["response.incomplete"]
    assert set(MARKS.findall(out.decode())) == {"r1", "r2", "r3", "m1"}
    assert (reader.cut, reader.complete) == (True, True)


def test_a_failure_passes_through_a_ration():
    begun = {"response": response("in_progress", [])}
    failed = response("failed", [], error={"code": "server_error", "message": "m"})
    stream = written(
        [
            ("response.created", begun),
            ("error", {"code": "rate_limit_exceeded", "message": "m", "param": None}),
            ("response.failed", {"response": failed}),
        ]
    )
    out, reader = run(stream, Shape(("p/s",), truncate=4))
    assert out == stream
    assert (reader.errored, reader.complete, reader.cut) == (True, True, False)
    assert reader.finish_reasons == ("failed",)
