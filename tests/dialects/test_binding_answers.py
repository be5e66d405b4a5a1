"""What an answer seals is wrapped on its way out, wherever the network cuts; all else is not touched."""

from __future__ import annotations

from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import UpstreamGarbageError
from proxy.core.sealing import NOWHERE, Kind, Sealing, bare
from proxy.core.shape import NO_SHAPE, Shape
from proxy.dialects import (
    anthropic_count_tokens,
    anthropic_messages,
    openai_chat,
    openai_responses,
    openai_stored,
)
from proxy.dialects.base import Call
from proxy.dialects.binding import Bound
from proxy.dialects.binding_answers import BoundReader, bound_reader
from proxy.dialects.tokens import TokenRules

SEALING = Sealing(b"pepper")
RULES = TokenRules()
ASKED = {
    anthropic_messages: {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "Why?"}]},
    openai_responses: {"model": "m", "input": "Why?"},
    openai_chat: {"model": "m", "messages": [{"role": "user", "content": "Why?"}]},
}  # fmt: skip
CALL = Call("POST", "/v1")
EVENTS, ONE = "text/event-stream", "application/json"
SEAL = SEALING.seal("acme", "org")
WRAPPED = SEAL.wrap("b1+/==", SEAL.anchor("Why?"))


def reader_of(dialect, content_type=EVENTS, shape=NO_SHAPE, status=200, **more):
    body = orjson.dumps({**ASKED[dialect], **more})
    (facts,) = dialect.read(body, lambda _: RULES, CALL)
    bound = Bound(SEALING, "acme", "org", facts.dialect, body)
    own = dialect.answer(facts, RULES, content_type, status, shape)
    return bound_reader(own, bound, facts, CALL, content_type)


def stored_reader(content_type, query=(), known=None):
    call = Call("GET", "/v1/responses/resp_1", "resp_1", query=query)
    (facts,) = openai_stored.read(b"", lambda _: RULES, call)
    bound = Bound(SEALING, "acme", "org", facts.dialect, b"", known)
    own = openai_stored.answer(facts, RULES, content_type, 200, NO_SHAPE)
    return bound_reader(own, bound, facts, call, content_type)


def event(kind: str, **told: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **told}))


def delta(index: int, **told: object) -> bytes:
    return event("content_block_delta", index=index, delta=told)


def claude(*signatures: str) -> list[bytes]:
    """Return a stream with thinking whose signature comes in pieces."""
    return [
        event("message_start", message={"id": "msg_1", "content": [], "usage": {"input_tokens": 3}}),
        event("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
        delta(0, type="thinking_delta", thinking="hm signature"),
        *(delta(0, type="signature_delta", signature=piece) for piece in signatures),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block={"type": "redacted_thinking", "data": "b1+/=="}),
        event("content_block_stop", index=1),
        event("content_block_start", index=2, content_block={"type": "text", "text": ""}),
        delta(2, type="text_delta", text='it says "signature":"b1+/=="'),
        event("content_block_stop", index=2),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}),
        event("message_stop"),
    ]  # fmt: skip


