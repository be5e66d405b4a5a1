"""Streamed messages under each shape: the bytes, the native ending; nothing leaks."""

from __future__ import annotations

import json
from itertools import pairwise

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import RequestFacts
from proxy.core.shape import Shape
from proxy.dialects import anthropic_messages
from proxy.dialects.sse import MAX_EVENT
from proxy.dialects.tokens import TokenRules, count

WORDS = TokenRules("words", 4_096, 4_096)
HIDE = Shape(hide_reasoning=True)
STREAMED = RequestFacts("anthropic.messages", "m", stream=True, prompt_tokens=77)


def event(kind, **more):
    data = json.dumps({"type": kind, **more}, separators=(",", ":"), ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def start(index, **block):
    return event("content_block_start", index=index, content_block=block)


def delta(index, kind, **more):
    return event("content_block_delta", index=index, delta={"type": f"{kind}_delta", **more})


def stop(index):
    return event("content_block_stop", index=index)


def ending(output, inputs=None):
    usage = (inputs or {"input_tokens": 9, "cache_read_input_tokens": 3}) | {
        "output_tokens": output
    }
    told = {"stop_reason": "max_tokens", "stop_sequence": None}
    return event("message_delta", delta=told, usage=usage) + event("message_stop")


def head(content=(), usage=None):
    return event(
        "message_start",
        message={
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": list(content), "stop_reason": None, "stop_sequence": None,
            "usage": usage or {"input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 1},
        },
    )  # fmt: skip


HEAD = head()
PING = event("ping")
TAIL = event(
    "message_delta",
    delta={"stop_reason": "tool_use", "stop_sequence": None},
    usage={"output_tokens": 40},
) + event("message_stop")

THINKING = (
    start(0, type="thinking", thinking="", signature=""),
    delta(0, "thinking", thinking="one tw"),
    delta(0, "thinking", thinking="o three"),
    delta(0, "signature", signature="SIGNED"),
    stop(0),
)
TEXT = (
    start(1, type="text", text=""),
    delta(1, "text", text="to b"),
    delta(1, "text", text="e or not"),
    delta(1, "text", text=" to be"),
    stop(1),
)
TOOL = (
    start(2, type="tool_use", id="toolu_1", name="look", input={}),
    delta(2, "input_json", partial_json='{"where": "he'),
    delta(2, "input_json", partial_json='re now"}'),
    stop(2),
)
STREAM = b"".join([HEAD, *THINKING, PING, *TEXT, *TOOL, TAIL])  # 3 + 6 + 1 + 3 words


def run(stream, shape, cuts=(), rules=WORDS):
    reader = anthropic_messages.answer(STREAMED, rules, "text/event-stream", 200, shape)
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


FIRST = b"".join(THINKING)
GOLDEN = {
    # tokens: what the client sees between the start and our ending, and the words of it
    0: (b"", 0),
    2: (b"", 0),
    3: (FIRST + TEXT[0] + stop(1), 3),
    4: (FIRST + TEXT[0] + delta(1, "text", text="to") + stop(1), 4),
    5: (FIRST + TEXT[0] + TEXT[1] + delta(1, "text", text="e") + stop(1), 5),
    7: (FIRST + b"".join(TEXT[:3]) + stop(1), 7),
    8: (FIRST + b"".join(TEXT[:3]) + delta(1, "text", text=" to") + stop(1), 8),
    9: (FIRST + b"".join(TEXT), 9),
    12: (FIRST + b"".join(TEXT), 9),
}


@pytest.mark.parametrize("most", GOLDEN)
def test_a_stream_ends_natively_where_its_ration_ends(most):
    out, reader = run(STREAM, Shape(truncate=most))
    given_, words = GOLDEN[most]
    assert out.replace(PING, b"") == HEAD + given_ + ending(words)
    assert (reader.cut, reader.complete, reader.errored) == (True, True, False)
    assert (reader.usage.relayed, reader.usage.reported_output) == (words, None)
    assert reader.finish_reasons == ("max_tokens",)


@pytest.mark.parametrize("most", [13, 100])
def test_a_stream_within_its_ration_passes_with_its_own_ending(most):
    out, reader = run(STREAM, Shape(truncate=most))
    assert out.replace(PING, b"") == STREAM.replace(PING, b"")
    assert (reader.cut, reader.complete, reader.finish_reasons) == (False, True, ("tool_use",))
    assert (reader.usage.relayed, reader.usage.reported_output) == (13, 40)


def test_a_ping_passes_while_a_block_is_held():
    stream = HEAD + TOOL[0].replace(b'"index":2', b'"index":0') + PING
    out, _ = run(stream, Shape(truncate=9))
    assert out.startswith(HEAD + PING + b"event: error")


def test_the_estimate_is_told_where_the_provider_said_no_prompt():
    start_ = event("message_start", message={"id": "m", "content": [], "usage": {}})
    out, _ = run(
        start_ + TEXT[0].replace(b":1,", b":0,") + delta(0, "text", text="a b"), Shape(truncate=1)
    )
    assert out.endswith(ending(1, {"input_tokens": 77}))


def test_hidden_thinking_keeps_its_signature_and_says_nothing():
    out, reader = run(STREAM, HIDE)
    shown = b"".join([THINKING[0], THINKING[3], THINKING[4]])
    assert out == b"".join([HEAD, shown, PING, *TEXT, *TOOL, TAIL])
    assert (reader.usage.relayed, reader.usage.reported_output, reader.cut) == (10, 40, False)


def test_thinking_that_comes_with_the_start_of_its_block_is_hidden_too():
    loud = start(0, type="thinking", thinking="one two", signature="S")
    sealed = start(1, type="redacted_thinking", data="SEALED")
    rest = stop(0) + sealed + stop(1) + TAIL
    out, reader = run(HEAD + loud + rest, HIDE)
    assert out == HEAD + start(0, type="thinking", thinking="", signature="S") + rest
    assert reader.usage.relayed == 0


def test_hidden_and_truncated_the_ration_is_for_what_is_shown():
    out, reader = run(STREAM, Shape(hide_reasoning=True, truncate=4))
    shown = b"".join([HEAD, THINKING[0], THINKING[3], THINKING[4], PING])
    assert out == shown + b"".join(TEXT[:3]) + stop(1) + ending(4)
    assert reader.usage.relayed == 4


def test_what_a_message_brings_at_its_start_is_rationed_too():
    loud = [
        {"type": "thinking", "thinking": "one", "signature": "S"},
        {"type": "text", "text": "a b"},
    ]
    out, _ = run(head(loud) + TAIL, HIDE)
    assert out == head([loud[0] | {"thinking": ""}, loud[1]]) + TAIL
    out, reader = run(head(loud) + TAIL, Shape(truncate=2))
    assert out == head([]) + ending(0)
    assert reader.cut


def test_a_quotation_is_given_whole_or_ends_the_answer():
    quote = delta(0, "citations", citation={"type": "char_location", "cited_text": "a b c"})
    stream = HEAD + start(0, type="text", text="one") + quote + stop(0) + TAIL
    assert run(stream, Shape(truncate=4))[0] == stream
    assert run(stream, Shape(truncate=3))[0] == HEAD + start(0, type="text", text="one") + stop(
        0
    ) + ending(1)


def test_text_that_comes_with_the_start_of_its_block_is_cut():
    stream = HEAD + start(0, type="text", text="a b c") + stop(0) + TAIL
    expected = HEAD + start(0, type="text", text="a b") + stop(0) + ending(2)
    assert run(stream, Shape(truncate=2))[0] == expected


def test_events_that_we_do_not_know_are_rationed():
    stream = HEAD + event("brand_new", hint="a b c") + TAIL
    assert run(stream, Shape(truncate=3))[0] == stream
    assert run(stream, Shape(truncate=2))[0] == HEAD + ending(0)


def test_a_block_without_end_is_dropped_as_soon_as_it_cannot_fit():
    reader = anthropic_messages.answer(
        STREAMED, WORDS, "text/event-stream", 200, Shape(truncate=50)
    )
    reader.feed(HEAD + start(0, type="tool_use", id="t", name="f", input={}))
    fed = 0
    while not reader.cut:
        out = reader.feed(delta(0, "input_json", partial_json="a b c "))
        fed += 1
    assert fed == 17
    assert out == ending(0)
    assert reader.feed(STREAM) == reader.end() == reader.broken("x", "y") == b""


def test_a_block_without_end_and_without_words_is_garbage():
    reader = anthropic_messages.answer(
        STREAMED, WORDS, "text/event-stream", 200, Shape(truncate=50)
    )
    reader.feed(HEAD + start(0, type="thinking", thinking="", signature=""))
    part = delta(0, "signature", signature="x" * (MAX_EVENT // 8))
    with pytest.raises(UpstreamGarbageError):
        feed_all(reader, [part] * 10)


@pytest.mark.parametrize("stray", [delta(5, "text", text="a"), stop(5)])
def test_what_speaks_of_a_block_that_is_not_open_is_garbage(stray):
    out, _ = run(HEAD + TEXT[0] + stray, Shape(truncate=50))
    assert out.startswith(HEAD + TEXT[0] + b"event: error")


def test_blocks_that_are_none_are_garbage():
    out, _ = run(HEAD + event("content_block_start", index=0, content_block=7), HIDE)
    assert out.startswith(HEAD + b"event: error")


def test_endless_blocks_are_garbage():
    reader = anthropic_messages.answer(STREAMED, WORDS, "text/event-stream", 200, HIDE)
    with pytest.raises(UpstreamGarbageError):
        feed_all(reader, (start(index, type="text", text="a") for index in range(10_002)))


def test_a_quotation_at_the_start_of_a_block_is_rationed_before_its_text():
    block = start(0, type="text", text="a", citations=[{"cited_text": "b c"}])
    assert run(HEAD + block, Shape(truncate=1))[0] == HEAD + ending(0)


def test_a_block_whose_first_word_does_not_fit_is_not_begun():
    first = start(0, type="text", text="a b") + stop(0)
    out, _ = run(HEAD + first + start(1, type="text", text="c"), Shape(truncate=2))
    assert out == HEAD + first + ending(2)


def test_a_delta_that_is_none_passes():
    odd = TEXT[0] + event("content_block_delta", index=1, delta=7)
    stream = HEAD + odd + TEXT[-1] + TAIL
    assert run(stream, Shape(truncate=2))[0] == stream


def test_a_block_that_is_never_ended_is_given_before_what_follows():
    stream = HEAD + b"".join(TOOL[:3]) + b"".join(TEXT) + TAIL
    assert run(stream, Shape(truncate=50))[0] == stream
    assert run(stream, Shape(truncate=2))[0] == HEAD + ending(0)


def test_half_a_surrogate_pair_is_cut_as_other_text_is():
    def spoken(text):
        return delta(1, "text", text="@").replace(b"@", text)

    out, _ = run(HEAD + TEXT[0] + spoken(rb"\ud83d b c"), Shape(truncate=2))
    assert out == HEAD + TEXT[0] + spoken(rb"\ud83d b") + stop(1) + ending(2)


SHAPES = [
    HIDE,
    *(Shape(truncate=most) for most in range(14)),
    Shape(hide_reasoning=True, truncate=5),
]


@given(st.sampled_from(SHAPES), st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_where_the_network_cuts_changes_nothing(shape, cuts):
    out, reader = run(STREAM, shape, cuts)
    expected, before = run(STREAM, shape)
    assert out == expected
    assert (reader.usage, reader.cut) == (before.usage, before.cut)


def texts(value):
    """Return all text that a client could read, joined as it would join it."""
    if isinstance(value, dict):
        hidden = {"type", "id", "signature", "model", "role", "stop_reason"}
        return "".join(texts(item) for name, item in value.items() if name not in hidden)
    if isinstance(value, list):
        return "".join(map(texts, value))
    return value if isinstance(value, str) else ""


def heard(out):
    said = [json.loads(part.split(b"data: ", 1)[1]) for part in out.split(b"\n\n") if part]
    blocks = {}
    for item in said:
        if "index" in item:
            inner = item.get("content_block") or item.get("delta") or {}
            blocks.setdefault(item["index"], []).append(texts(inner))
    return said, [" ".join(parts[:1]) + " " + "".join(parts[1:]) for parts in blocks.values()]


PIECES = st.lists(st.text("ab \n你", max_size=6), max_size=5)


@given(
    st.lists(st.tuples(st.sampled_from(["text", "thinking", "input_json"]), PIECES), max_size=4),
    st.integers(0, 8),
    st.sampled_from(["words", "chars"]),
)
def test_truncation_never_leaks_and_always_ends_well(blocks, most, counter):
    names = {"text": "text", "thinking": "thinking", "input_json": "partial_json"}
    stream = HEAD
    for index, (kind, pieces) in enumerate(blocks):
        block = (
            {"type": "tool_use", "name": "f", "input": {}}
            if kind == "input_json"
            else {"type": kind, kind: ""}
        )
        stream += start(index, **block)
        stream += b"".join(delta(index, kind, **{names[kind]: piece}) for piece in pieces)
        stream += stop(index)
    out, reader = run(stream + TAIL, Shape(truncate=most), rules=TokenRules(counter))
    said, spoken = heard(out)
    assert reader.complete
    assert reader.usage.relayed <= most
    if counter == "words":
        assert sum(count(text, counter) for text in spoken) <= most
    indexes = [item["index"] for item in said if item["type"] == "content_block_start"]
    assert indexes == list(range(len(indexes)))
    assert [item["type"] for item in said][-2:] == ["message_delta", "message_stop"]
    assert len(indexes) == sum(item["type"] == "content_block_stop" for item in said)


def message(stream):
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(
            200, headers={"content-type": "text/event-stream"}, content=stream
        )
    )
    with (
        anthropic.Anthropic(
            api_key="k",
            base_url="http://weir.test",
            max_retries=0,
            http_client=httpx2.Client(transport=transport),
        ) as client,
        client.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]
        ) as told,
    ):
        return told.get_final_message()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_official_sdk_accepts_every_shaped_stream(shape):
    out, reader = run(STREAM, shape)
    told = message(out)
    assert told.stop_reason == ("max_tokens" if reader.cut else "tool_use")
    assert all(block.signature == "SIGNED" for block in told.content if block.type == "thinking")
    calls = [block.input for block in told.content if block.type == "tool_use"]
    assert calls in ([], [{"where": "here now"}])
    if reader.cut:
        assert told.usage.output_tokens == reader.usage.relayed
    if shape.truncate == 8:
        assert told.content[1].text == "to be or not to"


@given(
    st.lists(st.sampled_from(STREAM.split(b"\n\n")) | st.binary(max_size=9), max_size=12),
    st.sampled_from(SHAPES),
)
def test_whatever_comes_only_garbage_errors_come_out(parts, shape):
    run(b"\n\n".join(parts) + b"\n\n", shape)
