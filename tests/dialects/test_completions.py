"""Legacy completions: what is read, what goes upstream, and what a shape leaves of the answer."""

from __future__ import annotations

import contextlib
import json

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import RequestError, UpstreamGarbageError
from proxy.core.facts import Usage
from proxy.core.shape import NO_SHAPE, Shape
from proxy.dialects import openai_completions
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules, count

WORDS = TokenRules("words", 1_000, 200)
CHARS = TokenRules("chars", 1_000, 200)
BARE = b'{ "model":"m","prompt":"to be"'
USAGE = {"prompt_tokens": 2, "completion_tokens": 9, "total_tokens": 11}


def read(rules=WORDS, **fields):
    body = json.dumps({"model": "m", "prompt": "to be"} | fields).encode()
    return openai_completions.read(body, lambda _: rules, Call())[0]


def test_a_plain_request_is_read():
    facts = read(user="u")
    assert (facts.dialect, facts.model, facts.stream, facts.choices) == (
        "openai.completions",
        "m",
        False,
        1,
    )
    assert (facts.prompt, facts.user, facts.features) == ("to be", "u", frozenset())


@pytest.mark.parametrize(
    ("prompt", "words", "chars", "text", "number"),
    [
        ("to be or", 3, 2, "to be or", 1),
        (["to be", "or"], 3, 3, "to be\nor", 2),
        ([1, 22, 333], 3, 3, "1 22 333", 1),
        ([[1, 2], [3]], 3, 3, "1 2\n3", 2),
    ],
)
def test_every_kind_of_prompt_is_counted(prompt, words, chars, text, number):
    facts = read(prompt=prompt)
    assert (facts.prompt_tokens, facts.prompt, facts.prompts, facts.choices) == (
        words,
        text,
        number,
        number,
    )
    assert read(CHARS, prompt=prompt).prompt_tokens == chars


@pytest.mark.parametrize(
    ("fields", "choices", "prompts"),
    [
        ({"n": 3}, 3, 1),
        ({"n": 2, "best_of": 5}, 5, 1),
        ({"n": 2, "prompt": ["a", "b", "c"]}, 6, 3),
        ({"best_of": 4, "prompt": [[1], [2]]}, 8, 2),
    ],
)
def test_every_prompt_has_the_best_of_so_many_answers(fields, choices, prompts):
    facts = read(**fields)
    assert (facts.choices, facts.prompts) == (choices, prompts)


def test_the_output_is_capped_at_sixteen_where_nobody_says():
    # fields, rules, tokens, capped
    rows = [
        ({}, WORDS, 16, False),
        ({}, TokenRules("words", 1_000, 5), 5, False),
        ({"max_tokens": 50}, WORDS, 50, True),
        ({"max_tokens": 0, "echo": True}, WORDS, 0, True),
        ({"max_tokens": 10**9}, WORDS, 1_000, True),
    ]
    for fields, rules, tokens, capped in rows:
        facts = read(rules, **fields)
        assert (facts.output_tokens, facts.output_capped) == (tokens, capped)


def test_a_suffix_is_a_part_of_the_prompt():
    facts = read(suffix="or not")
    assert (facts.prompt_tokens, facts.prompt, facts.features) == (4, "to be\nor not", {"suffix"})


@pytest.mark.parametrize(
    ("fields", "features"),
    [
        ({"echo": True}, {"echo"}),
        ({"logprobs": 0}, {"logprobs"}),
        ({"logprobs": 5}, {"logprobs", "top_logprobs"}),
        ({"logit_bias": {"5": 1}}, {"logit_bias"}),
        ({"n": 2, "best_of": 2}, {"n", "best_of"}),
        ({"seed": 0, "stop": ["a"], "prompt_logprobs": 0}, {"seed", "stop", "prompt_logprobs"}),
        ({"echo": False, "logprobs": None, "logit_bias": {}, "stop": None, "suffix": "", "n": 1}, set()),
    ],
)  # fmt: skip
def test_each_knob_in_use_is_named(fields, features):
    assert read(**fields).features == features


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"), ({"prompt": None}, "prompt"), ({"prompt": 5}, "prompt"), ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 5]}, "prompt[0]"), ({"prompt": [[1], "a"]}, "prompt[1]"), ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": [True]}, "prompt[0]"), ({"prompt": ["a"] * 2_049}, "prompt"), ({"prompt": ["a"] * 2_048, "n": 3}, "prompt"),
        ({"n": 0}, "n"), ({"n": 129}, "n"), ({"best_of": "2"}, "best_of"), ({"max_tokens": -1}, "max_tokens"),
        ({"logprobs": True}, "logprobs"), ({"logprobs": -1}, "logprobs"), ({"echo": 1}, "echo"), ({"stream": 1}, "stream"),
        ({"temperature": "2"}, "temperature"), ({"suffix": 5}, "suffix"), ({"prompt_embeds": "AAAA"}, "prompt_embeds"),
    ],
)  # fmt: skip
def test_what_cannot_be_metered_is_refused_by_name(fields, param):
    with pytest.raises(RequestError) as caught:
        read(**fields)
    assert caught.value.param == param


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)  # fmt: skip
FIELDS = st.sampled_from(["model", "prompt", "n", "best_of", "echo", "logprobs", "suffix", "stream", "stream_options", "max_tokens", "logit_bias"])  # fmt: skip


