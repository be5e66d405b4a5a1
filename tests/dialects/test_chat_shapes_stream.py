"""A shaped stream of chunks: what each shape leaves, where it ends, and that nothing leaks."""

from __future__ import annotations

import json
from itertools import pairwise

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import RequestFacts, Usage
from proxy.core.shape import NO_SHAPE, Shape
from proxy.dialects import openai_chat, openai_held, openai_stream
from proxy.dialects.tokens import TokenRules, count

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
LOGPROBS = {"content": [{"token": "t", "logprob": -0.5}]}


def chunk(delta=None, finish=None, index=0, **more):
    choice = {"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return head | {"choices": [choice]} | more


def say(text, index=0, finish=None, **more):
    return chunk({"content": text}, finish, index, **more)


def sse(*chunks, done=True, end="\n\n"):
    events = [
        f"data: {json.dumps(item, separators=(',', ':'), ensure_ascii=False)}{end}"
        for item in chunks
    ]
    return "".join([*events, f"data: [DONE]{end}" if done else ""]).encode()


def with_usage(*chunks):
    """The chunks as a server sends them that was asked for usage."""
    last = chunk() | {"choices": [], "usage": USAGE}
    return sse(*(item | {"usage": None} for item in chunks), last)


def run(stream, shape, cuts=(), *, choices=1, wants=False, counter="words"):
    facts = RequestFacts(
        "openai.chat", "m", stream=True, prompt_tokens=7, choices=choices, wants_usage=wants
    )
    rules = TokenRules(counter, 1_000, 200)
    reader = openai_chat.answer(facts, rules, "text/event-stream", 200, shape)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    out = b""
    try:
        for start, end in pairwise(edges):
            out += reader.feed(stream[start:end])
        out += reader.end()
    except UpstreamGarbageError:
        out += reader.broken("garbage", "upstream.garbage")
    return out, reader


STRIP = Shape(strip=frozenset({"logprobs"}))
HIDE = Shape(hide_reasoning=True)


def cut_to(most):
    return Shape(truncate=most)


def test_what_a_shape_finds_nothing_to_change_in_keeps_its_bytes():
    stream = sse(chunk({"role": "assistant", "content": ""}), say("to b"), say("e or", obfuscation="x"), chunk(finish="stop"))  # fmt: skip
    for shape in (NO_SHAPE, STRIP, HIDE, cut_to(3), Shape(n=1), Shape(temperature_max=0.0)):
        out, reader = run(stream, shape)
        assert (out, reader.cut, reader.complete) == (stream, False, True)
        assert (reader.usage.relayed, reader.finish_reasons) == (3, ("stop",))


def test_usage_is_hidden_or_shown_under_a_shape_as_without():
    chunks = [say("to be"), chunk(finish="stop")]
    assert run(with_usage(*chunks), cut_to(9))[0] == sse(*chunks)
    assert run(with_usage(*chunks), cut_to(9), wants=True)[0] == with_usage(*chunks)
    stripped = chunk({"content": "a"}, usage=USAGE)
    stripped["choices"][0]["logprobs"] = LOGPROBS
    out, reader = run(sse(stripped), STRIP)
    assert (out, reader.usage.reported_output) == (sse(chunk({"content": "a"})), 4)


def test_log_probabilities_become_null_and_all_else_stays():
    item = say("a", obfuscation="x", new={"b": [1.5]})
    item["choices"][0]["logprobs"] = LOGPROBS
    out, _ = run(sse(item), STRIP)
    item["choices"][0]["logprobs"] = None
    del item["obfuscation"]
    assert out == sse(item)


def test_reasoning_is_hidden_and_not_counted():
    stream = sse(
        chunk({"role": "assistant", "content": "", "reasoning_content": ""}),
        chunk({"reasoning_content": "hm hm"}), chunk({"reasoning": "hm", "content": None}), say("yes"),
        chunk({"content": " or", "reasoning_content": "no"}), chunk(finish="stop"),
    )  # fmt: skip
    out, reader = run(stream, HIDE)
    assert out == sse(
        chunk({"role": "assistant", "content": ""}), say("yes"), say(" or"), chunk(finish="stop")
    )
    assert reader.usage.relayed == 2


def test_hidden_reasoning_is_not_told_by_log_probabilities_or_token_ids():
    quiet, loud = chunk({"reasoning_content": "hm"}, "stop"), say("yes")
    for item in (quiet, loud):
        item["choices"][0] |= {"logprobs": LOGPROBS, "token_ids": [1]}
    out, _ = run(sse(loud, quiet), HIDE)
    quiet["choices"][0] |= {"delta": {}, "logprobs": None, "token_ids": None}
    assert out == sse(loud, quiet)


def test_choices_that_were_clamped_away_are_dropped():
    stream = sse(say("a"), say("b", 1), say("c", 2), chunk(finish="stop"), chunk(finish="stop", index=1), chunk(finish="stop", index=2))  # fmt: skip
    out, reader = run(stream, Shape(n=2), choices=3)
    assert out == sse(say("a"), say("b", 1), chunk(finish="stop"), chunk(finish="stop", index=1))
    assert (reader.usage.relayed, reader.finish_reasons) == (2, ("stop", "stop"))


@pytest.mark.parametrize("wants", [False, True])
def test_a_stream_ends_at_its_last_token_natively(wants):
    stream = with_usage(say("one tw", obfuscation="x"), say("o three four", obfuscation="x"), say(" five"), chunk(finish="stop"))  # fmt: skip
    out, reader = run(stream, cut_to(3), wants=wants)
    shown = [say("one tw", obfuscation="x"), say("o three"), chunk(finish="length")]
    if wants:
        counted = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        last = chunk() | {"choices": [], "usage": counted}
        assert out == sse(*(item | {"usage": None} for item in shown), last)
    else:
        assert out == sse(*shown)
    assert (reader.cut, reader.complete, reader.errored) == (True, True, False)
    assert (reader.usage, reader.finish_reasons) == (Usage(relayed=3), ("length",))
    assert reader.feed(sse(say("more"))) + reader.end() + reader.broken("x", "y") == b""


def test_usage_that_the_provider_told_before_the_cut_is_told_and_kept():
    stream = sse(say("one", usage=USAGE), say(" two", usage=USAGE))
    out, reader = run(stream, cut_to(1), wants=True)
    assert b'"prompt_tokens":9,"completion_tokens":1,"total_tokens":10' in out
    assert reader.usage == Usage(9, 4, relayed=1)


def test_every_choice_that_has_not_finished_is_ended():
    stream = sse(say("a b"), say("c", 1), chunk(finish="stop", index=1), say(" d", 2), say(" e"))
    out, reader = run(stream, cut_to(3), choices=3)
    assert out == sse(
        say("a b"), say("c", 1), chunk(finish="stop", index=1),
        chunk(finish="length"), chunk(finish="length", index=2),
    )  # fmt: skip
    assert reader.finish_reasons == ("length", "stop", "length")


def test_a_reason_in_the_chunk_that_is_cut_is_not_believed():
    out, reader = run(sse(say("a b c", finish="stop")), cut_to(2))
    assert out == sse(say("a b"), chunk(finish="length"))
    assert reader.finish_reasons == ("length",)


def test_the_ration_is_one_for_all_fields():
    stream = sse(chunk({"reasoning_content": "a b"}), chunk({"refusal": "c d"}), say("e"))
    out, reader = run(stream, cut_to(3))
    assert out == sse(
        chunk({"reasoning_content": "a b"}), chunk({"refusal": "c"}), chunk(finish="length")
    )
    assert reader.usage.relayed == 3


def test_what_is_not_known_does_not_pass_where_text_is_counted():
    out, _ = run(sse(chunk({"content": "a", "novelty": "b c d"}), chunk(finish="stop")), cut_to(1))
    assert out == sse(say("a"), chunk(finish="stop"))


def piece(text=None, number=0, index=0, **more):
    function = {} if text is None else {"arguments": text}
    return chunk({"tool_calls": [{"index": number, **more, "function": function}]}, None, index)


def begin(name, number=0, index=0):
    call = {"index": number, "id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": ""}}  # fmt: skip
    return chunk({"tool_calls": [call]}, None, index)


