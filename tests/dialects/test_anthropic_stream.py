"""Messages unshaped: bytes as they came, tokens counted, native endings, however they are cut."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import Usage
from proxy.dialects.anthropic_json import JsonReader
from proxy.dialects.anthropic_stream import StreamReader
from proxy.dialects.arriving import MAX_JSON
from proxy.dialects.sse import MAX_EVENT

STARTED = {
    "input_tokens": 9,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 3,
    "output_tokens": 1,
}


def event(kind, end="\n", **more):
    data = json.dumps({"type": kind, **more}, ensure_ascii=False)
    return f"event: {kind}{end}data: {data}{end}{end}".encode()


def start(index, **block):
    return event("content_block_start", index=index, content_block=block)


def delta(index, kind, **more):
    return event("content_block_delta", index=index, delta={"type": f"{kind}_delta", **more})


def stop(index):
    return event("content_block_stop", index=index)


HEAD = event(
    "message_start",
    message={"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
             "stop_reason": None, "stop_sequence": None, "usage": STARTED},
)  # fmt: skip
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def tail(reason="end_turn", output=21, **more):
    usage = {"output_tokens": output, "output_tokens_details": {"thinking_tokens": 2}}
    told = {"stop_reason": reason, "stop_sequence": None, **more}
    return event("message_delta", delta=told, usage=usage) + event("message_stop")


WHOLE = b"".join(
    [
        HEAD,
        start(0, type="thinking", thinking="", signature=""),
        PING,
        delta(0, "thinking", thinking="two wor"),
        delta(0, "thinking", thinking="ds"),
        delta(0, "signature", signature="not counted at all"),
        stop(0),
        start(1, type="text", text=""),
        delta(1, "text", text="to b"),
        delta(1, "text", text="e ör"),
        delta(1, "citations", citation={"type": "char_location", "cited_text": "not to", "document_index": 0}),
        stop(1),
        b": a comment\n\n",
        start(2, type="tool_use", id="toolu_1", name="look", input={}),
        delta(2, "input_json", partial_json='{"where": "he'),
        delta(2, "input_json", partial_json='re"}'),
        stop(2),
        event("brand_new", id="x y", hint="a b"),
        tail("tool_use"),
    ]
)  # fmt: skip
# Thinking 2, text 3, cited 2, the tool's name 1 and its input 2, what we do not know 2.
RELAYED = 12


def run(stream, cuts=(), counter="words"):
    reader = StreamReader(counter)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    out = b""
    try:
        for begin, end in pairwise(edges):
            out += reader.feed(stream[begin:end])
        out += reader.end()
    except UpstreamGarbageError:
        out += reader.broken("garbage", "upstream.garbage")
    return out, reader


def feed_all(reader, chunks):
    for chunk in chunks:
        reader.feed(chunk)


def test_every_byte_passes_and_every_word_is_counted():
    out, reader = run(WHOLE)
    assert out == WHOLE
    assert reader.usage == Usage(14, 21, 2, 3, relayed=RELAYED)
    assert (reader.complete, reader.errored, reader.cut) == (True, False, False)
    assert reader.finish_reasons == ("tool_use",)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_where_the_network_cuts_changes_nothing(cuts):
    out, reader = run(WHOLE, cuts)
    assert out == WHOLE
    assert reader.usage == Usage(14, 21, 2, 3, relayed=RELAYED)


def test_carriage_returns_change_nothing():
    crlf = WHOLE.replace(b"\n", b"\r\n")
    out, reader = run(crlf)
    assert out == crlf
    assert reader.usage.relayed == RELAYED


def test_the_output_of_a_message_start_is_not_final():
    reader = StreamReader("words")
    reader.feed(HEAD + start(0, type="text", text="") + delta(0, "text", text="a b"))
    assert reader.usage == Usage(14, None, None, 3, relayed=2)


def test_a_message_delta_may_correct_the_prompt():
    usage = {"input_tokens": 100, "cache_read_input_tokens": 0, "output_tokens": 5}
    _, reader = run(HEAD + event("message_delta", delta={}, usage=usage) + event("message_stop"))
    assert reader.usage == Usage(102, 5, None, 0)


def test_iterations_that_count_apart_are_added():
    apart = {
        "input_tokens": 50,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 7,
        "output_tokens": 20,
    }
    usage = {
        "output_tokens": 5,
        "iterations": [{"type": "message", **apart}, {"type": "compaction", **apart}],
    }
    _, reader = run(HEAD + event("message_delta", delta={}, usage=usage) + event("message_stop"))
    assert reader.usage == Usage(14 + 57, 25, None, 10)


def test_a_refusal_tells_its_category():
    details = {"type": "refusal", "category": "reasoning_extraction", "explanation": "…"}
    _, reader = run(HEAD + tail("refusal", stop_details=details))
    assert reader.finish_reasons == ("refusal:reasoning_extraction",)
    _, reader = run(HEAD + tail("refusal", stop_details=None))
    assert reader.finish_reasons == ("refusal",)


def test_nothing_passes_after_the_end():
    out, reader = run(WHOLE + delta(0, "text", text="more"))
    assert out == WHOLE
    assert reader.usage.relayed == RELAYED


def official(stream):
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(
            200, headers={"content-type": "text/event-stream"}, content=stream
        )
    )
    return anthropic.Anthropic(
        api_key="k",
        base_url="http://weir.test",
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )


def message(stream):
    with (
        official(stream) as client,
        client.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]
        ) as told,
    ):
        return told.get_final_message()


def test_the_official_sdk_reads_our_stream_as_the_provider_s_own():
    ours, theirs = message(run(WHOLE)[0]), message(WHOLE)
    assert ours.to_dict() == theirs.to_dict()
    assert ours.content[1].text == "to be ör"


SHORT = WHOLE[: WHOLE.index(b"event: message_delta")]


@pytest.mark.parametrize("kept", range(0, len(SHORT), 37))
def test_a_stream_cut_short_is_an_error_for_the_official_sdk(kept):
    out, reader = run(SHORT[:kept])
    assert (reader.complete, reader.errored) == (False, False)
    with pytest.raises(anthropic.APIStatusError) as caught:
        message(out)
    assert caught.value.type == "api_error"
    assert caught.value.error_code in {"upstream.reset", "upstream.garbage"}


def test_an_upstream_that_cannot_be_reached_is_overloaded():
    out = StreamReader("words").broken("no", "upstream.unreachable")
    told = json.loads(out.split(b"data: ")[1])
    assert out.startswith(b"event: error\ndata: {")
    assert (told["type"], told["error"]["type"]) == ("error", "overloaded_error")


def test_the_provider_s_own_error_passes_and_is_not_followed_by_ours():
    told = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    out, reader = run(HEAD + told)
    assert out == HEAD + told
    assert (reader.complete, reader.errored) == (False, True)
    assert reader.broken("x", "upstream.reset") == b""


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: nonsense\n\n",
        b"data: []\n\n",
        b'data: {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}\n\n',
        b'data: {"type": "content_block_start", "content_block": {}}\n\n',
        start(0, type="tool_use", name="f", input=0).replace(
            b"0}}", b"[" * 999 + b"]" * 999 + b"}}"
        ),
    ],
)
def test_garbage_gets_the_native_ending_after_what_was_good(garbage):
    out, reader = run(HEAD + garbage + WHOLE)
    assert out.startswith(HEAD + b"event: error\ndata: ")
    assert out.count(b"event: ") == 2
    assert reader.feed(WHOLE) == b""


def test_an_endless_event_is_garbage():
    reader = StreamReader("chars")
    with pytest.raises(UpstreamGarbageError):
        feed_all(reader, [b"data: " + b"x" * (MAX_EVENT // 8)] * 10)


def test_endless_blocks_are_garbage():
    reader = StreamReader("words")
    with pytest.raises(UpstreamGarbageError):
        feed_all(reader, (start(index, type="text", text="a") for index in range(10_002)))


def test_what_has_not_the_shape_we_know_passes_uncounted():
    odd = b"".join(
        [
            event("message_start", message=7),
            event("content_block_start", index=0, content_block=7),
            event("content_block_delta", index=0, delta=7),
            event("content_block_delta", index=0, delta={"type": "new", "weight": 7}),
            delta(0, "citations", citation={"type": "new", "start": 7}),
            event("message_delta", delta=7, usage=7),
            event(
                "message_delta",
                delta={"stop_reason": 7},
                usage={"output_tokens": "7", "output_tokens_details": 7, "iterations": [7]},
            ),
            event("message_stop"),
        ]
    )
    out, reader = run(odd)
    assert out == odd
    assert (reader.usage, reader.complete, reader.finish_reasons) == (Usage(), True, ())


def test_an_end_without_its_empty_line_is_an_end():
    out, reader = run(WHOLE[:-1])
    assert out == WHOLE[:-1] + b"\n\n"
    assert reader.complete


def test_half_an_event_at_the_end_is_a_broken_stream():
    out, reader = run(HEAD + delta(0, "text", text="a b")[:-9])
    assert out.startswith(HEAD + b"event: error\n")
    assert (reader.complete, reader.usage.relayed) == (False, 0)


@given(st.lists(st.sampled_from(WHOLE.split(b"\n\n")) | st.binary(max_size=12), max_size=12))
def test_whatever_comes_only_garbage_errors_come_out(parts):
    run(b"\n\n".join(parts) + b"\n\n")


BODY = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "new": 1.50,
    "content": [
        {"type": "thinking", "thinking": "two words", "signature": "not counted"},
        {"type": "redacted_thinking", "data": "not counted"},
        {"type": "text", "text": "to be ör", "citations": [{"type": "char_location", "cited_text": "not to"}]},
        {"type": "tool_use", "id": "t 1", "name": "look", "input": {"where": "here now"}},
    ],
    "stop_reason": "tool_use", "stop_sequence": None,
    "usage": {**STARTED, "output_tokens": 21, "output_tokens_details": {"thinking_tokens": 2}},
}  # fmt: skip


def whole(body, cuts=()):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    reader = JsonReader("words")
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    out = b"".join(reader.feed(raw[begin:end]) for begin, end in pairwise(edges))
    return raw, out + reader.end(), reader


@given(st.lists(st.integers(0, 600), max_size=4))
def test_a_json_message_passes_and_is_counted(cuts):
    raw, out, reader = whole(BODY, cuts)
    assert out == raw
    assert reader.usage == Usage(14, 21, 2, 3, relayed=2 + 3 + 2 + 1 + 2)
    assert (reader.complete, reader.errored, reader.finish_reasons) == (True, False, ("tool_use",))


def test_a_json_body_that_breaks_off_is_estimated_and_has_no_native_ending():
    reader = JsonReader("words")
    reader.feed(json.dumps(BODY).encode()[:260])
    assert reader.usage.relayed >= 5
    assert not reader.complete
    assert reader.broken("x", "upstream.reset") == b""


def test_a_json_body_that_is_too_large_is_garbage():
    reader = JsonReader("words")
    reader.feed(bytes(MAX_JSON))
    with pytest.raises(UpstreamGarbageError):
        reader.feed(b"x")


def test_a_json_body_ends_once():
    _, _, reader = whole(BODY)
    assert reader.end() == b""


def test_an_error_under_a_good_status_is_an_error():
    _, _, reader = whole({"type": "error", "error": {"type": "api_error", "message": "x"}})
    assert reader.errored


@pytest.mark.parametrize("garbage", [b"", b"[]", b"{", b'{"content": 1}', b'{"content": [1]}'])
def test_a_body_that_is_no_message_is_garbage(garbage):
    with pytest.raises(UpstreamGarbageError):
        whole(garbage)


@given(st.binary(max_size=40))
def test_whatever_body_comes_only_garbage_errors_come_out(raw):
    with contextlib.suppress(UpstreamGarbageError):
        whole(raw)
