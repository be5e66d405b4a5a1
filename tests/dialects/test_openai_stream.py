"""Streams of chunks: the same output and counts however they are cut, and native endings."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import RequestFacts, Usage
from proxy.core.shape import NO_SHAPE
from proxy.dialects import openai_chat
from proxy.dialects.openai_stream import StreamReader
from proxy.dialects.sse import MAX_EVENT
from proxy.dialects.tokens import TokenRules

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def chunk(content=None, finish=None, index=0, **more):
    delta = {} if content is None else {"content": content}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}],
    } | more


def sse(*chunks, end="\n\n", done=True):
    events = [
        f"data: {json.dumps(item, separators=(',', ':'), ensure_ascii=False)}{end}"
        for item in chunks
    ]
    return "".join([*events, f"data: [DONE]{end}" if done else ""]).encode()


ASKED = sse(
    chunk("to b", usage=None), chunk("e or", usage=None, obfuscation="x"), chunk(" not", usage=None), chunk(finish="stop", usage=None),
    chunk() | {"choices": [], "usage": USAGE},
)  # fmt: skip
HIDDEN = sse(chunk("to b"), chunk("e or", obfuscation="x"), chunk(" not"), chunk(finish="stop"))


def run(stream, cuts=(), *, hide=True, counter="words", choices=1):
    reader = StreamReader(counter, hide_usage=hide, choices=choices)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    out = b""
    try:
        for start, end in pairwise(edges):
            out += reader.feed(stream[start:end])
        out += reader.end()
    except UpstreamGarbageError:
        out += reader.broken("garbage", "upstream.garbage")
    return out, reader


def test_a_client_that_asked_gets_every_byte():
    out, reader = run(ASKED, hide=False)
    assert out == ASKED
    assert reader.usage == Usage(9, 4, 1, 3, relayed=4)
    assert (reader.complete, reader.errored, reader.finish_reasons) == (True, False, ("stop",))


def test_a_client_that_did_not_ask_sees_no_usage_and_nothing_else_changed():
    out, reader = run(ASKED)
    assert out == HIDDEN
    assert reader.usage == Usage(9, 4, 1, 3, relayed=4)


@pytest.mark.parametrize("hide", [True, False])
@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
def test_cut_at_every_byte_the_output_and_counts_are_the_same(hide, end):
    stream = sse(
        chunk("né 你b", usage=None),
        chunk("e", usage=None),
        chunk() | {"choices": [], "usage": USAGE},
        end=end,
    )
    whole, reader = run(stream, hide=hide)
    for cut in range(len(stream)):
        out, other = run(stream, [cut], hide=hide)
        assert (out, other.usage, other.complete) == (whole, reader.usage, True)
    out, other = run(stream, range(len(stream)), hide=hide)
    assert (out, other.usage) == (whole, reader.usage)


PIECES = st.sampled_from(
    [
        sse(chunk("a b", usage=None), done=False), sse(chunk("c ", index=1), done=False), sse(chunk("", finish="stop"), done=False),
        sse(chunk("x", usage=USAGE), done=False), sse(chunk() | {"choices": [], "usage": USAGE}, done=False), b"data: [DONE]\n\n",
        b": ping\n\n", b"data: {\ndata: }\n\n", b"data: {nope\n\n", b'data: {"error":{"message":"m"}}\n\n', b"data: 5\n\n", b"\n", b"\r", b"event: x\n",
        b'data: {"choices":[5]}\r\n\r\n', b'data: {"choices":5,"usage":null}\n\n', b"data: " + b"[" * 2000 + b"\n\n", b'data: {"usage":null}', b"data: \xff\n\n",
    ]
)  # fmt: skip


@given(
    st.lists(PIECES, max_size=8).map(b"".join),
    st.lists(st.integers(0, 2000), max_size=12),
    st.booleans(),
)
def test_any_stream_cut_anywhere_gives_the_same_and_only_garbage_is_raised(stream, cuts, hide):
    whole, one = run(stream, hide=hide)
    parts, two = run(stream, cuts, hide=hide)
    assert (parts, two.usage, two.complete, two.errored, two.finish_reasons) == (
        whole,
        one.usage,
        one.complete,
        one.errored,
        one.finish_reasons,
    )


@given(st.binary(max_size=200))
def test_noise_raises_garbage_or_nothing(noise):
    reader = StreamReader("chars", hide_usage=True)
    with contextlib.suppress(UpstreamGarbageError):
        reader.feed(b"data: " + noise + b"\n\n")
        reader.end()


def test_usage_beside_choices_is_read_and_cut_out():
    last = chunk("bye", "stop", usage=USAGE)
    out, reader = run(sse(last))
    assert out == sse(chunk("bye", "stop"))
    assert (reader.usage.reported_output, reader.usage.relayed) == (4, 1)


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (b'data: {"usage":null,"choices":[]}\n\n', b'data: {"choices":[]}\n\n'),
        (b'data: {"choices":[], "usage" : null }\n\n', b'data: {"choices":[] }\n\n'),
        (b'data:{"choices":[],"usage":null}\r\n\r\n', b'data:{"choices":[]}\r\n\r\n'),
        (b'data: {"choices":[],\ndata: "usage":null}\nid: 1\n\n', b'data: {"choices":[]}\nid: 1\n\n'),
        (b'data: {"choices":[],"us\\u0061ge":null}\n\n', b'data: {"choices":[]}\n\n'),
        (b'data: {"x":{"a":1,"usage":null},"usage":null}\n\n', b'data: {"x":{"a":1,"usage":null}}\n\n'),
        (b'data: {"x":{"a":1,"usage":null}}\n\n', b'data: {"x":{"a":1,"usage":null}}\n\n'),
        (b'data: {"x":"\\",\\"usage\\":null,","choices":[]}\n\n', b'data: {"x":"\\",\\"usage\\":null,","choices":[]}\n\n'),
        (b": ping\n\n", b": ping\n\n"),
        (b'data: {"choices":[],"prompt_filter_results":[]}\n\n', b'data: {"choices":[],"prompt_filter_results":[]}\n\n'),
        (b'data: {"choices":[],"usage":{}}\n\n', b""),
    ],
)  # fmt: skip
def test_nothing_but_the_top_level_usage_is_cut(event, shown):
    reader = StreamReader("words", hide_usage=True)
    assert json_free(reader.feed(event)) == json_free(shown)


def json_free(event):
    return event.replace(b"data:{", b"data: {")


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "a b"},
        {"reasoning_content": "a b"},
        {"reasoning": "a b"},
        {"refusal": "a b", "content": None},
        {"tool_calls": [{"index": 0, "function": {"name": "a", "arguments": "b"}}]},
        {"tool_calls": [{"index": 0, "custom": {"name": "a", "input": "b"}}]},
        {"function_call": {"name": "a", "arguments": "b"}},
        {"audio": {"transcript": "a b"}},
        {"content": [{"type": "text", "text": "a "}, {"type": "x", "more": [{"text": "b"}]}]},
    ],
)
def test_all_that_a_client_can_read_is_counted(delta):
    item = chunk()
    item["choices"][0]["delta"] = delta
    assert run(sse(item))[1].usage.relayed == 2


def test_a_word_cut_between_chunks_counts_once_for_each_choice_and_field():
    stream = sse(
        *(
            chunk(text, index=index)
            for text, index in [("on", 0), ("ei", 1), ("e tw", 0), ("ns", 1), ("o", 0)]
        )
    )
    assert run(stream)[1].usage.relayed == 3


def test_what_only_lenient_parsers_read_is_relayed_and_counted():
    stream = b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"},"logprobs":{"x":-Infinity}}]}\n\ndata: [DONE]\n\n'
    out, reader = run(stream)
    assert (out, reader.usage.relayed) == (stream, 1)


def test_a_stream_that_was_cut_ends_in_an_error_and_not_in_silence():
    out, reader = run(sse(chunk("to be"), done=False))
    error = json.loads(out.split(b"\n\n")[1].removeprefix(b"data: "))["error"]
    assert error == {
        "message": "The answer was cut short.",
        "type": "server_error",
        "param": None,
        "code": "upstream.reset",
    }
    assert (reader.complete, reader.errored, reader.usage.relayed) == (False, False, 2)
    assert b"[DONE]" not in out


def test_half_an_event_is_not_relayed_when_the_stream_breaks():
    stream = sse(chunk("a b"), done=False) + b'data: {"choices":[{"ind'
    reader = StreamReader("words", hide_usage=True)
    out = reader.feed(stream) + reader.broken("gone", "upstream.timed_out")
    assert out.startswith(sse(chunk("a b"), done=False) + b'data: {"error":{"message":"gone"')
    assert reader.feed(b"data: [DONE]\n\n") + reader.end() + reader.broken("x", "y") == b""
    assert reader.complete is False


@pytest.mark.parametrize(("choices", "complete"), [(1, True), (2, False)])
def test_without_done_the_end_is_good_only_when_every_choice_finished(choices, complete):
    stream = sse(chunk("a", "stop"), done=False)
    out, reader = run(stream, choices=choices)
    assert (reader.complete, out == stream) == (complete, complete)


@pytest.mark.parametrize("tail", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n"])
def test_a_done_without_its_empty_line_is_one(tail):
    out, reader = run(sse(chunk("a"), done=False) + tail)
    assert (reader.complete, b"error" in out) == (True, False)


def test_nothing_is_relayed_after_done():
    out, reader = run(sse(chunk("a")) + sse(chunk("smuggled words here")))
    assert (out, reader.usage.relayed) == (sse(chunk("a")), 1)
    assert reader.broken("late reset", "upstream.reset") == b""


def test_an_error_in_the_stream_passes_and_is_not_told_twice():
    stream = sse(
        chunk("a"), {"error": {"message": "overloaded", "type": "server_error"}}, done=False
    )
    out, reader = run(stream)
    assert (out, reader.errored, reader.complete) == (stream, True, False)
    assert reader.broken("x", "y") == b""


def test_half_an_event_at_the_end_is_dropped_and_the_break_is_told():
    good = sse(chunk("a b"), done=False)
    out, reader = run(good + b'data: {"choi')
    assert out.startswith(good + b'data: {"error":{"message":"The answer was cut short."')
    assert (reader.complete, reader.usage.relayed) == (False, 2)


def test_a_reset_after_an_error_in_the_stream_adds_nothing():
    reader = StreamReader("words", hide_usage=True)
    reader.feed(sse({"error": {"message": "overloaded"}}, done=False))
    assert reader.broken("gone", "upstream.reset") == b""


def test_what_came_before_garbage_is_kept():
    good = sse(chunk("a b"), done=False)
    reader = StreamReader("words", hide_usage=True)
    with pytest.raises(UpstreamGarbageError):
        reader.feed(good + b"data: <html>\n\n")
    assert reader.broken("bad", "upstream.garbage").startswith(good + b"data: {")
    assert reader.usage.relayed == 2


def test_an_event_without_end_is_garbage():
    reader = StreamReader("words", hide_usage=True)
    good = sse(chunk("a"), done=False)
    assert reader.feed(good + b"x" * MAX_EVENT) == good
    with pytest.raises(UpstreamGarbageError, match="too large"):
        reader.feed(b"x")
    assert reader.broken("bad", "upstream.garbage").startswith(b"data: {")


def test_more_choices_than_any_answer_has_are_garbage():
    reader = StreamReader("words", hide_usage=True)
    with pytest.raises(UpstreamGarbageError, match="too many"):
        reader.feed(sse(*(chunk("x", index=index) for index in range(10_002))))


@pytest.mark.parametrize(
    "choice",
    [
        5,
        {"index": "0"},
        {"delta": "text"},
        {"delta": {"tool_calls": 1}},
        {"delta": {"tool_calls": [1]}},
        {"delta": {"tool_calls": [{"index": "a"}]}},
    ],
)
def test_a_choice_that_cannot_be_counted_is_garbage(choice):
    with pytest.raises(UpstreamGarbageError):
        StreamReader("words", hide_usage=True).feed(sse({"choices": [choice]}))


def test_counters_that_are_neither_text_nor_parts_count_nothing():
    item = chunk()
    item["choices"][0]["delta"] = {"content": [1, None, {"type": "text"}]}
    assert run(sse(item))[1].usage.relayed == 0


@pytest.mark.parametrize("number", [-1, True, "4", 4.0, 10**12, None])
def test_usage_that_is_no_number_is_as_if_nobody_said(number):
    reader = run(sse(chunk("a", usage={"completion_tokens": number, "prompt_tokens": 7})))[1]
    assert reader.usage == Usage(7, None, None, None, relayed=1)


def official(stream):
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(
            200, headers={"content-type": "text/event-stream"}, content=stream
        )
    )
    return openai.OpenAI(
        api_key="k",
        base_url="http://weir.test/v1",
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )


def asked(stream):
    with official(stream) as client:
        return list(
            client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x"}], stream=True
            )
        )


def test_the_official_sdk_reads_our_stream_as_the_provider_s_own():
    direct = asked(HIDDEN)
    assert asked(run(ASKED)[0]) == direct
    assert [item.usage for item in direct] == [None] * 4


def test_the_official_sdk_raises_from_our_native_ending():
    out, _ = run(sse(chunk("to be"), done=False))
    with pytest.raises(openai.APIError, match="cut short") as caught:
        asked(out)
    assert (caught.value.code, caught.value.type) == ("upstream.reset", "server_error")


def test_the_reader_is_chosen_by_what_the_answer_is():
    facts = RequestFacts("openai.chat", "m", stream=True)
    kinds = [
        ("text/event-stream; charset=utf-8", 200, "StreamReader"),
        ("application/json", 200, "JsonReader"),
        ("Application/Problem+JSON", 200, "JsonReader"),
        ("", 200, "StreamReader"),
        ("text/event-stream", 429, "OpaqueReader"),
        ("text/html", 500, "OpaqueReader"),
    ]
    for content_type, status, name in kinds:
        reader = openai_chat.answer(facts, TokenRules(), content_type, status, NO_SHAPE)
        assert type(reader).__name__ == name
    with pytest.raises(UpstreamGarbageError):
        openai_chat.answer(facts, TokenRules(), "text/html", 200, NO_SHAPE)
