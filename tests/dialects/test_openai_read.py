"""What a chat request says, costs, and how it is passed on."""

from __future__ import annotations

import contextlib
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import RequestError
from proxy.core.shape import NO_SHAPE
from proxy.dialects import openai_chat
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules

WORDS = TokenRules("words", 1_000, 200)
CHARS = TokenRules("chars", 1_000, 200)
HELLO = [{"role": "user", "content": "hello there"}]


def read(rules=WORDS, **fields):
    body = orjson.dumps({"model": "m", "messages": HELLO} | fields)
    (facts,) = openai_chat.read(body, lambda _: rules, Call())
    return facts


def test_a_plain_request_is_read():
    facts = read(user="u1")
    assert (facts.dialect, facts.model, facts.stream, facts.metered) == (
        "openai.chat",
        "m",
        False,
        True,
    )
    assert (facts.prompt_tokens, facts.output_tokens, facts.output_capped, facts.choices) == (
        2,
        200,
        False,
        1,
    )
    assert (facts.features, facts.reasoning, facts.user) == (frozenset(), "", "u1")
    assert facts.prompt == "user\nhello there"


def test_the_rules_are_those_of_the_model_asked_for():
    body = orjson.dumps({"model": "tiny", "messages": HELLO})
    (facts,) = openai_chat.read(body, {"tiny": TokenRules("words", 9, 5)}.__getitem__, Call())
    assert facts.output_tokens == 5


def test_neither_the_prompt_nor_the_user_is_in_the_repr():
    assert "hello" not in repr(read(user="canary"))
    assert "canary" not in repr(read(user="canary"))


@pytest.mark.parametrize(
    ("fields", "tokens", "capped"),
    [
        ({}, 200, False),
        ({"max_tokens": None}, 200, False),
        ({"max_tokens": 50}, 50, True),
        ({"max_completion_tokens": 60}, 60, True),
        ({"max_completion_tokens": 60, "max_tokens": 70}, 70, True),
        ({"max_tokens": 10**9}, 1_000, True),
        ({"max_tokens": 2**64 - 1}, 1_000, True),
    ],
)
def test_the_output_is_capped_by_the_client_or_the_model(fields, tokens, capped):
    facts = read(**fields)
    assert (facts.output_tokens, facts.output_capped) == (tokens, capped)


@pytest.mark.parametrize(
    ("fields", "features"),
    [
        ({"logprobs": True}, {"logprobs"}),
        (
            {
                "logprobs": False,
                "top_logprobs": 0,
                "logit_bias": {},
                "tools": [],
                "stop": None,
                "store": False,
            },
            set(),
        ),
        ({"logprobs": True, "top_logprobs": 5}, {"logprobs", "top_logprobs"}),
        ({"logit_bias": {"1": 5}}, {"logit_bias"}),
        ({"tools": [{"type": "function"}]}, {"tools"}),
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"response_format": {"type": "json_object"}}, {"structured"}),
        ({"response_format": {"type": "text"}}, set()),
        ({"prediction": {"type": "content", "content": "x"}}, {"prediction"}),
        ({"seed": 0}, {"seed"}),
        ({"stop": ["a"]}, {"stop"}),
        ({"store": True}, {"store"}),
        ({"n": 2}, {"n"}),
        ({"n": None}, set()),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}
                ]
            },
            {"images"},
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}
                        ],
                    }
                ]
            },
            {"audio"},
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "file", "file": {"file_data": "f"}}]}
                ]
            },
            {"files"},
        ),
    ],
)
def test_each_knob_in_use_is_named(fields, features):
    assert read(**fields).features == features