CALLS = [begin("f"), piece('{"a":'), piece(" 1}"), begin("g", 1), piece('{"b":', 1), piece(" 2}", 1), chunk(finish="tool_calls")]  # fmt: skip


def arguments(out):
    found = {}
    for event in out.split(b"\n\n"):
        data = event.removeprefix(b"data: ")
        if not data.startswith(b"{"):
            continue
        for choice in json.loads(data)["choices"]:
            for call in choice["delta"].get("tool_calls", []):
                name, text = call["function"].get("name"), call["function"].get("arguments", "")
                key = (choice["index"], call["index"])
                found[key] = (
                    found.get(key, ("", ""))[0] or name,
                    found.get(key, ("", ""))[1] + text,
                )
    return found


@pytest.mark.parametrize(
    ("most", "calls", "reason"),
    [
        (6, {(0, 0): ("f", '{"a": 1}'), (0, 1): ("g", '{"b": 2}')}, "tool_calls"),
        (5, {(0, 0): ("f", '{"a": 1}')}, "length"),
        (3, {(0, 0): ("f", '{"a": 1}')}, "length"),
        (2, {}, "length"),
        (0, {}, "length"),
    ],
)
def test_a_tool_call_is_given_whole_or_not_at_all(most, calls, reason):
    out, reader = run(sse(*CALLS), cut_to(most))
    assert arguments(out) == calls
    assert (reader.finish_reasons, reader.cut) == ((reason,), reason == "length")
    assert reader.usage.relayed == 3 * len(calls)
    assert out.endswith(sse(chunk(finish=reason)))