@given(st.dictionaries(FIELDS, JUNK, max_size=4))
def test_only_a_request_error_comes_out_of_reading(fields):
    body = json.dumps({"model": "m", "prompt": "x"} | fields).encode()
    with contextlib.suppress(RequestError):
        (facts,) = openai_completions.read(body, lambda _: CHARS, Call())
        assert facts.choices >= facts.prompts >= 1
        sent = openai_completions.forward(
            body, facts, Shape(n=1, truncate=3, strip=frozenset({"logprobs"}))
        ).body
        assert "logprobs" not in json.loads(sent)


@pytest.mark.parametrize(
    ("members", "shape", "left", "changes"),
    [
        (b',"n":9', Shape(n=2), b',"n":2}', ["clamp.n"]),
        (b',"n":2,"best_of":9', Shape(n=2, best_of=1), b',"n":1,"best_of":1}', ["clamp.best_of", "clamp.n"]),
        (b',"logprobs":5', Shape(top_logprobs=2), b',"logprobs":2}', ["clamp.top_logprobs"]),
        (b',"logprobs":0,"echo":true,"seed":1', Shape(strip=frozenset({"logprobs", "echo"})), b',"seed":1}', ["strip.echo", "strip.logprobs"]),
        (b',"temperature":2', Shape(temperature_max=0.0), b',"temperature":0.0}', ["clamp.temperature"]),
        (b"", Shape(output_tokens=16), b"}", []),
        (b',"max_tokens":99', Shape(output_tokens=16), b',"max_tokens":16}', ["clamp.output_tokens"]),
        (b"", Shape(truncate=20), b"}", ["truncate.output_tokens"]),
        (b',"max_tokens":99,"stream":true,"stream_options":{"include_usage":true}', Shape(truncate=2), b',"max_tokens":99,"stream":true,"stream_options":{"include_usage":true}}', ["truncate.output_tokens"]),
    ],
)  # fmt: skip
def test_a_shape_changes_its_own_members_and_says_so(members, shape, left, changes):
    body = BARE + members + b"}"
    (facts,) = openai_completions.read(body, lambda _: WORDS, Call())
    sent = openai_completions.forward(body, facts, shape)
    assert (sent.body, [each.code for each in sent.changes]) == (BARE + left, changes)


def test_a_cap_below_sixteen_is_added_where_there_is_none():
    body = BARE + b"}"
    (facts,) = openai_completions.read(body, lambda _: WORDS, Call())
    sent = openai_completions.forward(body, facts, Shape(output_tokens=15)).body
    assert sent == b'{"max_tokens":15, ' + body[2:]


def test_unshaped_only_the_usage_of_a_stream_is_added():
    plain, stream = BARE + b"}", BARE + b',"stream":true}'
    for body, left in ((plain, plain), (stream, b'{"stream_options":{"include_usage":true}, ' + stream[2:])):  # fmt: skip
        (facts,) = openai_completions.read(body, lambda _: WORDS, Call())
        assert openai_completions.forward(body, facts, NO_SHAPE).body == left


def choice(text, index=0, finish=None, **more):
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish} | more


def chunk(*choices, **more):
    return {
        "id": "c",
        "object": "text_completion",
        "created": 1,
        "choices": list(choices),
        "model": "m",
    } | more


def sse(*chunks, done=True):
    events = [
        f"data: {json.dumps(item, separators=(',', ':'), ensure_ascii=False)}\n\n"
        for item in chunks
    ]
    return "".join([*events, "data: [DONE]\n\n" if done else ""]).encode()


def run(sent, shape, cut=0, *, stream=True, counter="words", **fields):
    rules = TokenRules(counter, 1_000, 200)
    facts = read(rules, stream=stream, **fields)
    kind = "text/event-stream" if stream else "application/json"
    reader = openai_completions.answer(facts, rules, kind, 200, shape)
    out = b""
    try:
        out += reader.feed(sent[:cut]) + reader.feed(sent[cut:]) + reader.end()
    except UpstreamGarbageError:
        out += reader.broken("garbage", "upstream.garbage")
    return out, reader


LOGPROBS = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [{"b": -2.0}], "text_offset": [0]}  # fmt: skip


def test_an_unshaped_stream_keeps_its_bytes_and_is_counted():
    shown = [chunk(choice("to b", logprobs=LOGPROBS)), chunk(choice("e or")), chunk(choice("", finish="stop"))]  # fmt: skip
    usage = chunk(usage=USAGE)
    sent = sse(*(item | {"usage": None} for item in shown), usage)
    out, reader = run(sent, NO_SHAPE)
    assert out == sse(*shown)
    assert (reader.usage, reader.complete, reader.cut) == (Usage(2, 9, relayed=3), True, False)
    asked, _ = run(sent, NO_SHAPE, stream_options={"include_usage": True})
    assert asked == sent


