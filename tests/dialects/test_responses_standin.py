"""Responses of the stand-in model, read as the gateway reads them: the same counts, no leak."""

from __future__ import annotations

import json

import aiohttp
import orjson
import pytest
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from proxy.core.shape import Shape
from proxy.dialects import openai_responses
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules, count_words
from proxy.standin.server import running

EVENT = TypeAdapter(ResponseStreamEvent)
WORDS = TokenRules("words", 1_000, 200)
TOOL = {"type": "function", "name": "get_weather", "strict": True, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}}  # fmt: skip
EVERYTHING = ["reasoning.encrypted_content", "message.output_text.logprobs"]
ASKED = {
    "prose": {"input": "[[tokens=40]] a"},
    "turns": {"instructions": "be brief", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "[[tokens=9]] a"}, {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"}]},
        {"role": "assistant", "content": "b c"}, {"type": "function_call", "call_id": "c", "name": "n", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c", "output": "d e f"}, {"role": "user", "content": "[[tokens=9]] g"},
    ]},
    "reasoning": {"input": "[[tokens=30 reasoning=12]] a", "reasoning": {"effort": "high", "summary": "auto"}, "include": EVERYTHING, "top_logprobs": 2},
    "shown": {"input": "[[tokens=30 reasoning=12 show_reasoning]] a", "store": False},
    "tool": {"input": "[[tool=get_weather reasoning=3]] a", "tools": [TOOL]},
    "refusal": {"input": "[[refusal=cyber]] a"},
    "capped": {"input": "[[tokens=60]] a", "max_output_tokens": 16},
    "structured": {"input": "a", "text": {"format": {"type": "json_object"}}},
}  # fmt: skip
SHAPES = {
    "none": Shape(),
    "strip": Shape(strip=frozenset({"logprobs"})),
    "hide": Shape(hide_reasoning=True),
    "cut": Shape(truncate=6),
    "all": Shape(strip=frozenset({"logprobs"}), hide_reasoning=True, truncate=5, output_tokens=20),
}


async def answered(asked, shape, *, stream):
    """What the client gets, the reader that gave it, and the facts."""
    body = orjson.dumps({"model": "standin", "stream": stream, **asked})
    (facts,) = openai_responses.read(body, lambda _: WORDS, Call("POST", "/v1/responses"))
    sent = openai_responses.forward(body, facts, shape)
    json_type = {"content-type": "application/json"}
    async with (
        running() as standin,
        aiohttp.ClientSession() as session,
        session.post(f"{standin.url}/v1/responses", data=sent.body, headers=json_type) as answer,
    ):
        assert answer.status == 200, await answer.text()
        reader = openai_responses.answer(facts, WORDS, answer.content_type, 200, shape)
        came = [chunk async for chunk, _ in answer.content.iter_chunks()]
    out = b"".join(map(reader.feed, came)) + reader.end()
    return out, b"".join(came), reader, facts


def final_of(out, *, stream):
    if not stream:
        Response.model_validate_json(out)
        return json.loads(out)
    told = [json.loads(event.partition("data: ")[2]) for event in out.decode().split("\n\n")[:-1]]
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    state = ResponseStreamState(input_tools=[], text_format=omit)
    for event in told:
        state.handle_event(EVENT.validate_python(event))
    return told[-1]["response"]


def said_in(response):
    said = []
    for item in response["output"]:
        said += [
            part.get("text", part.get("refusal"))
            for holder in ("summary", "content")
            for part in item.get(holder) or ()
        ]
        said += [item["name"], item["arguments"]] if item["type"] == "function_call" else []
    return said


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_what_is_not_shaped_is_counted_as_the_model_counts(asked, stream):
    out, came, reader, facts = await answered(asked, Shape(), stream=stream)
    assert out == came
    usage = final_of(out, stream=stream)["usage"]
    assert facts.prompt_tokens == usage["input_tokens"] == reader.usage.reported_prompt
    hidden = usage["output_tokens"] - reader.usage.relayed
    assert hidden in {0, usage["output_tokens_details"]["reasoning_tokens"]}
    assert bool(reader.objects) is facts.stored


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_every_shape_gives_what_the_sdk_takes_and_no_more_than_it_should(
    asked, shape, stream
):
    out, _, reader, _ = await answered(asked, shape, stream=stream)
    final = final_of(out, stream=stream)
    assert reader.complete
    assert reader.usage.relayed == sum(map(count_words, said_in(final)))
    if shape.truncate is not None:
        assert reader.usage.relayed <= shape.truncate
    if "logprobs" in shape.strip:
        assert b'"logprob":' not in out
    if shape.hide_reasoning:
        assert not any(
            item.get("summary") or item.get("content")
            for item in final["output"]
            if item["type"] == "reasoning"
        )