def test_every_part_of_the_prompt_is_counted_as_the_stand_in_counts():
    facts = read(
        messages=[
            {"role": "system", "content": "be very good", "name": "not counted"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is this"},
                    {"type": "image_url", "image_url": {"url": "data:,x", "detail": "high"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "refusal": "i will not",
                "tool_calls": [
                    {
                        "id": "1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"at": "me"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": "seen it"},
        ],
        tools=[{"type": "function", "function": {"name": "look", "description": "look at things"}}],
        response_format={"type": "json_object"},
    )
    assert facts.prompt_tokens == 3 + 3 + 85 + 3 + (1 + 2) + 2 + 3 + 1


@pytest.mark.parametrize(
    ("part", "more"),
    [
        ({"type": "image_url", "image_url": {"url": "u", "detail": "low"}}, 85),
        ({"type": "image_url", "image_url": {"url": "u"}}, 765),
        ({"type": "image_url", "image_url": "u"}, 765),
        ({"type": "input_audio", "input_audio": {"data": "A" * 10_000}}, 10),
        ({"type": "file", "file": {"file_data": "A" * 5_000}}, 1_000),
        ({"type": "file", "file": {"file_data": "A" * 5_000_000}}, 128_000),
    ],
)
def test_media_have_flat_prices(part, more):
    facts = read(CHARS, messages=[{"role": "user", "content": [part]}])
    # Beside the medium: the role, its frame, the reply's, and the digest that names it.
    assert more + 6 <= facts.prompt_tokens <= more + 15


def test_an_estimate_by_characters_frames_each_message():
    # 4 + 1 + 11 characters in four to a token, three for the message, three for the reply.
    assert read(CHARS).prompt_tokens == 4 + 3 + 3


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "system", "content": "hello there"}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a"}}]}
            ]
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "b"}}]}
            ]
        },
    ],
)
def test_different_conversations_have_different_prompts(change):
    others = [
        read(),
        read(
            messages=[
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "c"}}]}
            ]
        ),
    ]
    assert read(**change).prompt not in [other.prompt for other in others]


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"model": None}, "model", "must provide a model"),
        ({"model": ""}, "model", "must provide a model"),
        ({"model": 4}, "model", "expected a string, but got an integer"),
        ({"model": "m" * 257}, "model", "too long"),
        ({"messages": None}, "messages", "Missing required parameter"),
        ({"messages": []}, "messages", "empty array"),
        ({"messages": "hi"}, "messages", "expected an array of objects"),
        ({"messages": ["hi"]}, "messages[0]", "expected an object"),
        ({"messages": [{"content": "hi"}]}, "messages[0]", "Missing required parameter"),
        ({"messages": [{"role": 1}]}, "messages[0].role", "expected a string"),
        (
            {"messages": [*HELLO, {"role": "user", "content": 1}]},
            "messages[1].content",
            "a string or an array",
        ),
        (
            {"messages": [{"role": "user", "content": ["hi"]}]},
            "messages[0].content[0]",
            "expected an object",
        ),
        (
            {"messages": [{"role": "user", "content": [{"text": 1}]}]},
            "messages[0].content[0].text",
            "expected a string",
        ),
        (
            {"messages": [{"role": "user", "content": [{"image_url": 1}]}]},
            "messages[0].content[0].image_url",
            "expected an object",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": {}}]},
            "messages[0].tool_calls",
            "an array",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [1]}]},
            "messages[0].tool_calls[0]",
            "an object",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]}]},
            "messages[0].tool_calls[0].function.arguments",
            "a string",
        ),
        (
            {"messages": [{"role": "assistant", "function_call": 1}]},
            "messages[0].function",
            "an object",
        ),
        ({"tools": {}}, "tools", "an array"),
        ({"response_format": []}, "response_format", "an object"),
        ({"prediction": "x"}, "prediction", "an object"),
        ({"prediction": {"content": 1}}, "prediction.content", "a string or an array"),
        ({"n": 0}, "n", "below minimum"),
        ({"n": 129}, "n", "at most 128"),
        ({"n": True}, "n", "expected an integer, but got a boolean"),
        ({"n": 1.0}, "n", "got a decimal"),
        ({"n": "1"}, "n", "got a string"),
        ({"max_tokens": 0}, "max_tokens", "below minimum"),
        ({"max_completion_tokens": -1}, "max_completion_tokens", "below minimum"),
        ({"stream": "true"}, "stream", "expected a boolean"),
        ({"stream": 1}, "stream", "expected a boolean"),
        ({"stream_options": []}, "stream_options", "expected an object"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "a boolean"),
        ({"reasoning_effort": 3}, "reasoning_effort", "a string"),
        ({"reasoning_effort": "x" * 33}, "reasoning_effort", "too long"),
        ({"user": 3}, "user", "a string"),
    ],
)
def test_what_cannot_be_metered_is_refused_by_name(fields, param, sentence):
    with pytest.raises(RequestError, match=sentence.replace("[", r"\[")) as caught:
        read(**fields)
    assert caught.value.param == param