def test_an_unshaped_body_keeps_its_bytes_and_is_counted():
    sent = json.dumps(chunk(choice("to be", finish="stop"), choice("or", 1, "length"), usage=USAGE)).encode()  # fmt: skip
    out, reader = run(sent, NO_SHAPE, stream=False, n=2)
    assert (out, reader.usage) == (sent, Usage(2, 9, relayed=3))
    assert reader.finish_reasons == ("stop", "length")


def test_half_a_body_is_counted_by_the_text_that_was_passed_on():
    rules = WORDS
    reader = openai_completions.answer(read(), rules, "application/json", 200, NO_SHAPE)
    reader.feed(b'{"choices":[{"text":"to be o')
    assert reader.usage.relayed == 3


def test_a_stream_ends_at_its_last_token_natively():
    sent = sse(chunk(choice("one two")), chunk(choice("x", 1, "stop")), chunk(choice(" three", logprobs=LOGPROBS)), chunk(choice(" y")))  # fmt: skip
    out, reader = run(sent, Shape(truncate=3), n=3)
    assert out == sse(chunk(choice("one two")), chunk(choice("x", 1, "stop")), *(ending(index) for index in (0, 2)))  # fmt: skip
    assert (reader.cut, reader.complete, reader.usage) == (True, True, Usage(relayed=3))
    assert reader.finish_reasons == ("length", "stop", "length")


def ending(index):
    head = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}
    last = {"index": index, "text": "", "logprobs": None, "finish_reason": "length"}
    return head | {"choices": [last]}


def test_a_body_ends_at_its_last_token_natively():
    body = chunk(choice("a b c", finish="stop", logprobs=LOGPROBS), choice("d", 1, "stop"), usage=USAGE)  # fmt: skip
    out, reader = run(json.dumps(body).encode(), Shape(truncate=2), stream=False, n=2)
    assert json.loads(out) == chunk(
        choice("a b", finish="length"), choice("", 1, "length"),
        usage={"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    )  # fmt: skip
    assert (reader.cut, reader.usage) == (True, Usage(2, 9, relayed=2))


def test_log_probabilities_become_null():
    shape = Shape(strip=frozenset({"logprobs", "prompt_logprobs"}))
    item = chunk(choice("a", finish="stop", logprobs=LOGPROBS, prompt_logprobs=[None]))
    left = chunk(choice("a", finish="stop", prompt_logprobs=None))
    assert run(sse(item), shape)[0] == sse(left)
    assert json.loads(run(json.dumps(item).encode(), shape, stream=False)[0]) == left


def test_answers_that_were_clamped_away_are_dropped_for_every_prompt():
    body = chunk(*(choice("a", index, "stop") for index in range(6)))
    out, _ = run(json.dumps(body).encode(), Shape(n=1), stream=False, n=3, prompt=["x", "y"])
    assert [item["index"] for item in json.loads(out)["choices"]] == [0, 1]


TEXTS = st.lists(st.tuples(st.text("ab 你", max_size=6), st.integers(0, 2)), max_size=8)


@given(TEXTS, st.integers(0, 6), st.integers(0, 3_000), st.sampled_from(["words", "chars"]))
def test_cut_anywhere_the_output_is_the_same_and_nothing_leaks(texts, most, cut, counter):
    sent = sse(*(chunk(choice(text, index)) for text, index in texts))
    whole, reader = run(sent, Shape(truncate=most), counter=counter, n=3)
    parts, other = run(sent, Shape(truncate=most), cut % (len(sent) + 1), counter=counter, n=3)
    assert (parts, other.usage) == (whole, reader.usage)
    threads = {}
    for event in whole.split(b"\n\n"):
        data = event.removeprefix(b"data: ")
        for item in json.loads(data)["choices"] if data.startswith(b"{") else ():
            threads[item["index"]] = threads.get(item["index"], "") + item["text"]
    slack = 0 if counter == "words" else len(threads)
    assert sum(count(text, counter) for text in threads.values()) <= most + slack


@pytest.mark.parametrize("shape", [NO_SHAPE, Shape(truncate=3)])
@pytest.mark.parametrize("said", [5, [], {"content": "x"}])
def test_text_that_is_none_is_garbage(shape, said):
    assert b"upstream.garbage" in run(sse(chunk(choice(said))), shape)[0]
    reader = run(json.dumps(chunk(choice(said))).encode(), shape, stream=False)[1]
    assert reader.complete is False


def test_the_official_sdk_reads_a_cut_stream_to_its_end():
    out, _ = run(sse(chunk(choice("one two")), chunk(choice(" three"))), Shape(truncate=2))
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=out)
    )
    with openai.OpenAI(api_key="k", base_url="http://weir.test/v1", http_client=httpx2.Client(transport=transport)) as client:  # fmt: skip
        found = list(client.completions.create(model="m", prompt="x", stream=True))
    assert "".join(item.choices[0].text for item in found) == "one two"
    assert found[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("shape", [NO_SHAPE, Shape(truncate=0)])
def test_a_choice_without_text_says_nothing(shape):
    sent = sse(chunk(choice(None, finish="stop")))
    out, reader = run(sent, shape)
    assert (out, reader.usage.relayed, reader.cut) == (sent, 0, False)
