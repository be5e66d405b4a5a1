"""The stand-in and the gateway count a prompt apart from each other, and agree to the word."""

import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.dialects import anthropic_messages, base, openai_completions, openai_responses
from proxy.dialects.openai_prompt import read_prompt, tokens_of
from proxy.dialects.tokens import TokenRules
from proxy.standin.messages_asked import read_message
from proxy.standin.openai_chat_asked import read_asked
from proxy.standin.openai_completions import completions
from proxy.standin.reply import Call
from proxy.standin.responses_asked import read_response
from proxy.standin.responses_stored import Store
from proxy.standin.sealed import sealed


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


WORDS = TokenRules(counter="words")


def told_by(path, asked):
    """Return what the stand-in and the gateway say of a request at a path."""
    body = orjson.dumps(asked)
    store = Store()
    own, dialect = {
        "completions": (lambda: completions(call(body, store)).asked, openai_completions),
        "responses": (lambda: read_response(body, "", store, 0).asked, openai_responses),
        "messages": (lambda: read_message(body), anthropic_messages),
    }[path]
    facts = dialect.read(body, lambda _: WORDS, base.Call(path=f"/v1/{path}"))
    return own().prompt_tokens, sum(each.prompt_tokens for each in facts)


def call(body, store):
    return Call("req_1", body, "", "", {}, store, 0)


def message(*blocks, role="user", **more):
    said = [{"role": role, "content": list(blocks)}]
    return {"model": "m", "max_tokens": 9, "messages": said, **more}


def items(*given, **more):
    return {"model": "m", "input": list(given), **more}


def text(words, kind="text"):
    return {"type": kind, "text": words}


TOOL = {"name": "f", "description": "three more words", "input_schema": {"type": "object"}}
PICTURE = {"type": "image", "source": {"type": "url", "url": "https://example.org/a b.png"}}
SHOWN = {"type": "input_image", "image_url": "https://example.org/a b.png", "detail": "low"}


def paper(**source):
    return {"type": "document", "title": "not counted", "source": source}


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("completions", {"model": "m", "prompt": "one two\n three"}),
        ("completions", {"model": "m", "prompt": ["one two", "three"]}),
        ("completions", {"model": "m", "prompt": [1, 2, 3], "suffix": "four five"}),
        ("completions", {"model": "m", "prompt": [[1, 2], [3]]}),
        ("responses", {"model": "m", "input": "one\u2003two", "instructions": "be brief"}),
        ("responses", items({"role": "user", "content": "one two"}, {"role": "assistant", "content": [text("a b", "output_text"), {"type": "refusal", "refusal": "no way"}]})),
        ("responses", items({"role": "user", "content": [text("a b", "input_text"), SHOWN, {"type": "input_file", "file_data": "A B", "filename": "a b"}, {"type": "new", "id": "x y", "what": "a b c"}]})),
        ("responses", items({"type": "function_call", "call_id": "c d", "name": "f", "arguments": '{"a": 1}'}, {"type": "function_call_output", "call_id": "c d", "output": "a b"})),
        ("responses", items({"type": "custom_tool_call", "call_id": "c d", "name": "f", "input": "a b"}, {"type": "custom_tool_call_output", "call_id": "c d", "output": [text("a b", "input_text"), SHOWN]})),
        ("responses", items({"type": "reasoning", "id": "r s", "summary": [text("a b", "summary_text")], "content": [text("c", "reasoning_text")]})),
        ("responses", items({"type": "shell_call", "call_id": "c d", "status": "x y", "action": {"commands": ["ls -l", "pwd"]}})),
        ("responses", items({"type": "computer_call_output", "call_id": "c d", "output": {"type": "computer_screenshot", "image_url": "data:x y"}})),
        ("responses", items({"type": "image_generation_call", "id": "c d", "status": "completed", "result": "AA BB"})),
        ("responses", items(tools=[{"type": "function", **TOOL}], text={"format": {"type": "json_schema", "name": "x", "schema": {"description": "a b c"}}})),
        ("messages", message(text("one\u2003two"), PICTURE, system="be brief")),
        ("messages", message(paper(type="text", media_type="text/plain", data="a b c"), paper(type="base64", media_type="application/pdf", data="AA BB"), paper(type="content", content=[text("a b"), PICTURE]), paper(type="url", url="https://example.org/a b"))),
        ("messages", message({"type": "tool_use", "id": "t u", "name": "f", "input": {"a": "b c"}}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}, role="assistant")),
        ("messages", message({"type": "tool_result", "tool_use_id": "t u", "content": [text("a b"), PICTURE]}, {"type": "tool_result", "tool_use_id": "t", "content": "a b"}, {"type": "tool_result", "tool_use_id": "t"})),
        ("messages", message({"type": "thinking", "thinking": "well let me see", "signature": sealed("well let me see")}, {"type": "redacted_thinking", "data": "AA BB"}, role="assistant")),
        ("messages", message({"type": "search_result", "title": "a b", "source": "c d", "content": [text("e f g")]})),
        ("messages", message({"type": "server_tool_use", "id": "a b", "name": "f", "input": {"a": "b c"}}, {"type": "new", "id": "a b", "what": ["a b", {"more": "c"}]})),
        ("messages", message(text("one"), tools=[TOOL], output_config={"format": {"type": "json_schema", "schema": {"description": "a b c"}}})),
        ("messages", message(text("one"), tools=[], output_config={"effort": "low"}, system=[text("be"), text("brief")])),
    ],
)  # fmt: skip
def test_both_count_a_prompt_of_any_dialect_alike(path, asked):
    own, gateways = told_by(path, asked)
    assert own == gateways > 0