def test_integers_beyond_64_bits_are_no_integers():
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":' + b"1" * 30 + b"}"
    with pytest.raises(RequestError, match="expected an integer"):
        openai_chat.read(body, lambda _: WORDS, Call())


FIELDS = st.sampled_from(
    [
        "model",
        "messages",
        "n",
        "stream",
        "stream_options",
        "tools",
        "max_tokens",
        "prediction",
        "user",
        "response_format",
        "seed",
    ]
)
KEYS = st.sampled_from(
    [
        "role",
        "content",
        "text",
        "type",
        "image_url",
        "url",
        "file",
        "file_data",
        "input_audio",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "function_call",
        "include_usage",
    ]
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(FIELDS, JUNK, max_size=5),
    st.lists(st.dictionaries(KEYS, JUNK, max_size=4), max_size=2),
)
def test_only_a_request_error_comes_out_of_reading(fields, messages):
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user"} | message for message in messages]} | fields
    ).encode()
    with contextlib.suppress(RequestError):
        (facts,) = openai_chat.read(body, lambda _: CHARS, Call())
        assert facts.prompt_tokens > 0
        sent = openai_chat.forward(body, facts, NO_SHAPE).body
        assert json.loads(sent).keys() - {"stream_options"} == json.loads(body).keys() - {
            "stream_options"
        }


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        (b'{ "model":"m",\n"x" : 1, "messages":[M]}', None),
        (b'{"model":"m","messages":[M],"stream":false}', None),
        (b'{"model":"m","messages":[M],"stream":null,"stream_options":null}', None),
        (b'{"model":"m","messages":[M],"stream_options":{"include_usage":false}}', None),
        (
            b'{"stream_options":{"include_usage":true},"model":"m","messages":[M],"stream":true}',
            None,
        ),
        (
            b'{"stream_options":{"include_us\\u0061ge":true},"model":"m","messages":[M],"stream":true}',
            None,
        ),
        (
            b'{ "stream" : true,"model":"m","messages":[M]}',
            b'{"stream_options":{"include_usage":true}, "stream" : true,"model":"m","messages":[M]}',
        ),
        (
            b'{"stream":true,"stream_options" : null ,"model":"m","messages":[M]}',
            b'{"stream":true,"stream_options" : {"include_usage":true} ,"model":"m","messages":[M]}',
        ),
        (
            b'{"stream":true,"stream_options":{},"model":"m","messages":[M]}',
            b'{"stream":true,"stream_options":{"include_usage":true},"model":"m","messages":[M]}',
        ),
        (
            b'{"stream":true,"stream_options":{ "x":[1]},"model":"m","messages":[M]}',
            b'{"stream":true,"stream_options":{"include_usage":true, "x":[1]},"model":"m","messages":[M]}',
        ),
        (
            b'{"stream":true,"stream_options":{"include_usage": false, "x":1},"model":"m","messages":[M]}',
            b'{"stream":true,"stream_options":{"include_usage": true, "x":1},"model":"m","messages":[M]}',
        ),
        (
            b'{"stream":true,"stream_options":{"include_usage":null},"model":"m","messages":[M]}',
            b'{"stream":true,"stream_options":{"include_usage":true},"model":"m","messages":[M]}',
        ),
        (
            b'{"stream":true,"stre\\u0061m_options":null,"model":"m","messages":[M]}',
            b'{"stream":true,"stre\\u0061m_options":{"include_usage":true},"model":"m","messages":[M]}',
        ),
        (
            b'{"stream":true,"user":"\\u0061","model":"m","messages":[M]}',
            b'{"stream_options":{"include_usage":true},"stream":true,"user":"\\u0061","model":"m","messages":[M]}',
        ),
        (
            b'{"stream":true,"user":"\\"stream_options","model":"m","messages":[M]}',
            b'{"stream_options":{"include_usage":true},"stream":true,"user":"\\"stream_options","model":"m","messages":[M]}',
        ),
    ],
)
def test_only_the_usage_of_a_stream_is_added_to_the_bytes(sent, passed):
    message = b'{"role":"user","content":"\\"stream_options\\": caf\xc3\xa9"}'
    sent = sent.replace(b"M", message)
    (facts,) = openai_chat.read(sent, lambda _: WORDS, Call())
    expected = sent if passed is None else passed.replace(b"M", message)
    assert openai_chat.forward(sent, facts, NO_SHAPE).body == expected