def gpt() -> list[bytes]:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "b1+/=="}
    done = {"id": "resp_1", "status": "completed", "output": [item], "metadata": {"encrypted_content": "mine"},
            "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
    numbered = [
        ("response.created", {"response": {"id": "resp_1", "output": []}}),
        ("response.output_item.added", {"output_index": 0, "item": item}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": done}),
    ]
    return [event(kind, sequence_number=at, **told) for at, (kind, told) in enumerate(numbered)]


def chat() -> list[bytes]:
    details = [{"type": "reasoning.encrypted", "data": "b1+/==", "index": 0}]
    said = [
        {
            "id": "c",
            "choices": [{"index": 0, "delta": {"content": "", "reasoning_details": details}}],
        },
        {
            "id": "c",
            "choices": [
                {"index": 0, "delta": {"content": 'a "signature"'}, "finish_reason": "stop"}
            ],
        },
        {"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    ]
    return [*(b"data: %b\n\n" % orjson.dumps(each) for each in said), b"data: [DONE]\n\n"]


def all_of(reader, stream: bytes, cuts=()) -> bytes:
    places = [0, *sorted(set(cuts)), len(stream)]
    out = [reader.feed(stream[a:b]) for a, b in pairwise(places)]
    return b"".join([*out, reader.end()])


CASES = {
    "messages": (anthropic_messages, claude("b1+/==")),
    "responses": (openai_responses, gpt()),
    "chat": (openai_chat, chat()),
}  # fmt: skip
# How often the blob is sealed in each; in the words of the model it stands too, and stays.
TIMES = {"messages": 2, "responses": 3, "chat": 1}


@pytest.mark.parametrize("name", CASES)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_stream_cut_anywhere_is_wrapped_and_otherwise_the_same(name, data):
    dialect, events = CASES[name]
    stream = b"".join(events)
    cuts = data.draw(st.lists(st.integers(1, len(stream) - 1), max_size=8))
    more = {"stream_options": {"include_usage": True}} if name == "chat" else {}
    out = all_of(reader_of(dialect, stream=True, **more), stream, cuts)
    assert out.count(WRAPPED.encode()) == TIMES[name]
    assert out.replace(WRAPPED.encode(), b"b1+/==") == stream


def test_a_signature_in_pieces_is_bound_as_one():
    out = all_of(reader_of(anthropic_messages, stream=True), b"".join(claude("b1", "+/", "==")))
    assert out.replace(WRAPPED.encode(), b"b1+/==") == b"".join(claude("b1+/=="))


def test_a_ping_between_the_pieces_does_not_part_them():
    events = claude("b1", "+/==")
    events.insert(4, event("ping"))
    out = all_of(reader_of(anthropic_messages, stream=True), b"".join(events))
    assert WRAPPED.encode() in out


def test_a_stream_that_breaks_gives_what_was_held_and_its_ending():
    reader = reader_of(anthropic_messages, stream=True)
    told = b"".join(map(reader.feed, claude("b1+/==")[:4]))
    assert b"signature_delta" not in told
    last = reader.broken("The model broke.", "upstream.reset")
    assert last.index(WRAPPED.encode()) < last.index(b"event: error")


def test_a_stream_that_simply_ends_gives_what_was_held():
    reader = reader_of(anthropic_messages, stream=True)
    out = all_of(reader, b"".join(claude("b1+/==")[:4]))
    assert out.index(WRAPPED.encode()) < out.index(b"event: error")


def test_garbage_behind_a_signature_raises_and_loses_nothing():
    reader = reader_of(anthropic_messages, stream=True)
    with pytest.raises(UpstreamGarbageError):
        all_of(reader, b"".join([*claude("b1+/==")[:4], b"data: {no\n\n"]))
    assert WRAPPED.encode() in reader.broken("", "upstream.garbage")


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_events_with_any_line_ending_are_read(ending):
    stream = b"".join(claude("b1+/==")).replace(b"\n", ending)
    out = all_of(reader_of(anthropic_messages, stream=True), stream, range(1, len(stream), 7))
    # What the network did not end, the dialect's reader ends.
    assert out.replace(WRAPPED.encode(), b"b1+/==").rstrip() == stream.rstrip()


MESSAGE = {
    "type": "message", "id": "msg_1", "role": "assistant", "stop_reason": "end_turn",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "b1+/=="},
        {"data": "b1+/==", "type": "redacted_thinking"},
        {"type": "tool_use", "id": "t", "name": "n", "input": {"signature": "b1+/=="}},
        {"type": "text", "text": "b1+/=="},
    ],
    "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(
    cuts=st.lists(st.integers(1, 200), max_size=5), layout=st.sampled_from([0, orjson.OPT_INDENT_2])
)
def test_a_json_body_is_wrapped_where_it_seals_and_nowhere_else(cuts, layout):
    body = orjson.dumps(MESSAGE, option=layout)
    out = all_of(reader_of(anthropic_messages, ONE), body, cuts)
    wrapped = orjson.loads(out)
    assert [wrapped["content"][0]["signature"], wrapped["content"][1]["data"]] == [WRAPPED, WRAPPED]
    assert out.replace(WRAPPED.encode(), b"b1+/==") == body


def test_what_seals_nothing_passes_byte_for_byte():
    for dialect, body in (
        (anthropic_messages, {**MESSAGE, "content": []}),
        (openai_responses, {"id": "resp_1", "output": []}),
    ):
        told = orjson.dumps(body)
        assert all_of(reader_of(dialect, ONE), told, (3, 9)) == told


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
@pytest.mark.parametrize(
    "shape",
    [Shape(hide_reasoning=True), Shape(truncate=50), Shape(hide_reasoning=True, truncate=50)],
    ids=["hide", "truncate", "both"],
)
def test_shaped_answers_are_wrapped_too(stream, shape):
    sent = b"".join(claude("b1+/==")) if stream else orjson.dumps(MESSAGE)
    out = all_of(
        reader_of(anthropic_messages, EVENTS if stream else ONE, shape, stream=stream), sent
    )
    assert out.count(WRAPPED.encode()) == 2
    assert (b"hm" in out) != shape.hide_reasoning


def test_an_answer_that_was_cut_before_its_seal_is_whole():
    reader = reader_of(anthropic_messages, EVENTS, Shape(truncate=1), stream=True)
    out = all_of(reader, b"".join(claude("b1+/==")))
    assert reader.cut
    assert b"message_stop" in out
    assert WRAPPED.encode() not in out


def test_an_error_of_the_provider_passes_unread():
    reader = reader_of(anthropic_messages, ONE, status=400)
    assert not isinstance(reader, BoundReader)
    assert all_of(reader, b'{"signature":"x"}') == b'{"signature":"x"}'


def test_counting_hands_out_nothing():
    body = orjson.dumps(ASKED[anthropic_messages])
    (facts,) = anthropic_count_tokens.read(body, lambda _: RULES, CALL)
    own = anthropic_count_tokens.answer(facts, RULES, ONE, 200, NO_SHAPE)
    assert bound_reader(own, Bound(SEALING, "a", "o", facts.dialect, body), facts, CALL, ONE) is own


def test_a_stored_answer_is_bound_to_what_was_asked_when_it_was_made():
    body = orjson.dumps(
        {
            "id": "resp_1",
            "status": "completed",
            "output": [{"type": "reasoning", "encrypted_content": "b1+/=="}],
        }
    )
    assert WRAPPED.encode() in all_of(stored_reader(ONE, known=SEAL.anchor("Why?")), body)
    assert WRAPPED.encode() in all_of(
        stored_reader(EVENTS, known=SEAL.anchor("Why?")), b"".join(gpt())
    )


def test_a_stored_answer_of_which_nobody_knows_what_was_asked_is_bound_to_nothing():
    body = orjson.dumps(
        {
            "id": "resp_1",
            "status": "completed",
            "output": [{"type": "reasoning", "encrypted_content": "b1"}],
        }
    )
    wrapped = orjson.loads(all_of(stored_reader(ONE, known=NOWHERE), body))["output"][0][
        "encrypted_content"
    ]
    assert SEAL.unwrap(wrapped, [SEAL.anchor("Why?"), SEAL.anchor("")]).kind is Kind.CONVERSATION


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_input_items_that_are_listed_again_are_bound_where_they_stand(order):
    items = [
        {"type": "message", "role": "user", "content": "Why?"},
        {"type": "reasoning", "encrypted_content": "b1+/=="},
        {"type": "message", "role": "user", "content": "And?"},
    ]
    listed = items if order == "asc" else items[::-1]
    query = (("order", "asc"),) if order == "asc" else ()
    body = orjson.dumps({"object": "list", "data": listed})
    out = all_of(stored_reader(ONE, query, NOWHERE), body)
    assert orjson.loads(out)["data"][1]["encrypted_content"] == WRAPPED
    assert bare(WRAPPED) == "b1+/=="
