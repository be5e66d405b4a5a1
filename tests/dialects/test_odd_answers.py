"""Answers that the fuzzer found: oddly told, and still shaped, framed and bounded as others are."""

from __future__ import annotations

import json

import pytest

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import RequestFacts
from proxy.core.shape import Shape
from proxy.dialects import anthropic_messages, openai_chat, openai_responses
from proxy.dialects.openai_held import MAX_CALLS
from proxy.dialects.splice import remove_member, set_member
from proxy.dialects.sse import SseSplitter, data_of, with_data
from proxy.dialects.tokens import SLICE, TokenRules, count_words

WORDS = TokenRules("words", 1_000, 200)
CUT, HIDE = Shape(truncate=3), Shape(hide_reasoning=True)


def sse(*told):
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in told)


def reader_of(dialect, shape, media="text/event-stream"):
    facts = RequestFacts(dialect.NAME, "m", stream=True, prompt_tokens=1)
    return dialect.answer(facts, WORDS, media, 200, shape)


def message_of(**more):
    return {"id": "m", "type": "message", "role": "assistant", "status": "completed", **more}


CREATED = {"type": "response.created", "sequence_number": 0, "response": {"id": "r", "status": "in_progress", "output": []}}  # fmt: skip


@pytest.mark.parametrize("event", [b"data: a\rdata: b\n\n", b"data: a\rdata: b\rdata: c\n\r\n", b"data: a\rdata: b\r\r"])  # fmt: skip
def test_an_event_that_says_something_else_still_ends_where_it_ended(event):
    changed = with_data(event, b"x")
    assert data_of(changed) == b"x"
    assert SseSplitter().feed(changed + b":") == [changed]


SAID = {"type": "output_text", "text": "one two three four five", "annotations": [], "logprobs": []}


@pytest.mark.parametrize("item", [
    message_of(content=[[SAID]]), message_of(content=SAID), message_of(content="one two three four"),
    message_of(content=[], copy="one two three four"), message_of(content=[SAID, "one two three four"]),
])  # fmt: skip
def test_text_at_places_that_no_response_has_is_not_given_beyond_the_ration(item):
    body = json.dumps({"id": "r", "object": "response", "status": "completed", "output": [item]})
    reader = reader_of(openai_responses, CUT, "application/json")
    assert reader.feed(body.encode()) == b""
    assert b"four" not in reader.end()
    assert reader.usage.relayed <= 3

    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    reader = reader_of(openai_responses, CUT)
    assert b"four" not in reader.feed(sse(CREATED, added, added | {"type": "response.output_item.done"}))  # fmt: skip
    assert reader.usage.relayed <= 3


@pytest.mark.parametrize("told", [
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 7, "delta": "a"},
    {"type": "response.content_part.added", "output_index": 0, "content_index": -1, "part": SAID},
])  # fmt: skip
def test_a_part_out_of_its_order_is_garbage_where_parts_are_told_again(told):
    added = {"type": "response.output_item.added", "output_index": 0, "item": message_of(content=[])}  # fmt: skip
    reader = reader_of(openai_responses, CUT)
    reader.feed(sse(CREATED, added))
    with pytest.raises(UpstreamGarbageError):
        reader.feed(sse(told))
    assert b"event: error" in reader.broken("garbage", "upstream.garbage")


def test_numbers_that_only_lenient_parsers_read_do_not_stop_our_own_events():
    reader = reader_of(openai_responses, Shape())
    reader.feed(sse({"type": "x", "sequence_number": 2**64 - 1}, {"type": "y", "sequence_number": 10**30, "z": float("nan")}))  # fmt: skip
    assert json.loads(reader.broken("broke", "upstream.reset").partition(b"data: ")[2])["sequence_number"] == 0  # fmt: skip
    start = {"type": "content_block_start", "index": 10**30, "content_block": {"type": "text", "text": "one two three four"}, "z": float("nan")}  # fmt: skip
    reader = reader_of(anthropic_messages, CUT)
    assert b'"index":1000000000000000000000000000000}' in reader.feed(sse(start))
    assert reader.cut


