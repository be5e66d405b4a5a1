"""A shaped chat: what goes upstream, and what is left of an answer in one body."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import RequestError, UpstreamGarbageError
from proxy.core.facts import RequestFacts, Usage
from proxy.core.shape import NO_SHAPE, Change, Shape
from proxy.dialects import arriving, openai_chat, openai_shaped_json, passing
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules, count

WORDS = TokenRules("words", 1_000, 200)
BARE = b'{ "model":"m","messages":[{"role":"user","content":"caf\xc3\xa9 \\"n\\":9"}]'
USAGE = {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14}


def forward(members, shape):
    body = BARE + members + b"}"
    (facts,) = openai_chat.read(body, lambda _: WORDS, Call())
    sent = openai_chat.forward(body, facts, shape)
    return sent.body.removeprefix(BARE), [
        (each.code, each.asked, each.given) for each in sent.changes
    ]


@pytest.mark.parametrize(
    ("members", "shape", "left", "changes"),
    [
        (b',"n":9 ,"x" : 1.0', Shape(n=2), b',"n":2 ,"x" : 1.0}', [("clamp.n", "9", "2")]),
        (b"", Shape(n=2, best_of=1, top_logprobs=1, temperature_max=1.0, effort="low"), b"}", []),
        (b',"n":4,"best_of":8', Shape(best_of=2), b',"n":2,"best_of":2}', [("clamp.best_of", "8", "2"), ("clamp.n", "4", "2")]),
        (b',"logprobs":true,"top_logprobs":20', Shape(top_logprobs=3), b',"logprobs":true,"top_logprobs":3}', [("clamp.top_logprobs", "20", "3")]),
        (b',"logprobs":true,"top_logprobs":20', Shape(strip=frozenset({"logprobs"})), b"}", [("strip.logprobs", "", "")]),
        (b',"logprobs":false', Shape(strip=frozenset({"logprobs"})), b"}", []),
        (b',"logit_bias":{"5":1},"seed":0,"prompt_logprobs":1,"echo":true,"stop":"a"', Shape(strip=frozenset({"logit_bias", "seed", "prompt_logprobs", "echo"})), b',"stop":"a"}',
         [("strip.echo", "", ""), ("strip.logit_bias", "", ""), ("strip.prompt_logprobs", "", ""), ("strip.seed", "", "")]),
        (b',"temperature":1.9', Shape(temperature_max=1.0), b',"temperature":1.0}', [("clamp.temperature", "1.9", "1.0")]),
        (b',"reasoning_effort":"high"', Shape(effort="low"), b',"reasoning_effort":"low"}', [("clamp.effort", "high", "low")]),
        (b',"reasoning":{"effort":"high","x":1}', Shape(effort="low"), b',"reasoning":{"effort":"low","x":1}}', [("clamp.effort", "high", "low")]),
        (b',"max_tokens":90,"max_completion_tokens":7', Shape(output_tokens=10), b',"max_tokens":10,"max_completion_tokens":7}', [("clamp.output_tokens", "90", "10")]),
        (b',"max_tokens":90', Shape(truncate=10), b',"max_tokens":10}', [("truncate.output_tokens", "90", "10"), ("truncate.output_tokens", "", "10")]),
        (b',"max_tokens":9', Shape(truncate=10), b',"max_tokens":9}', [("truncate.output_tokens", "", "10")]),
        (b',"stream":true,"stream_options":{"include_usage":true},"max_tokens":90', Shape(truncate=10), b',"stream":true,"stream_options":{"include_usage":true},"max_tokens":90}', [("truncate.output_tokens", "", "10")]),
        (b',"reasoning_effort":"low"', Shape(hide_reasoning=True), b',"reasoning_effort":"low"}', [("hide.reasoning", "", "")]),
        (b',"reasoning_effort":"none"', Shape(hide_reasoning=True), b',"reasoning_effort":"none"}', []),
    ],
)  # fmt: skip
def test_a_shape_changes_its_own_members_and_says_so(members, shape, left, changes):
    assert forward(members, shape) == (left, changes)


def test_a_cap_that_is_not_there_is_added_by_its_modern_name():
    body = BARE + b"}"
    (facts,) = openai_chat.read(body, lambda _: WORDS, Call())
    for shape, change in (
        (Shape(output_tokens=10), Change("clamp", "output_tokens", "", "10")),
        (Shape(truncate=10), Change("truncate", "output_tokens", "", "10")),
    ):
        sent = openai_chat.forward(body, facts, shape)
        assert sent.body == b'{"max_completion_tokens":10, ' + body[2:]
        assert sent.changes == (change,)


def test_a_shaped_stream_is_asked_for_its_usage_and_one_that_only_waits_is_not_touched():
    body = BARE + b',"n":3,"stream":true}'
    (facts,) = openai_chat.read(body, lambda _: WORDS, Call())
    sent = openai_chat.forward(body, facts, Shape(n=1)).body
    assert json.loads(sent)["stream_options"] == {"include_usage": True}
    quiet = openai_chat.forward(body, facts, Shape(delay=5))
    assert (quiet, quiet.changes) == (openai_chat.forward(body, facts, NO_SHAPE), ())


@pytest.mark.parametrize("field", ["top_logprobs", "temperature", "logprobs", "best_of", "n"])
def test_a_knob_that_a_lenient_server_might_read_otherwise_is_refused(field):
    with pytest.raises(RequestError, match=field):
        forward(b',"%b":"9"' % field.encode(), Shape())


@pytest.mark.parametrize(
    ("members", "features", "reasoning"),
    [
        (b',"reasoning_effort":"high"', {"reasoning"}, "high"),
        (b',"reasoning_effort":"none"', set(), "none"),
        (b',"reasoning":{"effort":"low"}', {"reasoning"}, "low"),
        (b',"prompt_logprobs":0', {"prompt_logprobs"}, ""),
        (b',"best_of":2', {"best_of"}, ""),
    ],
)
def test_the_knobs_of_shapes_are_features(members, features, reasoning):
    (facts,) = openai_chat.read(BARE + members + b"}", lambda _: WORDS, Call())
    assert (facts.features, facts.reasoning) == (features, reasoning)


def message(content, **more):
    return {"role": "assistant", "content": content, "refusal": None} | more


def body(*messages, finish="stop", **more):
    choices = [
        {"index": index, "message": item, "logprobs": {"content": [{"token": "t"}]}, "finish_reason": finish}
        for index, item in enumerate(messages)
    ]  # fmt: skip
    return {"id": "c", "object": "chat.completion", "choices": choices, "usage": USAGE} | more


def run(answer, shape, choices=1, counter="words"):
    facts = RequestFacts("openai.chat", "m", prompt_tokens=7, choices=choices)
    rules = TokenRules(counter, 1_000, 200)
    reader = openai_chat.answer(facts, rules, "application/json", 200, shape)
    sent = json.dumps(answer).encode()
    out = b"".join(reader.feed(sent[at : at + 50]) for at in range(0, len(sent), 50))
    assert (reader.usage.relayed, reader.complete, reader.cut) == (0, False, False) or out == sent
    return out + reader.end(), reader, sent


def test_what_a_shape_finds_nothing_to_change_in_keeps_its_bytes():
    answer = body(message("to be"))
    answer["choices"][0]["logprobs"] = None
    for shape in (Shape(strip=frozenset({"logprobs"})), Shape(truncate=2), Shape(n=1), NO_SHAPE):
        out, reader, sent = run(answer, shape)
        assert (out, reader.cut, reader.complete) == (sent, False, True)
        assert reader.usage == Usage(5, 9, relayed=2)
        assert reader.finish_reasons == ("stop",)


def test_log_probabilities_become_null():
    out, _, _ = run(
        body(message("a"), prompt_logprobs=[None]),
        Shape(strip=frozenset({"logprobs", "prompt_logprobs"})),
    )
    told = json.loads(out)
    assert (told["choices"][0]["logprobs"], told["prompt_logprobs"]) == (None, None)


def test_reasoning_is_taken_out_with_what_would_say_it_again():
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}]
    answer = body(
        message("yes", reasoning_content="hm hm", reasoning="hm"), message(parts), message("no")
    )
    out, reader, _ = run(answer, Shape(hide_reasoning=True), 3)
    first, second, third = json.loads(out)["choices"]
    assert (first["message"], first["logprobs"]) == (message("yes"), None)
    assert (second["message"]["content"], second["logprobs"]) == (parts[1:], None)
    assert (third["message"], third["logprobs"]) == (message("no"), {"content": [{"token": "t"}]})
    assert reader.usage.relayed == 3
    assert reader.usage.reported_output == 9


def test_choices_that_were_clamped_away_are_dropped():
    out, reader, _ = run(body(message("a"), message("b"), message("c")), Shape(n=2), 3)
    assert [choice["index"] for choice in json.loads(out)["choices"]] == [0, 1]
    assert (reader.usage.relayed, reader.finish_reasons) == (2, ("stop", "stop"))


def test_an_answer_ends_at_its_last_token_natively():
    answer = body(message("one two three"), message("four five six"), message("seven"))
    out, reader, _ = run(answer, Shape(truncate=4), 3)
    told = json.loads(out)
    assert [
        (choice["message"]["content"], choice["finish_reason"], choice["logprobs"] is None)
        for choice in told["choices"]
    ] == [("one two three", "stop", False), ("four", "length", True), ("", "length", True)]
    assert told["usage"] == {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    assert (reader.cut, reader.complete, reader.usage) == (True, True, Usage(5, 9, relayed=4))
    assert reader.finish_reasons == ("stop", "length", "length")


def call(name, arguments):
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_tool_call_is_given_whole_or_not_at_all():
    two = message(None, tool_calls=[call("f", '{"a": 1}'), call("g", '{"b": 2}')])
    for most, kept, finish in ((6, 2, "tool_calls"), (5, 1, "length"), (2, 0, "length")):
        out, reader, _ = run(body(two, finish="tool_calls"), Shape(truncate=most))
        choice = json.loads(out)["choices"][0]
        assert choice["message"].get("tool_calls", []) == two["tool_calls"][:kept]
        assert (choice["finish_reason"], reader.cut) == (finish, finish == "length")
    legacy = message(None, function_call={"name": "f", "arguments": "{}"})
    assert "function_call" in json.loads(run(body(legacy), Shape(truncate=2))[0])["choices"][0]["message"]  # fmt: skip
    assert "function_call" not in json.loads(run(body(legacy), Shape(truncate=1))[0])["choices"][0]["message"]  # fmt: skip


def test_a_cut_transcript_takes_its_sound_along():
    spoken = message(None, audio={"id": "a", "data": "AAAA", "transcript": "to be or"})
    assert "audio" in json.loads(run(body(spoken), Shape(truncate=3))[0])["choices"][0]["message"]
    cut = json.loads(run(body(spoken), Shape(truncate=2))[0])["choices"][0]
    assert ("audio" in cut["message"], cut["finish_reason"]) == (False, "length")


TEXT = st.text("ab 你", max_size=12)
MESSAGES = st.fixed_dictionaries(
    {"content": TEXT | st.none() | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}), max_size=2)},
    optional={
        "reasoning_content": TEXT, "reasoning": TEXT, "refusal": TEXT, "novelty": TEXT,
        "tool_calls": st.lists(st.builds(call, TEXT, TEXT), max_size=3),
        "function_call": st.fixed_dictionaries({"name": TEXT, "arguments": TEXT}),
        "audio": st.fixed_dictionaries({"transcript": TEXT}),
    },
)  # fmt: skip


def texts(value):
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    if isinstance(value, dict):
        return [text for name, item in value.items() if name not in ("type", "id", "role") for text in texts(item)]  # fmt: skip
    return []


@pytest.mark.parametrize("counter", ["words", "chars"])
@given(messages=st.lists(MESSAGES, max_size=3), most=st.integers(0, 12))
def test_truncation_leaks_nothing_in_any_field(counter, messages, most):
    out, reader, _ = run(body(*messages), Shape(truncate=most), 3, counter)
    given_texts = [
        text for choice in json.loads(out)["choices"] for text in texts(choice["message"])
    ]
    assert reader.usage.relayed <= most
    # Counted one by one, each text may be rounded up by one.
    slack = 0 if counter == "words" else len(given_texts)
    assert sum(count(text, counter) for text in given_texts) <= most + slack


@pytest.mark.parametrize(
    "garbage",
    [b"", b"<html>", b"[1]", b'{"choices":[1]}', b'{"choices":[{"message":"x"}]}', b'{"choices":[{"message":{"tool_calls":1}}]}'],
)  # fmt: skip
def test_a_body_that_is_no_completion_is_garbage_and_nothing_of_it_is_given(garbage):
    reader = openai_shaped_json.ShapedJsonReader(
        openai_chat.CHAT, RequestFacts("openai.chat"), Shape(truncate=1), "words"
    )
    assert reader.feed(garbage) == b""
    with pytest.raises(UpstreamGarbageError):
        reader.end()
    assert (reader.complete, reader.usage, reader.broken("x", "y")) == (False, Usage(), b"")


def test_a_body_that_is_too_large_is_garbage(monkeypatch):
    monkeypatch.setattr(arriving, "MAX_JSON", 10)
    reader = openai_chat.answer(
        RequestFacts("openai.chat"), WORDS, "application/json", 200, Shape(truncate=1)
    )
    reader.feed(b"x" * 10)
    with pytest.raises(UpstreamGarbageError, match="too large"):
        reader.feed(b"x")


def test_an_error_passes_any_shape():
    out, reader, sent = run({"error": {"message": "busy"}}, Shape(truncate=1))
    assert (out, reader.errored, reader.end(), reader.feed(b"x")) == (sent, True, b"", b"")
    opaque = openai_chat.answer(RequestFacts("openai.chat"), WORDS, "", 429, Shape(truncate=1))
    assert isinstance(opaque, passing.OpaqueReader)


def test_a_choice_without_a_message_or_a_reason_says_nothing():
    answer = {"choices": [{"message": None, "finish_reason": None}]}
    out, reader, sent = run(answer, Shape(truncate=1, n=1))
    assert (out, reader.finish_reasons, reader.usage.relayed) == (sent, (), 0)


def test_an_effort_that_is_low_enough_is_left_alone():
    members = b',"reasoning":{"effort":"low"}'
    assert forward(members, Shape(effort="high")) == (members + b"}", [])
