"""The stand-in and the gateway count a prompt apart from each other, and agree to the word."""

import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.dialects.openai_prompt import read_prompt, tokens_of
from proxy.standin.asked import read_asked


def by_both(asked):
    body = orjson.dumps(asked)
    prompt = read_prompt(orjson.loads(body))
    return read_asked(body).prompt_tokens, tokens_of(prompt, prompt.text(), "words")


def chat(*messages, **more):
    return {"model": "m", "messages": list(messages), **more}


def said(content="one", **more):
    return {"role": "user", "content": content, **more}


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
CUSTOM = {"id": "call_2", "type": "custom", "custom": {"name": "g", "input": "two words"}}
FUNCTION = {"name": "f", "description": "three more words", "parameters": {"type": "object"}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a b.png", "detail": "high"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA BBBB", "format": "wav"}}
FILE = {"type": "file", "file": {"file_data": "AAAA BBBB", "filename": "a b.pdf"}}
SHAPE = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"description": "a b c"}}}


@pytest.mark.parametrize(
    ("asked", "tokens"),
    [
        (chat(said("one two\n three")),                                        3),
        (chat(said("a\u2003b\u00a0c\x1cd\u200be")),                            4),
        (chat(said(None)),                                                     0),
        (chat(said(name="not counted")),                                       1),
        (chat(said(text="not counted", image_url={"url": "not counted"})),     1),
        (chat(said(refusal="no way")),                                         3),
        (chat(said(reasoning="well then", reasoning_content="let me see")),    6),
        (chat(said([{"type": "text", "text": "a b"}, IMAGE])),                87),
        (chat(said([{"type": "image_url", "image_url": {}}])),                85),
        (chat(said([{"type": "image_url", "image_url": ""}])),                85),
        (chat(said([{"type": "image_url", "image_url": None}])),               0),
        (chat(said([{"type": "refusal", "refusal": "no way"}, SOUND, FILE])),  2),
        (chat(said(tool_calls=[CALL, CUSTOM])),                                7),
        (chat(said(function_call=CALL["function"])),                           4),
        (chat(said(), tools=[{"type": "function", "function": FUNCTION}]),     4),
        (chat(said(), functions=[FUNCTION], tools=[]),                         4),
        (chat(said(), response_format=SHAPE),                                  4),
        (chat(said(), prediction={"type": "content", "content": "a b c"}),     4),
        (chat(said(), prediction={"type": "content", "content": [{"type": "text", "text": "a b"}]}), 3),
        (chat(said("[[tokens=5 pace=0ms]] hello"), said("you there")),         5),
    ],
)  # fmt: skip
def test_both_count_a_prompt_alike(asked, tokens):
    assert by_both(asked) == (tokens, tokens)


TEXT = st.text(alphabet="ab \n\t\u00a0\u2003é", max_size=12)
PART = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXT),
    st.builds(lambda text: {"type": "refusal", "refusal": text}, TEXT),
    st.sampled_from([IMAGE, SOUND, FILE]),
)
CALLS = st.lists(
    st.one_of(
        st.sampled_from([CALL, CUSTOM]),
        st.builds(lambda text: {"function": {"name": "f", "arguments": text}}, TEXT),
    ),
    max_size=2,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
    optional={
        "content": st.one_of(st.none(), TEXT, st.lists(PART, max_size=3)),
        "name": TEXT,
        "refusal": st.one_of(st.none(), TEXT),
        "reasoning": TEXT,
        "reasoning_content": TEXT,
        "tool_calls": CALLS,
        "text": TEXT,
    },
)
REST = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.lists(
            st.builds(lambda text: {"type": "function", "function": {"name": text}}, TEXT),
            max_size=2,
        ),
        "functions": st.one_of(st.none(), st.just([FUNCTION])),
        "response_format": st.sampled_from(
            [None, {"type": "text"}, {"type": "json_object"}, SHAPE]
        ),
        "prediction": st.builds(lambda text: {"type": "content", "content": text}, TEXT),
    },
)


@given(st.lists(MESSAGE, min_size=1, max_size=3), REST)
@example([{"role": "user"}], {"functions": [{"name": "a\u00a0b"}]})
def test_both_count_any_prompt_alike(messages, rest):
    own, gateways = by_both(chat(*messages, **rest))
    assert own == gateways, json.dumps(messages)