def test_a_copy_that_is_none_is_counted_too_where_an_item_is_given_whole():
    item = {"id": "f", "type": "function_call", "name": "a", "call_id": "c", "arguments": ""}
    told = [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "longword"},
        {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "b c d"},
        {"type": "response.output_item.done", "output_index": 0, "item": item | {"arguments": "b c d"}},
    ]  # fmt: skip
    reader = reader_of(openai_responses, CUT)
    assert b"b c d" not in reader.feed(sse(CREATED, *told))
    assert reader.cut


def test_two_items_of_one_id_are_garbage_where_items_are_told_again():
    first = {"type": "response.output_item.added", "output_index": 0, "item": message_of(content=[])}  # fmt: skip
    reader = reader_of(openai_responses, CUT)
    reader.feed(sse(CREATED, first))
    with pytest.raises(UpstreamGarbageError):
        reader.feed(sse(first | {"output_index": 1}))


@pytest.mark.parametrize("kind", ["content_block_delta ", "ping", "thinking_delta", 7])
def test_thinking_is_hidden_also_under_a_type_that_has_none(kind):
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}  # fmt: skip
    delta = {"type": kind, "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}
    reader = reader_of(anthropic_messages, HIDE)
    assert b"hm" not in reader.feed(sse(start, delta))


@pytest.mark.parametrize("kind", ["message_delta", "ping", "content_block_stop", "other"])
def test_text_under_a_type_that_has_none_is_counted(kind):
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}  # fmt: skip
    delta = {
        "type": kind,
        "index": 0,
        "delta": {"type": "text_delta", "text": "one two three four"},
    }
    reader = reader_of(anthropic_messages, CUT)
    assert b"four" not in reader.feed(sse(start, delta))
    assert reader.usage.relayed <= 3


def test_more_tool_calls_than_any_answer_has_are_garbage():
    chunk = {"type": "", "choices": [{"index": 0, "delta": {"tool_calls": [{}] * (MAX_CALLS + 1)}}]}
    reader = reader_of(openai_chat, CUT)
    with pytest.raises(UpstreamGarbageError):
        reader.feed(sse(chunk))


@pytest.mark.parametrize("length", [SLICE - 1, SLICE, SLICE + 1, 2 * SLICE, 2 * SLICE + 1])
@pytest.mark.parametrize("word", ["a", "ab ", " ab", "a\u2003\u00e9 ", " "])
def test_words_are_the_same_however_long_the_text(word, length):
    text = (word * length)[:length]
    assert count_words(text) == len(text.split())


@pytest.mark.parametrize("text", ['{"b":1,"a":2,"b":3}', '{"b":1,"b":2,"a":3}', '{"a":1,"b":2,"b":3}', '{"b":1, "b":2}', '{"b":[1] ,"a":2,"b":{},"c":0,"b":1}'])  # fmt: skip
def test_all_members_of_a_repeated_key_are_set_or_removed(text):
    before = json.loads(text)
    rest = {name: value for name, value in before.items() if name != "b"}
    assert json.loads(remove_member(text.encode(), "b")) == rest
    assert json.loads(remove_member(text.encode(), "z")) == before
    pairs = json.loads(set_member(text.encode(), "b", b"7"), object_pairs_hook=list)
    assert [value for name, value in pairs if name == "b"] == [7] * text.count('"b"')


def test_usage_that_is_told_twice_in_a_chunk_is_hidden_twice():
    chunk = b'data: {"usage":{},"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":1}}\n\n'
    out = reader_of(openai_chat, Shape()).feed(chunk)
    assert out == b'data: {"choices":[{"index":0,"delta":{}}]}\n\n'


def test_an_item_that_is_told_twice_in_a_response_is_given_once():
    item = message_of(content=[{"type": "output_text", "text": "one two"}])
    body = json.dumps({"id": "r", "object": "response", "status": "completed", "output": [item, item]})  # fmt: skip
    reader = reader_of(openai_responses, Shape(truncate=50), "application/json")
    reader.feed(body.encode())
    assert reader.end().count(b"one two") == 1
    assert reader.usage.relayed == 2