def test_tool_calls_pass_piece_by_piece_where_nothing_is_truncated():
    assert run(sse(*CALLS), HIDE)[0] == sse(*CALLS)
    assert run(sse(*CALLS), HIDE)[1].usage.relayed == 6


def test_calls_of_choices_that_never_say_why_they_end_are_given_at_the_end():
    out, reader = run(sse(begin("f"), piece("{}"), begin("g", index=1)), cut_to(3), choices=2)
    assert arguments(out) == {(0, 0): ("f", "{}"), (1, 0): ("g", "")}
    assert (reader.cut, reader.complete) == (False, True)
    out, reader = run(sse(begin("f"), begin("g h", index=1)), cut_to(2), choices=2)
    assert (arguments(out), reader.cut, reader.finish_reasons) == ({}, True, ("length", "length"))


def test_a_legacy_call_is_held_too():
    stream = sse(chunk({"function_call": {"name": "f"}}), chunk({"function_call": {"arguments": "{} {}"}}), chunk(finish="function_call"))  # fmt: skip
    whole, _ = run(stream, cut_to(3))
    assert b'"function_call":{"name":"f","arguments":"{} {}"}' in whole
    assert b"function_call" not in run(stream, cut_to(2))[0]


def test_a_call_that_was_held_when_the_stream_broke_is_not_given():
    out, reader = run(sse(begin("f"), piece('{"a":'), done=False), cut_to(9))
    assert (reader.complete, reader.cut, reader.usage.relayed) == (False, False, 0)
    assert b"tool_calls" not in out
    assert b"cut short" in out


def test_members_of_a_call_that_we_do_not_know_pass():
    first = begin("f")
    first["choices"][0]["delta"]["tool_calls"][0]["extra"] = {"signature": "s"}
    out, _ = run(sse(first, piece("{}"), chunk(finish="tool_calls")), cut_to(5))
    assert b'"extra":{"signature":"s"}' in out


def test_frames_without_text_cannot_fill_the_memory(monkeypatch):
    monkeypatch.setattr(openai_held, "MAX_HELD", 1_000)
    out, reader = run(sse(*[begin("")] * 50), cut_to(5))
    assert (b"upstream.garbage" in out, reader.complete) == (True, False)


def test_more_choices_than_any_answer_has_are_garbage(monkeypatch):
    monkeypatch.setattr(openai_stream, "MAX_THREADS", 3)
    out, _ = run(sse(*(say("x", index) for index in range(5))), cut_to(50))
    assert b"upstream.garbage" in out


