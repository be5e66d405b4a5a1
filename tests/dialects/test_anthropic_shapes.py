"""Messages under each shape: the request, and the answer as one JSON body."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.facts import RequestFacts
from proxy.core.shape import Change, Shape
from proxy.dialects import anthropic_messages
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules

WORDS = TokenRules("words", 4_096, 4_096)
HIDE = Shape(hide_reasoning=True)
WHOLE = RequestFacts("anthropic.messages", "m", prompt_tokens=77)


def forwarded(shape, extra="", *, stream=False):
    before = (
        f'{{ "model":"m", "max_tokens": 4000,  "new":1.50, "stream":{json.dumps(stream)}{extra}'
    )
    body = f'{before}, "messages":[{{"role":"user","content":"x"}}]}}'.encode()
    (facts,) = anthropic_messages.read(body, lambda _: WORDS, Call())
    told = anthropic_messages.forward(body, facts, shape)
    return body, told.body, set(told.changes)


@pytest.mark.parametrize(
    ("shape", "extra", "before", "after", "changes"),
    [
        (Shape(output_tokens=9), "", '"max_tokens": 4000', '"max_tokens": 9', {Change("clamp", "output_tokens", "4000", "9")}),
        (Shape(output_tokens=4_000), "", "", "", set()),
        (Shape(output_tokens=2_000), ', "thinking":{"type":"enabled", "budget_tokens":3000}',
         '"budget_tokens":3000', '"budget_tokens":1999',
         {Change("clamp", "output_tokens", "4000", "2000"), Change("clamp", "thinking", "3000", "1999")}),
        (Shape(output_tokens=3_500), ', "thinking":{"type":"enabled", "budget_tokens":3000}', "", "",
         {Change("clamp", "output_tokens", "4000", "3500")}),
        (Shape(output_tokens=1_024), ', "thinking":{"type":"enabled", "budget_tokens":3000}',
         ', "thinking":{"type":"enabled", "budget_tokens":3000}', "",
         {Change("clamp", "output_tokens", "4000", "1024"), Change("clamp", "thinking", "3000", "")}),
        (Shape(temperature_max=0.5), ', "temperature":0.9', '"temperature":0.9', '"temperature":0.5', {Change("clamp", "temperature", "0.9", "0.5")}),
        (Shape(temperature_max=0.5), ', "temperature":1, "thinking":{"type":"adaptive"}', "", "", set()),
        (Shape(effort="low"), ', "output_config":{"new":1 , "effort":"max"}', '"max"', '"low"', {Change("clamp", "effort", "max", "low")}),
        (Shape(effort="minimal"), ', "output_config":{"effort":"high"}', '"high"', '"low"', {Change("clamp", "effort", "high", "low")}),
        (Shape(effort="high"), ', "output_config":{"effort":"low"}', "", "", set()),
        (Shape(effort="none"), ', "thinking":{"type":"adaptive"}', ', "thinking":{"type":"adaptive"}', "", {Change("clamp", "thinking", "adaptive", "")}),
        (HIDE, ', "thinking":{"type":"adaptive" }', '"thinking":{"type"', '"thinking":{"display":"omitted","type"', {Change("hide", "reasoning")}),
        (HIDE, ', "thinking":{"type":"adaptive","display":"summarized"}', '"summarized"', '"omitted"', {Change("hide", "reasoning")}),
        (HIDE, ', "thinking":{"type":"adaptive","display":"omitted"}', "", "", set()),
        (HIDE, ', "thinking":{"type":"between_tools"}', "", "", {Change("hide", "reasoning")}),
        (HIDE, ', "thinking":{"type":"disabled"}', "", "", set()),
        (HIDE, "", "", "", set()),
        (Shape(truncate=5), "", '"max_tokens": 4000', '"max_tokens": 5', {Change("truncate", "output_tokens", "4000", "5")}),
        (Shape(truncate=5_000), "", "", "", {Change("truncate", "output_tokens", "", "5000")}),
        (Shape(strip=frozenset({"logprobs", "seed", "echo"}), n=1, best_of=1, top_logprobs=0), "", "", "", set()),
    ],
)  # fmt: skip
def test_a_request_is_changed_where_the_shape_says_so_and_nowhere_else(
    shape, extra, before, after, changes
):
    body, out, told = forwarded(shape, extra)
    expected = body.replace(before.encode(), after.encode(), 1) if before else body
    if '"max_tokens": 4000' not in before and shape.output_tokens is not None:
        most = min(shape.output_tokens, 4_000)
        expected = expected.replace(b'"max_tokens": 4000', b'"max_tokens": %d' % most)
    assert out == expected
    assert told == changes


def test_a_stream_s_cap_is_not_lowered_by_truncation():
    body, out, told = forwarded(Shape(truncate=5), stream=True)
    assert out == body
    assert told == {Change("truncate", "output_tokens", "", "5")}


BODY = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "new": 1.5,
    "content": [
        {"type": "thinking", "thinking": "one two three", "signature": "SIGNED"},
        {"type": "text", "text": "to be or not to be", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"where": "here now"}},
    ],
    "stop_reason": "tool_use", "stop_sequence": None, "stop_details": None,
    "usage": {"input_tokens": 9, "output_tokens": 40, "output_tokens_details": {"thinking_tokens": 5}},
}  # fmt: skip


def whole(shape, body=BODY, cuts=()):
    raw = json.dumps(body).encode()
    reader = anthropic_messages.answer(WHOLE, WORDS, "application/json", 200, shape)
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    out = b"".join(reader.feed(raw[begin:end]) for begin, end in pairwise(edges))
    return raw, out + reader.end(), reader


@pytest.mark.parametrize(
    ("most", "kept", "text", "words"),
    [
        (2, 0, "", 0),
        (3, 1, "", 3),
        (5, 1, "to be", 5),
        (9, 2, "", 9),
        (11, 2, "", 9),
    ],
)
def test_a_json_message_ends_where_its_ration_ends(most, kept, text, words):
    _, out, reader = whole(Shape(truncate=most))
    content = BODY["content"][:kept]
    content += [{"type": "text", "text": text, "citations": None}] if text else []
    usage = {"input_tokens": 9, "output_tokens": words}
    assert json.loads(out) == BODY | {
        "content": content,
        "stop_reason": "max_tokens",
        "usage": usage,
    }
    assert (reader.cut, reader.complete, reader.finish_reasons) == (True, True, ("max_tokens",))
    assert (reader.usage.relayed, reader.usage.reported_output) == (words, 40)


def test_a_json_message_within_its_ration_passes_as_it_came():
    raw, out, reader = whole(Shape(truncate=12))
    assert out == raw
    assert (reader.cut, reader.usage.relayed) == (False, 12)


def test_a_json_message_that_was_cut_tells_no_details_of_an_end_that_is_not_its_own():
    details = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": None}}
    _, out, _ = whole(Shape(truncate=4), BODY | details)
    assert json.loads(out)["stop_details"] is None


def test_a_json_message_is_not_cut_inside_a_quotation():
    block = {"type": "text", "text": "a", "citations": [{"cited_text": "b c"}]}
    _, out, reader = whole(Shape(truncate=2), BODY | {"content": [block]})
    assert json.loads(out)["content"] == [{"type": "text", "text": "a", "citations": None}]
    assert (reader.cut, reader.usage.relayed) == (True, 1)


def test_a_json_message_without_usage_is_told_the_estimate():
    _, out, _ = whole(Shape(truncate=1), {"content": [{"type": "text", "text": "a b"}]})
    assert json.loads(out)["usage"] == {"input_tokens": 77, "output_tokens": 1}


@given(st.lists(st.integers(0, 500), max_size=4))
def test_a_json_message_hides_its_thinking_and_keeps_its_signature(cuts):
    raw, out, reader = whole(HIDE, cuts=cuts)
    assert b"one" not in out
    told = json.loads(out)
    assert told["content"][0] == {"type": "thinking", "thinking": "", "signature": "SIGNED"}
    assert told == BODY | {"content": told["content"]}
    assert told["content"][1:] == BODY["content"][1:]
    assert out.partition(b'"content"')[0] == raw.partition(b'"content"')[0]
    assert reader.usage.relayed == 9


def test_an_error_under_a_good_status_passes_every_shape():
    raw, out, reader = whole(Shape(truncate=0), {"type": "error", "error": {"message": "a b c"}})
    assert out == raw
    assert reader.errored
