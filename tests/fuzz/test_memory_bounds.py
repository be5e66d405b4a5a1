"""Whatever a provider sends, and for how long: what a reader remembers of it stays bounded."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import RequestFacts
from proxy.core.shape import NO_SHAPE, Shape
from proxy.dialects.arriving import MAX_JSON
from proxy.dialects.routes import dialects
from proxy.dialects.sse import MAX_EVENT, SseSplitter
from proxy.dialects.tokens import TokenRules, count_words

MB = 1024 * 1024
BY_NAME = {dialect.NAME: dialect for dialect in dialects()}
SPOKEN = ("openai.chat", "openai.completions", "openai.responses", "anthropic.messages")
SHAPES = {
    "unshaped": NO_SHAPE,
    "clean": Shape(strip=frozenset({"logprobs"}), hide_reasoning=True, n=1),
    "cut": Shape(truncate=1_000_000),
}


def reader_of(name, shape, *, stream=True, counter="words"):
    facts = RequestFacts(name, "m", stream=stream, stored=True, prompt_tokens=1)
    media = "text/event-stream" if stream else "application/json"
    return BY_NAME[name].answer(facts, TokenRules(counter), media, 200, shape)


def sse(told, name=""):
    line = f"event: {name}\n" if name else ""
    return f"{line}data: {json.dumps(told)}\n\n".encode()


def peak_of(act):
    """Return the most bytes that were held at once."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def fed_until_garbage(reader, pieces):
    def feed():
        for piece in pieces:
            reader.feed(piece)

    with pytest.raises(UpstreamGarbageError):
        feed()
    reader.broken("too much", "upstream.garbage")


