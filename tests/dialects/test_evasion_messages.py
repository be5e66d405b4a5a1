"""Ways around a shape or a capability in the Messages API, each of them shut."""

from __future__ import annotations

import json

import orjson
import pytest

from proxy.core.errors import RequestError
from proxy.core.facts import RequestFacts
from proxy.core.shape import NO_SHAPE, Shape
from proxy.dialects import anthropic_messages
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules

WORDS = TokenRules("words", 1_000, 200)
ASK = {"model": "m", "max_tokens": 90, "messages": [{"role": "user", "content": "hello there"}]}
SECRET = "xylophone"
LONG = f"one two three four {SECRET}"


def read(**fields):
    (facts,) = anthropic_messages.read(orjson.dumps(ASK | fields), lambda _: WORDS, Call())
    return facts


def streamed(shape, *events):
    facts = RequestFacts("anthropic.messages", "m", stream=True)
    reader = anthropic_messages.answer(facts, WORDS, "text/event-stream", 200, shape)
    out = b""
    for told in events:
        kind = told["type"]
        out += reader.feed(f"event: {kind}\ndata: {json.dumps(told)}\n\n".encode())
    return (out + reader.end()).decode(), reader


def whole(shape, body):
    facts = RequestFacts("anthropic.messages", "m")
    reader = anthropic_messages.answer(facts, WORDS, "application/json", 200, shape)
    return (reader.feed(json.dumps(body).encode()) + reader.end()).decode(), reader


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
           "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 2, "output_tokens": 1}}  # fmt: skip


def script(*, message=(), start=(), delta=(), end=()):
    return (
        {"type": "message_start", "message": MESSAGE | dict(message)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""} | dict(start)},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "one "} | dict(delta)},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": LONG} | dict(delta)},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None} | dict(end), "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "again",
    [
        {"message": {"completion": LONG}},
        {"start": {"said": LONG}},
        {"delta": {"snapshot": LONG}},
        {"end": {"completion": LONG}},
    ],
    ids=lambda again: next(iter(again)),
)
def test_a_truncated_stream_does_not_say_its_text_again_under_another_name(again):
    out, reader = streamed(Shape(truncate=2), *script(**again))
    assert SECRET not in out
    assert reader.cut
    assert reader.usage.relayed <= 2


def test_a_truncated_body_does_not_say_its_text_again_under_another_name():
    body = MESSAGE | {"content": [{"type": "text", "text": LONG, "said": LONG}], "stop_reason": "end_turn", "completion": LONG}  # fmt: skip
    out, reader = whole(Shape(truncate=2), body)
    assert SECRET not in out
    assert reader.usage.relayed <= 2


@pytest.mark.parametrize(
    "fallbacks",
    [[{"model": "dear", "max_tokens": 9_000, "thinking": {"type": "adaptive"}}], "default"],
)
def test_another_model_must_not_answer_with_other_bounds(fallbacks):
    """Each entry has a model, a cap and a thinking of its own: none of them would be limited."""
    with pytest.raises(RequestError) as raised:
        read(fallbacks=fallbacks)
    assert raised.value.param == "fallbacks"
    assert read(fallbacks=None).model == "m"


@pytest.mark.parametrize("shape", [Shape(hide_reasoning=True)])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_thinking_is_hidden_in_a_block_that_says_it_twice(shape, stream):
    block = {"type": "thinking", "thinking": SECRET, "summary": SECRET, "signature": "sealed"}
    if stream:
        out, _ = streamed(
            shape,
            {"type": "message_start", "message": MESSAGE},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_stop"},
        )
    else:
        out, _ = whole(shape, MESSAGE | {"content": [block], "stop_reason": "end_turn"})
    assert SECRET not in out
    assert "sealed" in out


def test_a_plain_message_is_read_as_before():
    assert read().features == frozenset()
    out, _ = whole(NO_SHAPE, MESSAGE | {"content": [{"type": "text", "text": LONG}]})
    assert SECRET in out
