"""What the Messages API is asked, as facts; what cannot be read or counted is refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import RequestError, UpstreamGarbageError
from proxy.core.facts import FEATURES
from proxy.core.shape import NO_SHAPE, Shape
from proxy.dialects import anthropic_count_tokens, anthropic_messages, anthropic_models
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules

WORDS = TokenRules("words", 4_096, 4_096)
CHARS = TokenRules("chars", 4_096, 4_096)
HI = {"role": "user", "content": "to be or not"}


def asked(**more):
    return {"model": "claude-x", "max_tokens": 100, "messages": [HI]} | more


def facts(rules=WORDS, **more):
    body = json.dumps(asked(**more)).encode()
    (found,) = anthropic_messages.read(body, lambda _: rules, Call())
    return found


def said(*blocks, role="user", rules=WORDS):
    return facts(rules, messages=[{"role": role, "content": list(blocks)}])


def test_a_plain_request_has_its_facts():
    found = facts(stream=True, metadata={"user_id": "u-1"})
    assert (found.dialect, found.model, found.stream) == ("anthropic.messages", "claude-x", True)
    assert (found.prompt_tokens, found.output_tokens, found.output_capped) == (4, 100, True)
    assert (found.choices, found.reasoning, found.features) == (1, "", frozenset())
    assert (found.user, found.prompt) == ("u-1", "user\nto be or not")
    assert "to be" not in repr(found)


@pytest.mark.parametrize(("cap", "reserved"), [(0, 0), (7, 7), (10**18, 4_096)])
def test_the_cap_is_the_client_s_but_never_more_than_the_model_s(cap, reserved):
    assert facts(max_tokens=cap).output_tokens == reserved


@pytest.mark.parametrize(
    ("block", "tokens"),
    [
        ({"type": "text", "text": "a b"}, 2),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ"}}, 85),
        ({"type": "image", "source": {"type": "url", "url": "https://x.test/a b"}}, 85),
        ({"type": "document", "title": "t t t", "source": {"type": "base64", "data": "QQ QQ"}}, 0),
        ({"type": "document", "source": {"type": "text", "data": "a b c"}}, 3),
        ({"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}}, 0),
        ({"type": "document", "source": {"type": "content", "content": "a b"}}, 2),
        ({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}}, 1),
        ({"type": "document", "source": {"type": "brand_new", "words": "a b"}}, 2),
        ({"type": "tool_use", "id": "i", "name": "f", "input": {"x": "a b"}}, 3),
        ({"type": "server_tool_use", "id": "i", "name": "web_search", "input": {"query": "a b"}}, 3),
        ({"type": "tool_result", "tool_use_id": "i", "content": "a b"}, 2),
        ({"type": "tool_result", "tool_use_id": "i", "content": [{"type": "text", "text": "a"}]}, 1),
        ({"type": "tool_result", "tool_use_id": "i"}, 0),
        ({"type": "thinking", "thinking": "a b", "signature": "s s s"}, 2),
        ({"type": "redacted_thinking", "data": "x x x"}, 0),
        ({"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "a"}]}, 3),
        ({"type": "web_search_tool_result", "tool_use_id": "i", "content": [{"type": "web_search_result", "title": "a b", "url": "u", "encrypted_content": "e e"}]}, 3),
        ({"type": "new_thing", "id": "i i", "deep": [{"words": "a b", "signature": "s s"}]}, 2),
    ],
)  # fmt: skip
def test_every_kind_of_block_counts_as_the_stand_in_counts_it(block, tokens):
    assert said(block).prompt_tokens == tokens


def test_system_tools_and_the_output_format_count_too():
    tools = [{"name": "f", "description": "a b", "input_schema": {}}]
    schema = {"type": "json_schema", "schema": {"description": "c d e"}}
    assert facts(system="a b").prompt_tokens == 4 + 2
    assert facts(system=[{"type": "text", "text": "a"}]).prompt_tokens == 4 + 1
    assert facts(tools=tools).prompt_tokens == 4 + 2
    assert facts(output_config={"format": schema}).prompt_tokens == 4 + 3


def test_an_estimate_by_characters_frames_messages_and_prices_media():
    text = facts(CHARS).prompt_tokens
    image = {"type": "image", "source": {"type": "url", "url": "u"}}
    pdf = {"type": "document", "source": {"type": "base64", "data": "A" * 5_000}}
    assert text == 5 + 6  # 17 characters; three tokens a message, three for the reply
    assert 1_568 < said(image, rules=CHARS).prompt_tokens < 1_568 + 20
    assert 1_000 < said(pdf, rules=CHARS).prompt_tokens < 1_000 + 20


@pytest.mark.parametrize(
    ("more", "features"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1_024}}, {"reasoning", "reasoning_text", "encrypted_reasoning"}),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, {"reasoning", "encrypted_reasoning"}),
        ({"thinking": {"type": "disabled"}}, set()),
        ({"tools": [{"name": "f", "input_schema": {}}]}, {"tools"}),
        ({"tools": [{"type": "custom", "name": "f", "input_schema": {}}]}, {"tools"}),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, {"tools", "server_tools"}),
        ({"mcp_servers": [{"type": "url", "name": "m", "url": "u"}]}, {"server_tools"}),
        ({"stop_sequences": ["x"]}, {"stop"}),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, {"structured"}),
        ({"messages": [HI, {"role": "assistant", "content": "The"}]}, {"prefill"}),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "u"}}]}]}, {"images"}),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "d"}}]}]}, {"files"}),
    ],
)  # fmt: skip
def test_knobs_are_features(more, features):
    found = facts(**more).features
    assert found == features
    assert found <= FEATURES


@pytest.mark.parametrize(
    ("thinking", "effort", "reasoning"),
    [
        (None, None, ""),
        (None, "high", ""),
        ({"type": "disabled"}, "high", ""),
        ({"type": "enabled", "budget_tokens": 1_024}, None, "enabled"),
        ({"type": "adaptive"}, None, "adaptive"),
        ({"type": "adaptive"}, "max", "max"),
    ],
)
def test_reasoning_is_the_effort_else_the_kind_of_thinking(thinking, effort, reasoning):
    assert facts(thinking=thinking, output_config={"effort": effort}).reasoning == reasoning


FILE = {"type": "file", "file_id": "file_1"}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"model": None}, "model: Field required"),
        ({"model": 7}, "model: Input should be a valid string"),
        ({"model": ""}, "model: Input should be a string of 1 to 256 characters"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({"stream": 1}, "stream: Input should be a valid boolean"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": "hi"}, "messages: Input should be a valid list"),
        ({"messages": ["hi"]}, "messages.0: Input should be an object"),
        ({"messages": [{"content": "x"}]}, "messages.0.role: Field required"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content: Input should be a valid string or a valid list"),
        ({"messages": [{"role": "user", "content": [7]}]}, "messages.0.content.0: Input should be an object"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}, "messages.0.content.0.text: Input should be a valid string"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages.0.content.0.source: Field required"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": FILE}]}]}, "messages.0.content.0.source: Files are not served here: send the image itself, as base64 or by URL."),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": FILE}]}]}, "messages.0.content.0.source: Files are not served here: send the document itself, as base64 or by URL."),
        ({"fallbacks": [{"model": "frontier-1", "max_tokens": 9_000}]}, "fallbacks: what another model answers instead could not be held to your limits here"),
        ({"billing_policy": {"type": "billing_policy", "bill_to": "user_profile"}}, "billing_policy: who is billed is the operator's to say here"),
        ({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "file_1"}]}]}, "messages.0.content.0: Files are not served here: send the file itself, as base64 or by URL."),
        ({"messages": [{"role": "user", "content": [{"type": "new", "in": [{"source": FILE}]}]}]}, "messages.0.content.0: Files are not served here: send the file itself, as base64 or by URL."),
        ({"container": "c_1"}, "container: not served here, since it is kept in an account that all developers here share."),
        ({"container": {"id": "c_1"}}, "container: not served here, since it is kept in an account that all developers here share."),
        ({"container": {"skills": [{"type": "custom", "skill_id": "s"}]}}, "container.skills: not served here, since it is kept in an account that all developers here share."),
        ({"thread": {"type": "continue", "previous_message_id": "msg_1"}}, "thread: not served here, since it is kept in an account that all developers here share."),
        ({"tools": {}}, "tools: Input should be a valid list"),
        ({"system": 7}, "system: Input should be a valid string or a valid list"),
        ({"thinking": "on"}, "thinking: Input should be an object"),
        ({"thinking": {"type": "x" * 33}}, "thinking, output_config.effort: too long"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id: Input should be a valid string"),
    ],
)  # fmt: skip
def test_bad_input_gets_the_sentence_its_author_reads(more, sentence):
    with pytest.raises(RequestError) as caught:
        facts(**more)
    assert caught.value.message == sentence


def test_a_skill_of_the_provider_s_own_passes():
    facts(container={"skills": [{"type": "anthropic", "skill_id": "pdf"}]})


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3)
    | st.sampled_from(["text", "image", "document", "tool_use", "tool_result", "file", "base64"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "text", "content", "source", "input", "data", "role", "id", "effort", "budget_tokens"]),
        inner, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip
NAMES = [
    "model", "max_tokens", "messages", "system", "tools", "thinking", "output_config", "stream",
    "metadata", "stop_sequences", "container", "mcp_servers", "temperature",
]  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(NAMES), ODD, max_size=4),
    st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": ODD}), max_size=3),
)
def test_whatever_is_sent_only_a_request_error_comes_out(more, messages):
    body = json.dumps(asked(messages=messages) | more).encode()
    shape = Shape(
        output_tokens=1, truncate=1, hide_reasoning=True, effort="none", temperature_max=0.5
    )
    with contextlib.suppress(RequestError):
        (found,) = anthropic_messages.read(body, lambda _: WORDS, Call())
        json.loads(anthropic_messages.forward(body, found, shape).body)


@given(st.binary(max_size=40))
def test_whatever_bytes_are_sent_only_a_request_error_comes_out(body):
    for dialect in (anthropic_messages, anthropic_count_tokens):
        with contextlib.suppress(RequestError):
            dialect.read(body, lambda _: WORDS, Call())


def test_unshaped_every_byte_passes():
    body = b'{"model" : "m", "max_tokens":5, "new":1e2, "messages":[{"role":"user","content":"x"}]}'
    (found,) = anthropic_messages.read(body, lambda _: WORDS, Call())
    for shape in (NO_SHAPE, Shape(delay=9)):
        forwarded = anthropic_messages.forward(body, found, shape)
        assert (forwarded.body, forwarded.changes) == (body, ())


def test_counting_tokens_needs_no_cap_and_is_not_metered():
    body = json.dumps({"model": "claude-x", "messages": [HI]}).encode()
    (found,) = anthropic_count_tokens.read(body, lambda _: WORDS, Call())
    assert (found.model, found.metered, found.prompt_tokens) == ("claude-x", False, 0)
    assert anthropic_count_tokens.forward(body, found, Shape(truncate=1)).body == body
    reader = anthropic_count_tokens.answer(found, WORDS, "application/json", 200, Shape(truncate=1))
    assert reader.feed(b'{"input_tokens":4}') + reader.end() == b'{"input_tokens":4}'
    assert (reader.complete, reader.errored, reader.usage.relayed) == (True, False, 0)


def test_counting_the_tokens_of_somebody_s_file_is_refused():
    block = {"type": "document", "source": FILE}
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": [block]}]}).encode()
    with pytest.raises(RequestError, match="Files are not served here"):
        anthropic_count_tokens.read(body, lambda _: WORDS, Call())


def test_model_lists_take_no_body_and_are_not_metered():
    (found,) = anthropic_models.read(b"", lambda _: WORDS, Call("GET", "/v1/models"))
    assert (found.dialect, found.metered) == ("anthropic.models", False)
    assert anthropic_models.forward(b"", found, NO_SHAPE).body == b""
    assert anthropic_models.answer(found, WORDS, "", 404, NO_SHAPE).errored
    with pytest.raises(RequestError):
        anthropic_models.read(b"{}", lambda _: WORDS, Call("GET", "/v1/models"))


def test_an_answer_is_read_by_what_it_is():
    streaming, whole = facts(stream=True), facts()
    for found, media, stream in [
        (whole, "text/event-stream; charset=utf-8", True),
        (streaming, "application/json", False),
        (streaming, "", True),
        (whole, "text/plain", False),
    ]:
        reader = anthropic_messages.answer(found, WORDS, media, 200, NO_SHAPE)
        assert (type(reader).__name__ == "StreamReader") is stream
    assert anthropic_messages.answer(whole, WORDS, "text/html", 529, NO_SHAPE).errored
    with pytest.raises(UpstreamGarbageError):
        anthropic_messages.answer(whole, WORDS, "text/html", 200, NO_SHAPE)