TEXT = st.text("ab 你", max_size=6)
DELTAS = st.one_of(
    TEXT.map(lambda text: {"content": text}), TEXT.map(lambda text: {"reasoning_content": text}), TEXT.map(lambda text: {"refusal": text}),
    TEXT.map(lambda text: {"novelty": text, "content": text}), TEXT.map(lambda text: {"content": [{"type": "text", "text": text}]}),
    TEXT.map(lambda text: {"audio": {"transcript": text}}), TEXT.map(lambda text: {"function_call": {"name": text, "arguments": text}}),
    st.builds(lambda text, number: {"tool_calls": [{"index": number, "function": {"arguments": text}}]}, TEXT, st.integers(0, 2)),
    st.builds(lambda text, number: {"tool_calls": [{"index": number, "function": {"name": text}, "custom": {"input": text}}]}, TEXT, st.integers(0, 2)),
)  # fmt: skip
CHUNKS = st.builds(
    lambda delta, finish, index, usage: chunk(delta, finish, index, **usage),
    DELTAS, st.sampled_from([None, None, None, "stop"]), st.integers(0, 2), st.sampled_from([{}, {"usage": None}, {"usage": USAGE}]),
)  # fmt: skip
PIECES = st.one_of(
    CHUNKS.map(lambda item: sse(item, done=False)),
    st.sampled_from([b"data: [DONE]\n\n", b": ping\r\n\r\n", b"data: {nope\n\n", b'data: {"choices":[5]}\n\n', b'data: {"error":{"message":"m"}}\n\n', b'data: {"choices":[],"usage":null}\n\n',
        b'data: {"choices":[{"delta":{"tool_calls":[1]}}]}\n\n', b'data: {"choices":[{"delta":5}]}\n\n', b'data: {"choices":5,"usage":null}\n\n',
        b'data: {"choices":[{"delta":{"tool_calls":[{"function":null},{"index":0,"function":{"arguments":"a b c d e","x":1}},{"index":1,"function":null}]}}]}\n\n',
        b'data: {"choices":[{"delta":{"function_call":"x","audio":{"data":"A"}}}],"x":' + b"[" * 900 + b"]" * 900 + b"}\n\n", b'data: {"choices":[{"delta":{"content":"\\ud83d x y z"}}]}\n\n']),
)  # fmt: skip
SHAPES = st.sampled_from(
    [STRIP, HIDE, cut_to(0), cut_to(3), Shape(n=1), Shape(n=2, hide_reasoning=True, truncate=4)]
)


@given(
    st.lists(PIECES, max_size=8).map(b"".join), SHAPES, st.lists(st.integers(0, 2000), max_size=8),
    st.booleans(), st.sampled_from(["words", "chars"]),
)  # fmt: skip
def test_any_stream_cut_anywhere_gives_the_same_and_only_garbage_is_raised(
    stream, shape, cuts, wants, counter
):
    whole, one = run(stream, shape, choices=3, wants=wants, counter=counter)
    parts, two = run(stream, shape, cuts, choices=3, wants=wants, counter=counter)
    assert parts == whole
    for name in ("usage", "complete", "errored", "cut", "finish_reasons"):
        assert getattr(one, name) == getattr(two, name)


@pytest.mark.parametrize("shape", [STRIP, HIDE, cut_to(4), Shape(n=1)])
def test_cut_at_every_byte_the_output_is_the_same(shape):
    stream = with_usage(say("né 你b"), chunk({"reasoning_content": "x"}), begin("f"), piece("{}"), say("c", 1), say("d e f"))  # fmt: skip
    whole, _ = run(stream, shape, choices=2)
    for cut in range(len(stream)):
        assert run(stream, shape, [cut], choices=2)[0] == whole
    assert run(stream, shape, range(len(stream)), choices=2)[0] == whole


@given(st.lists(CHUNKS, max_size=10), st.integers(0, 8), st.sampled_from(["words", "chars"]))
def test_truncation_leaks_nothing_in_any_field(chunks, most, counter):
    out, reader = run(sse(*chunks), cut_to(most), choices=3, counter=counter)
    threads = {}
    for event in out.split(b"\n\n"):
        data = event.removeprefix(b"data: ")
        for choice in json.loads(data)["choices"] if data.startswith(b"{") else ():
            for path, text in spoken(choice["delta"], (choice["index"],)):
                threads[path] = threads.get(path, "") + text
    slack = 0 if counter == "words" else len(threads)
    assert sum(count(text, counter) for text in threads.values()) <= most + slack
    assert reader.usage.relayed <= most


