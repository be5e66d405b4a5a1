"""Stored responses: nobody gets more of them later than at first."""

from __future__ import annotations

import json

import pytest

from proxy.core.errors import RequestError
from proxy.core.shape import Shape
from proxy.dialects import openai_stored
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules

WORDS = TokenRules("words")
PART = {"type": "output_text", "text": "to be or", "annotations": [], "logprobs": [{"token": "to"}]}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [PART]}  # fmt: skip
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hmm"}], "encrypted_content": "SEALED"}  # fmt: skip
USAGE = {"input_tokens": 5, "output_tokens": 4, "total_tokens": 9}
SHAPE = Shape(("p/s",), strip=frozenset({"logprobs"}), hide_reasoning=True, truncate=2)


def response(status="completed", **more):
    return {"id": "resp_1", "object": "response", "status": status, "output": [THOUGHT, MESSAGE], "usage": USAGE} | more  # fmt: skip


def facts_of(method="GET", action="", query=(), body=b""):
    call = Call(method, f"/v1/responses/resp_1/{action}".rstrip("/"), "resp_1", action, query)
    (facts,) = openai_stored.read(body, lambda _: WORDS, call)
    return facts


def given(told, shape, facts=None, content_type="application/json"):
    reader = openai_stored.answer(facts or facts_of(), WORDS, content_type, 200, shape)
    data = told if isinstance(told, bytes) else json.dumps(told).encode()
    return reader.feed(data) + reader.end(), reader


@pytest.mark.parametrize("query", [(), (("stream", "false"),), (("starting_after", "3"),)])
def test_reading_names_its_object_and_costs_nothing_itself(query):
    facts = facts_of(query=query)
    assert (facts.dialect, facts.model, facts.references) == ("openai.stored", "", ("resp_1",))
    assert (facts.metered, facts.stream, facts.stored) == (True, False, False)
    assert (facts.prompt_tokens, facts.output_tokens, facts.features) == (0, 0, frozenset())


@pytest.mark.parametrize("query", [(("stream", "true"),), (("stream", "True"),), (("stream", "false"), ("stream", "1"))])  # fmt: skip
def test_what_could_be_a_stream_is_one(query):
    assert facts_of(query=query).stream


def test_neither_a_body_nor_an_odd_stream_is_taken():
    for method, action in (("GET", ""), ("DELETE", ""), ("POST", "cancel"), ("GET", "input_items")):
        with pytest.raises(RequestError):
            facts_of(method, action, body=b"{}")
    with pytest.raises(RequestError) as refused:
        facts_of(query=(("stream", "maybe"),))
    assert refused.value.param == "stream"


def test_a_kept_answer_passes_as_it_is_where_nothing_is_shaped():
    body = json.dumps(response(), indent=2).encode()
    out, reader = given(body, Shape())
    assert out == body
    assert (reader.usage.relayed, reader.usage.reported_output, reader.objects) == (4, 4, ())


def test_a_kept_answer_is_read_in_the_shape_that_it_was_made_under():
    out, reader = given(response(), SHAPE)
    told = json.loads(out)
    assert told["status"] == "incomplete"
    assert told["output"][0] == {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "SEALED"}  # fmt: skip
    assert told["output"][1]["content"] == [PART | {"text": "to be", "logprobs": []}]
    assert (reader.cut, reader.usage.relayed, reader.usage.reported_output) == (True, 2, 4)


def test_a_kept_stream_is_read_in_that_shape_too():
    begun = {"response": response("in_progress", output=[], usage=None)}
    events = [
        ("response.created", begun),
        ("response.output_item.added", {"output_index": 0, "item": THOUGHT}),
        ("response.output_item.done", {"output_index": 0, "item": THOUGHT}),
        ("response.output_item.done", {"output_index": 1, "item": MESSAGE}),
        ("response.completed", {"response": response()}),
    ]
    stream = b"".join(
        b"event: %b\ndata: %b\n\n"
        % (kind.encode(), json.dumps({"type": kind, "sequence_number": n, **told}).encode())
        for n, (kind, told) in enumerate(events)
    )
    facts = facts_of(query=(("stream", "true"),))
    for data in (stream, stream.partition(b"\n\n")[2]):
        out, reader = given(data, SHAPE, facts, "text/event-stream")
        assert b"hmm" not in out
        assert b" or" not in out
        assert b'"token"' not in out
        assert (reader.cut, reader.complete, reader.usage.relayed) == (True, True, 2)
    out, _ = given(stream, Shape(), facts, "text/event-stream")
    assert out == stream


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_what_is_still_being_made_is_pending(status):
    _, reader = given(response(status, output=[], usage=None), SHAPE)
    assert (reader.pending, reader.complete, reader.cut) == (True, True, False)


def test_a_cancelled_answer_is_shaped_and_a_deletion_passes():
    out, reader = given(response("cancelled"), SHAPE, facts_of("POST", "cancel"))
    assert (b" or" in out, reader.cut) == (False, True)
    deleted = b'{"id":"resp_1","object":"response","deleted":true}'
    out, reader = given(deleted, SHAPE, facts_of("DELETE"))
    assert (out, reader.usage.relayed, reader.complete) == (deleted, 0, True)


def test_a_list_of_input_items_tells_no_more_of_earlier_answers():
    mine = {"id": "msg_0", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "one two three four"}]}  # fmt: skip
    result = {
        "id": "fco_1",
        "type": "function_call_output",
        "call_id": "c",
        "output": "five six seven",
    }
    listed = {"object": "list", "data": [mine, THOUGHT, MESSAGE, result], "has_more": False}
    data = json.dumps(listed).encode()
    out, reader = given(data, Shape(), facts_of(action="input_items"))
    assert (out, reader.usage.relayed) == (data, 0)
    out, _ = given(data, SHAPE, facts_of(action="input_items"))
    told = json.loads(out)["data"]
    assert [item["id"] for item in told] == ["msg_0", "rs_1", "msg_1", "fco_1"]
    assert (told[0], told[3]) == (mine, result)
    assert told[1]["summary"] == []
    assert told[2]["content"][0]["text"] == "to be"


def test_an_error_of_the_provider_passes_unread():
    reader = openai_stored.answer(facts_of(), WORDS, "application/json", 404, SHAPE)
    assert reader.feed(b'{"error":{}}') + reader.end() == b'{"error":{}}'
    assert reader.errored