# An event with a little text, behind those that such a stream begins with.
WORD = {
    "openai.chat": ([], sse({"choices": [{"index": 0, "delta": {"content": " word"}}]})),
    "openai.completions": ([], sse({"choices": [{"index": 0, "text": " word"}]})),
    "openai.responses": (
        [
            sse({"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}}),
            sse({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "m", "content": []}}),
            sse({"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": ""}}),
        ],
        sse({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": " word"}),
    ),
    "anthropic.messages": (
        [sse({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})],
        sse({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " word"}}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SPOKEN)
def test_an_endless_stream_is_not_remembered(name, shape):
    reader = reader_of(name, SHAPES[shape])
    before, event = WORD[name]
    for each in before:
        reader.feed(each)
    for _ in range(1_500):
        reader.feed(event)
    tracemalloc.start()
    for _ in range(6_000):
        reader.feed(event)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    # Where an answer may be cut, its text is told again at its end: the text alone is kept.
    assert grown < (6_000 * 5 * 5 if shape == "cut" else 8_000)
    assert reader.usage.relayed == 7_500


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SPOKEN)
def test_an_endless_line_is_refused_at_its_limit(name, shape):
    reader = reader_of(name, SHAPES[shape])
    line = b"data: " + b"a" * (256 * 1024)
    assert peak_of(lambda: fed_until_garbage(reader, [line] * 64)) < 2 * MAX_EVENT


def test_nothing_is_kept_behind_an_event_that_was_too_long():
    splitter = SseSplitter()

    def overflow():
        for _ in range(1_024):
            assert splitter.feed(b"a" * (64 * 1024)) == []

    assert peak_of(overflow) < 2 * MAX_EVENT
    assert splitter.overflowed
    assert splitter.rest() == b""


@pytest.mark.parametrize(
    ("event", "many"),
    [(b":\n\n", 1_000_000), (b"\n\n", 50_000), (b":\r\n\r\n", 50_000), (b"data\r\r", 50_000)],
)
def test_a_million_tiny_events_take_the_room_of_one_chunk_of_them(event, many):
    splitter = SseSplitter()
    chunk = event * (16 * 1024 // len(event))
    found = 0

    def split():
        nonlocal found
        while found < many:
            found += len(splitter.feed(chunk))

    assert peak_of(split) < MB


@pytest.mark.parametrize("shape", ["unshaped", "cut"])
@pytest.mark.parametrize("name", [*SPOKEN, "openai.stored"])
def test_a_body_of_64_mb_in_pieces_takes_its_own_size_and_more_is_refused(name, shape):
    reader = reader_of(name, SHAPES[shape], stream=False)
    piece = b" " * (MAX_JSON // 256)
    assert peak_of(lambda: fed_until_garbage(reader, [piece] * 257)) < 1.3 * MAX_JSON
    assert reader.usage.relayed == 0


@pytest.mark.parametrize("shape", ["unshaped", "cut"])
@pytest.mark.parametrize("name", [*SPOKEN, "openai.embeddings"])
def test_a_body_in_the_smallest_pieces_takes_no_more_than_in_large_ones(name, shape):
    reader = reader_of(name, SHAPES[shape], stream=False)
    pieces = [b"%c " % (65 + i % 26) for i in range(100)]

    def feed():
        for _ in range(2_000):
            for piece in pieces:
                reader.feed(piece)

    assert peak_of(feed) < 2 * 400_000


def test_vectors_of_64_mb_are_not_kept_at_all():
    reader = reader_of("openai.embeddings", NO_SHAPE, stream=False)

    def feed():
        for _ in range(64):
            reader.feed(b"0.1," * (MB // 4))
        reader.feed(b'0],"usage":{"prompt_tokens":7}}')
        reader.end()

    assert peak_of(feed) < 4 * MB
    assert reader.usage.reported_prompt == 7


@pytest.mark.parametrize("name", SPOKEN)
def test_a_long_body_is_read_in_a_few_times_its_size(name):
    said = b"word " * (2 * MB // 5)
    body = {
        "openai.chat": b'{"choices":[{"index":0,"message":{"content":"%b"}}]}',
        "openai.completions": b'{"choices":[{"index":0,"text":"%b"}]}',
        "openai.responses": b'{"output":[{"type":"message","content":[{"type":"output_text","text":"%b"}]}]}',
        "anthropic.messages": b'{"content":[{"type":"text","text":"%b"}]}',
    }[name] % said
    for shape in (NO_SHAPE, Shape(truncate=1_000)):
        reader = reader_of(name, shape, stream=False)
        # The JSON parser asks for twelve times the text beforehand, most of which it never touches.
        assert peak_of(lambda reader=reader: (reader.feed(body), reader.end())) < 16 * len(body)
        assert reader.usage.relayed == (len(said) // 5 if shape is NO_SHAPE else 1_000)


def test_the_words_of_a_long_text_are_counted_without_being_listed():
    text = "ab c\u2003" * 500_000
    assert peak_of(lambda: count_words(text)) < 2 * MB
    assert count_words(text) == len(text.split())
    assert count_words("a" * 200_000 + " " * 70_000 + "b") == 2


# What a provider may go on saying without end, each time something new.
def endless_ids():
    for number in range(10**6):
        yield sse(
            {"type": "response.in_progress", "response": {"id": f"resp_{number}", "output": []}}
        )


def endless_choices():
    for index in range(10**6):
        yield sse(
            {"choices": [{"index": index, "delta": {"content": "a"}, "finish_reason": "stop"}]}
        )


def endless_calls():
    for index in range(10**6):
        yield sse({"choices": [{"index": index, "delta": {"tool_calls": [{}] * 50}}]})


def endless_blocks():
    for index in range(10**6):
        yield sse(
            {
                "type": "content_block_start",
                "index": index,
                "content_block": {"type": "text", "text": "a"},
            }
        )
        yield sse({"type": "content_block_stop", "index": index})


def endless_input():
    yield sse(
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "t", "name": "n", "input": {}},
        }
    )
    event = sse(
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": "", "signature": "s" * 2_000},
        }
    )
    while True:
        yield event


def endless_items():
    yield WORD["openai.responses"][0][0]
    for index in range(10**6):
        yield sse(
            {
                "type": "response.output_item.added",
                "output_index": index,
                "item": {"type": "message", "id": f"m{index}", "content": []},
            }
        )


ENDLESS = [
    # dialect              shape       what                 megabytes at most
    ("openai.responses",   "unshaped", endless_ids,          8),
    ("openai.responses",   "clean",    endless_ids,          8),
    ("openai.responses",   "unshaped", endless_items,        8),
    ("openai.responses",   "cut",      endless_items,       32),
    ("openai.chat",        "unshaped", endless_choices,      8),
    ("openai.chat",        "cut",      endless_choices,      8),
    ("openai.chat",        "cut",      endless_calls,       24),
    ("anthropic.messages", "unshaped", endless_blocks,       8),
    ("anthropic.messages", "cut",      endless_blocks,       8),
    ("anthropic.messages", "cut",      endless_input,       24),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "pieces", "most"), ENDLESS)
def test_an_endless_stream_of_new_things_is_refused(name, shape, pieces, most):
    reader = reader_of(name, SHAPES[shape])
    assert peak_of(lambda: fed_until_garbage(reader, pieces())) < most * MB


def test_a_call_that_never_becomes_whole_is_let_go_of_at_its_limit():
    reader = reader_of("openai.responses", SHAPES["cut"])
    item = {"type": "function_call", "id": "f", "call_id": "c", "name": "n", "arguments": ""}
    reader.feed(WORD["openai.responses"][0][0])
    reader.feed(sse({"type": "response.output_item.added", "output_index": 0, "item": item}))
    event = sse(
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 0,
            "delta": "",
            "obfuscation": "x" * 2_000,
        }
    )

    def feed():
        while not reader.cut:
            reader.feed(event)

    assert peak_of(feed) < 64 * MB
    assert reader.complete
