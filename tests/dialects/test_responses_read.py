"""What a request for a response says, costs, and how it is passed on."""

from __future__ import annotations

import contextlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import RequestError
from proxy.core.shape import Change, Shape
from proxy.dialects import openai_input_tokens, openai_responses
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules

WORDS = TokenRules("words", 1_000, 200)
CHARS = TokenRules("chars", 1_000, 200)
CALL = Call("POST", "/v1/responses")


def body_of(**fields):
    asked = {"model": "m", "input": "hello there"} | fields
    return orjson.dumps({name: value for name, value in asked.items() if value is not ...})


def read(rules=WORDS, **fields):
    (facts,) = openai_responses.read(body_of(**fields), lambda _: rules, CALL)
    return facts


def forward(shape, **fields):
    return openai_responses.forward(body_of(**fields), read(**fields), shape)


def test_a_plain_request_is_read():
    facts = read(user="u1")
    assert (facts.dialect, facts.model, facts.stream, facts.metered) == (
        "openai.responses",
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
    assert (facts.features, facts.reasoning, facts.user) == (frozenset({"store"}), "", "u1")
    assert (facts.stored, facts.references, facts.prompt) == (True, (), "user\nhello there")
    assert read(user="u1", safety_identifier="s1").user == "s1"


def test_neither_the_prompt_nor_the_user_is_in_the_repr():
    assert "hello" not in repr(read(user="canary"))
    assert "canary" not in repr(read(user="canary"))


@pytest.mark.parametrize(
    ("fields", "tokens", "capped"),
    [
        ({}, 200, False),
        ({"max_output_tokens": 50}, 50, True),
        ({"max_output_tokens": 10**9}, 1_000, True),
    ],
)
def test_the_output_is_capped_by_the_client_or_the_model(fields, tokens, capped):
    facts = read(**fields)
    assert (facts.output_tokens, facts.output_capped) == (tokens, capped)


@pytest.mark.parametrize(
    ("fields", "features"),
    [
        ({"reasoning": {"effort": "high"}}, {"reasoning"}),
        ({"reasoning": {"effort": "none"}}, set()),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning", "reasoning_text"}),
        ({"reasoning": {"generate_summary": "concise"}}, {"reasoning_text"}),
        ({"include": ["reasoning.encrypted_content"]}, {"encrypted_reasoning"}),
        ({"include": ["message.output_text.logprobs"]}, {"logprobs"}),
        ({"top_logprobs": 5}, {"logprobs", "top_logprobs"}),
        ({"top_logprobs": 0}, set()),
        ({"text": {"format": {"type": "json_object"}}}, {"structured"}),
        ({"text": {"format": {"type": "text"}}}, set()),
        ({"tools": [{"type": "function", "name": "f"}]}, {"tools"}),
        ({"tools": [{"type": "custom", "name": "f"}, {"type": "web_search"}]}, {"tools", "server_tools"}),
        ({"background": True}, {"background"}),
        ({"previous_response_id": "resp_1"}, {"previous_response"}),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]}]}, {"images"}),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]}]}, {"files"}),
        ({"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}]}, {"audio"}),
    ],
)  # fmt: skip
def test_the_knobs_in_use_are_told(fields, features):
    assert read(**fields).features == features | {"store"}


def test_what_the_provider_shall_not_keep_is_no_object():
    facts = read(store=False)
    assert (facts.stored, facts.features) == (False, frozenset())