def spoken(value, path):
    if isinstance(value, str):
        return [(path, value)]
    if isinstance(value, list):
        return [found for at, item in enumerate(value) for found in spoken(item, (*path, item.get("index", at)))]  # fmt: skip
    if isinstance(value, dict):
        return [found for name, item in value.items() if name not in ("type", "id", "role") for found in spoken(item, (*path, name))]  # fmt: skip
    return []


def official(stream):
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(
            200, headers={"content-type": "text/event-stream"}, content=stream
        )
    )
    return openai.OpenAI(
        api_key="k", base_url="http://weir.test/v1", max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )  # fmt: skip


def final(stream):
    with (
        official(stream) as client,
        client.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": "x"}]
        ) as events,
    ):
        for _ in events:
            pass
        return events.get_final_completion()


def test_the_official_helper_reads_held_calls_as_it_reads_them_unshaped():
    assert final(run(sse(*CALLS), cut_to(9))[0]) == final(sse(*CALLS))


def test_the_official_helper_raises_its_own_error_for_a_cut_answer():
    out, _ = run(sse(say("one two"), say(" three"), chunk(finish="stop")), cut_to(2))
    with official(out) as client:
        found = list(client.chat.completions.create(model="m", messages=[], stream=True))
    assert "".join(item.choices[0].delta.content or "" for item in found) == "one two"
    assert found[-1].choices[0].finish_reason == "length"


def test_a_call_whose_pieces_are_odd_is_given_as_far_as_it_can_be_read():
    odd = chunk({"tool_calls": [{"index": 0, "id": "1", "function": None}]})
    named = chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "more": 1}}]})
    out, _ = run(sse(odd, named, piece("{}"), chunk(finish="tool_calls")), cut_to(5))
    assert b'{"index":0,"id":"1","function":{"name":"f","more":1,"arguments":"{}"}}' in out
    out, reader = run(sse(odd, begin("a b c", 1)), cut_to(2))
    assert (arguments_free(out), reader.cut) == (True, True)


def arguments_free(out):
    return b'"arguments"' not in out


def test_an_answer_that_cannot_be_written_again_is_garbage():
    nested = b"[" * 1_000 + b"]" * 1_000
    deep = b'data: {"choices":[{"delta":{"reasoning":"x","content":"y"}}],"x":' + nested + b"}\n\n"
    item = say("\ud83d", logprobs=None)
    item["choices"][0]["logprobs"] = LOGPROBS
    half = b"data: " + json.dumps(item).encode() + b"\n\n"
    assert b"\\ud83d" in run(half, STRIP)[0]
    out, reader = run(deep, HIDE)
    assert (b"upstream.garbage" in out, b'"y"' in out, reader.complete) == (True, False, False)


def test_an_error_in_the_stream_passes_any_shape_and_is_not_told_twice():
    stream = sse(say("a"), {"error": {"message": "overloaded"}}, done=False)
    for shape in (STRIP, HIDE, cut_to(5)):
        out, reader = run(stream, shape)
        assert (out, reader.errored, reader.complete) == (stream, True, False)


def test_a_held_call_that_later_text_left_no_room_for_ends_the_answer():
    out, reader = run(sse(begin("f g"), say("a")), cut_to(2))
    assert out == sse(say("a"), chunk(finish="length"))
    assert (reader.cut, reader.complete, reader.usage.relayed) == (True, True, 1)


def test_events_without_data_pass():
    stream = b": ping\n\n" + sse(say("a"))
    assert run(stream, cut_to(5))[0] == stream


@pytest.mark.parametrize("shape", [NO_SHAPE, STRIP, cut_to(1)])
def test_choices_that_are_no_list_are_garbage(shape):
    out, reader = run(b'data: {"choices":5}\n\n', shape)
    assert (b"upstream.garbage" in out, reader.complete) == (True, False)