@pytest.mark.parametrize(
    ("item", "tokens"),
    [
        ({"role": "user", "content": "one two"}, 2),
        ({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "one two"}]}, 2),
        ({"role": "assistant", "content": [{"type": "output_text", "text": "a b", "annotations": [{"title": "no no"}]}, {"type": "refusal", "refusal": "c"}]}, 3),
        ({"role": "user", "content": [{"type": "input_image", "image_url": "data:x", "detail": "low"}]}, 85),
        ({"type": "function_call", "call_id": "c", "name": "look", "arguments": '{"a": 1}'}, 3),
        ({"type": "function_call_output", "call_id": "c", "output": "it is so"}, 3),
        ({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "it is"}]}, 2),
        ({"type": "custom_tool_call", "call_id": "c", "name": "look", "input": "x y"}, 3),
        ({"type": "custom_tool_call_output", "call_id": "c", "output": "x"}, 1),
        ({"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "a b"}], "content": [{"type": "reasoning_text", "text": "c"}], "encrypted_content": "zzz"}, 3),
        ({"type": "item_reference", "id": "msg_1"}, 0),
        ({"id": "msg_1"}, 0),
        ({"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "a b", "more": ["c"]}}, 3),
        ({"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "image_url": "data:x"}}, 85),
        ({"type": "image_generation_call", "id": "i", "status": "completed", "result": "AAAA"}, 85),
        ({"role": "user", "content": [{"type": "new_part", "id": "x", "said": "a b"}]}, 2),
        ({"type": "new_thing", "role": "x", "deep": [{"text": "a b", "n": 5}, "c"]}, 3),
    ],
)  # fmt: skip
def test_every_item_of_the_input_is_counted(item, tokens):
    assert read(input=[item]).prompt_tokens == tokens
    assert read(CHARS, input=[item]).prompt_tokens >= 3


def test_instructions_tools_and_formats_are_counted():
    facts = read(
        instructions="be brief",
        tools=[{"type": "function", "name": "f", "description": "does it"}],
        text={"format": {"type": "json_schema", "name": "a b", "schema": {}}, "verbosity": "low"},
    )
    assert facts.prompt_tokens == 2 + 2 + 2 + 2
    assert "does it" in facts.prompt


def test_what_the_request_builds_on_is_referred_to_once():
    items = [
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_1"},
        {"role": "user", "content": "x"},
    ]
    facts = read(
        input=items,
        previous_response_id="resp_1",
        prompt_cache_options={"comparison_response_id": "resp_2"},
    )
    assert facts.references == ("resp_1", "msg_1", "resp_2")
    assert read(input=..., previous_response_id="resp_1").references == ("resp_1",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ...}, "model"),
        ({"input": ...}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 5}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": ["x"]}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [5]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0].input_audio"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": 5}]}]}, "input[0].content[0].image_url"),
        ({"input": [{"type": "item_reference", "id": ""}]}, "input[0].id"),
        ({"tools": [5]}, "tools[0]"),
        ({"tools": [{"type": "shell", "environment": {"type": "container_reference", "container_id": "c"}}]}, "tools[0]"),
        ({"input": [{"type": "item_reference"}]}, "input[0].id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}, "input[0].content[0]"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, "tools[0]"),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, "tools[0]"),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["f"]}}]}, "tools[0]"),
        ({"tools": 5}, "tools"),
        ({"text": 5}, "text"),
        ({"text": {"format": "x"}}, "text.format"),
        ({"background": True, "store": False}, "background"),
        ({"store": "yes"}, "store"),
        ({"stream": 1}, "stream"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": "9"}, "max_output_tokens"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": 5}}, "effort"),
        ({"include": "x"}, "include"),
        ({"top_logprobs": "5"}, "top_logprobs"),
        ({"previous_response_id": 5}, "previous_response_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_by_name(fields, param):
    with pytest.raises(RequestError) as refused:
        read(**fields)
    assert refused.value.param == param


def test_a_functions_own_schema_may_speak_of_files():
    schema = {"type": "object", "properties": {"file_id": {"type": "string"}}}
    read(tools=[{"type": "function", "name": "f", "parameters": schema}])
    read(tools=[{"type": "code_interpreter", "container": {"type": "auto"}}])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4) | st.sampled_from(["message", "reasoning", "input_image", "item_reference", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "content", "id", "output", "text", "summary", "format", "input_audio", "effort", "file_id"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
NAMES = ["input", "instructions", "tools", "text", "reasoning", "include", "store", "background", "stream", "user", "top_logprobs", "max_output_tokens", "prompt_cache_options", "previous_response_id"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5))
def test_bad_input_is_a_request_error_and_nothing_else(fields):
    shape = Shape(("p/s",), strip=frozenset({"logprobs"}), hide_reasoning=True, output_tokens=3, truncate=2, effort="low", top_logprobs=1, temperature_max=0.1)  # fmt: skip
    with contextlib.suppress(RequestError):
        openai_responses.forward(body_of(**fields), read(**fields), shape)
    with contextlib.suppress(RequestError):
        openai_input_tokens.read(body_of(**fields), lambda _: WORDS, CALL)


@given(st.binary(max_size=60))
def test_noise_is_a_request_error(noise):
    with pytest.raises(RequestError):
        openai_responses.read(noise, lambda _: WORDS, CALL)


@pytest.mark.parametrize("shape", [Shape(), Shape(("p/s",), delay=5)])
def test_what_is_not_shaped_keeps_every_byte(shape):
    body = b'{ "model":"m", "new": [1.0e2 ],"input" :"x","stream":true}'
    (facts,) = openai_responses.read(body, lambda _: WORDS, CALL)
    sent = openai_responses.forward(body, facts, shape)
    assert (sent.body, sent.changes) == (body, ())


@pytest.mark.parametrize(
    ("shape", "fields", "sent", "changes"),
    [
        (Shape(output_tokens=30), {}, {"max_output_tokens": 30}, [Change("clamp", "output_tokens", "", "30")]),
        (Shape(output_tokens=30), {"max_output_tokens": 20}, {"max_output_tokens": 20}, []),
        (Shape(output_tokens=30), {"max_output_tokens": 90}, {"max_output_tokens": 30}, [Change("clamp", "output_tokens", "90", "30")]),
        (Shape(truncate=30), {"stream": True}, {"stream": True}, [Change("truncate", "output_tokens", "", "30")]),
        (Shape(truncate=30), {"max_output_tokens": 90}, {"max_output_tokens": 30}, [Change("truncate", "output_tokens", "90", "30"), Change("truncate", "output_tokens", "", "30")]),
        (Shape(truncate=3), {"stream": True, "background": True}, {"stream": True, "background": True, "max_output_tokens": 16}, [Change("truncate", "output_tokens", "", "16"), Change("truncate", "output_tokens", "", "3")]),
        (Shape(strip=frozenset({"logprobs"})), {"top_logprobs": 5, "include": ["message.output_text.logprobs"]}, {}, [Change("strip", "logprobs")]),
        (Shape(strip=frozenset({"logprobs", "seed"})), {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]}, {"include": ["reasoning.encrypted_content"]}, [Change("strip", "logprobs")]),
        (Shape(strip=frozenset({"logprobs"})), {}, {}, []),
        (Shape(top_logprobs=2), {"top_logprobs": 5}, {"top_logprobs": 2}, [Change("clamp", "top_logprobs", "5", "2")]),
        (Shape(temperature_max=0.5), {"temperature": 1.5}, {"temperature": 0.5}, [Change("clamp", "temperature", "1.5", "0.5")]),
        (Shape(effort="low"), {"reasoning": {"effort": "high", "summary": "auto"}}, {"reasoning": {"effort": "low", "summary": "auto"}}, [Change("clamp", "effort", "high", "low")]),
        (Shape(effort="low"), {"reasoning": {"summary": "auto"}}, {"reasoning": {"summary": "auto"}}, []),
        (Shape(hide_reasoning=True), {"reasoning": {"effort": "high", "summary": "auto", "generate_summary": "auto"}}, {"reasoning": {"effort": "high"}}, [Change("hide", "reasoning")]),
        (Shape(hide_reasoning=True), {}, {}, []),
    ],
)  # fmt: skip
def test_a_shape_changes_the_request_and_says_so(shape, fields, sent, changes):
    forwarded = forward(shape, **fields)
    assert orjson.loads(forwarded.body) == {"model": "m", "input": "hello there"} | sent
    assert list(forwarded.changes) == changes


def test_only_the_members_that_change_are_written_anew():
    body = b'{"model": "m","reasoning": { "mode" : "standard", "effort" :"high" }, "input":"x" , "new":[1.0e2 ]}'
    (facts,) = openai_responses.read(body, lambda _: WORDS, CALL)
    sent = openai_responses.forward(body, facts, Shape(("p/s",), effort="low"))
    assert sent.body == body.replace(b'"high"', b'"low"')


def test_counting_a_prompt_costs_nothing_and_builds_on_ones_own():
    body = body_of(previous_response_id="resp_1")
    (facts,) = openai_input_tokens.read(
        body, lambda _: WORDS, Call("POST", "/v1/responses/input_tokens")
    )
    assert (facts.metered, facts.model, facts.references) == (False, "m", ("resp_1",))
    assert openai_input_tokens.forward(body, facts, Shape(truncate=1)).body == body
    reader = openai_input_tokens.answer(facts, WORDS, "application/json", 200, Shape(truncate=1))
    assert reader.feed(b'{"input_tokens":2}') + reader.end() == b'{"input_tokens":2}'
    assert reader.complete
    with pytest.raises(RequestError):
        openai_input_tokens.read(b'{"model":"m","input":[5]}', lambda _: WORDS, CALL)
