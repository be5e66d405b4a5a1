import asyncio
import json

import openai
import pytest

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        },
    },
}


def chat(content="hello", **more):
    return {"model": "standin", "messages": [{"role": "user", "content": content}], **more}


async def chunks(stream):
    return [chunk async for chunk in stream]


def joined(found, index=0):
    return "".join(
        choice.delta.content or ""
        for chunk in found
        for choice in chunk.choices
        if choice.index == index
    )


async def test_an_answer_streamed_is_the_answer_plain(client):
    plain = await client.chat.completions.create(**chat(n=2))
    found = await chunks(await client.chat.completions.create(**chat(n=2), stream=True))
    for choice in plain.choices:
        assert joined(found, choice.index) == choice.message.content
    assert found[0].choices[0].delta.role == "assistant"
    assert {chunk.id for chunk in found} == {plain.id}
    reasons = [choice.finish_reason for chunk in found for choice in chunk.choices]
    assert [reason for reason in reasons if reason] == ["stop", "stop"]


async def test_the_synchronous_client_is_served_too(standin):
    def ask():
        with openai.OpenAI(base_url=f"{standin.url}/v1", api_key="x", max_retries=0) as client:
            plain = client.chat.completions.create(**chat("[[tokens=5]]"))
            with client.chat.completions.create(**chat("[[tokens=5]]"), stream=True) as stream:
                return plain.choices[0].message.content, joined(list(stream))

    plain, streamed = await asyncio.to_thread(ask)
    assert plain == streamed
    assert len(plain.split()) == 5


async def test_usage_comes_last_and_only_when_asked_for(client):
    asked = chat("[[tokens=5 reasoning=7]] one two", stream=True)
    found = await chunks(
        await client.chat.completions.create(**asked, stream_options={"include_usage": True})
    )
    *others, last = found
    assert last.choices == []
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (
        4,
        12,
        16,
    )
    assert last.usage.completion_tokens_details.reasoning_tokens == 7
    assert last.usage.prompt_tokens_details.cached_tokens == 0
    assert all("usage" in chunk.model_fields_set and chunk.usage is None for chunk in others)
    for options in ({}, {"stream_options": None}, {"stream_options": {"include_usage": False}}):
        found = await chunks(await client.chat.completions.create(**asked, **options))
        assert all("usage" not in chunk.model_fields_set for chunk in found)


async def test_usage_can_be_withheld_or_told_too_early(client):
    plain = await client.chat.completions.create(**chat("[[usage=none]]"))
    assert plain.usage is None
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    found = await chunks(await client.chat.completions.create(**chat("[[usage=none]]"), **asked))
    assert all(chunk.choices and chunk.usage is None for chunk in found)
    found = await chunks(
        await client.chat.completions.create(**chat("[[tokens=3 usage_in_choices]]"), **asked)
    )
    assert all(chunk.choices for chunk in found)
    assert found[-1].usage.completion_tokens == 3


async def test_reasoning_is_shown_to_who_asks(client):
    headers = {"x-standin": "tokens=3 reasoning=4 show-reasoning"}
    plain = await client.chat.completions.create(**chat(), extra_headers=headers)
    assert len(plain.choices[0].message.reasoning_content.split()) == 4
    found = await chunks(
        await client.chat.completions.create(**chat(), stream=True, extra_headers=headers)
    )
    shown = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in found]
    assert "".join(piece for piece in shown if piece) == plain.choices[0].message.reasoning_content


@pytest.mark.parametrize(
    ("directive", "choice"),
    [
        ("[[tool=get_weather]]", "auto"),
        ("hello", "required"),
        ("hello", {"type": "function", "function": {"name": "get_weather"}}),
    ],
)
async def test_a_tool_is_called_with_arguments_that_fit(client, directive, choice):
    asked = chat(directive, tools=[TOOL], tool_choice=choice)
    plain = await client.chat.completions.create(**asked)
    (call,) = plain.choices[0].message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert call.function.name == "get_weather"
    assert isinstance(arguments["city"], str)
    assert isinstance(arguments["days"], int)
    assert plain.choices[0].finish_reason == "tool_calls"
    assert plain.choices[0].message.content is None
    assert plain.usage.completion_tokens == 1 + len(call.function.arguments.split())
    found = await chunks(await client.chat.completions.create(**asked, stream=True))
    parts = [part for chunk in found for part in chunk.choices[0].delta.tool_calls or []]
    assert (parts[0].id, parts[0].function.name) == (call.id, "get_weather")
    assert len(parts) > 3
    assert "".join(part.function.arguments for part in parts) == call.function.arguments
    assert found[-1].choices[0].finish_reason == "tool_calls"


async def test_without_being_told_no_tool_is_called(client):
    plain = await client.chat.completions.create(**chat("[[tool=get_weather]]"))
    assert plain.choices[0].message.tool_calls is None
    plain = await client.chat.completions.create(**chat(tools=[TOOL]))
    assert plain.choices[0].message.tool_calls is None


async def test_logprobs_come_as_asked(client):
    asked = chat("[[tokens=4]]", logprobs=True, top_logprobs=3)
    plain = await client.chat.completions.create(**asked)
    entries = plain.choices[0].logprobs.content
    assert [len(entry.top_logprobs) for entry in entries] == [3, 3, 3, 3]
    found = await chunks(await client.chat.completions.create(**asked, stream=True))
    streamed = [
        entry
        for chunk in found
        if chunk.choices[0].logprobs
        for entry in chunk.choices[0].logprobs.content
    ]
    assert streamed == entries
    plain = await client.chat.completions.create(**chat("[[tokens=4]]"))
    assert plain.choices[0].logprobs is None


async def test_structured_answers_parse(client):
    schema = {"name": "x", "schema": TOOL["function"]["parameters"], "strict": True}
    formats = [{"type": "json_object"}, {"type": "json_schema", "json_schema": schema}]
    for wanted in formats:
        plain = await client.chat.completions.create(**chat(response_format=wanted))
        assert json.loads(plain.choices[0].message.content)
        assert plain.usage.completion_tokens == len(plain.choices[0].message.content.split())


async def test_images_are_taken(client):
    parts = [
        {"type": "text", "text": "what is it"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    plain = await client.chat.completions.create(**chat(parts))
    assert plain.usage.prompt_tokens == 3 + 85


async def test_models_are_listed_and_any_name_is_one(client):
    listed = [model.id async for model in client.models.list()]
    assert listed == ["standin", "standin-mini", "standin-reasoner"]
    assert (await client.models.retrieve("org/any-name")).id == "org/any-name"


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, openai.BadRequestError,          None),
        (401, openai.AuthenticationError,      "invalid_api_key"),
        (403, openai.PermissionDeniedError,    "permission_denied"),
        (404, openai.NotFoundError,            "model_not_found"),
        (422, openai.UnprocessableEntityError, None),
        (429, openai.RateLimitError,           "rate_limit_exceeded"),
        (500, openai.InternalServerError,      None),
        (503, openai.InternalServerError,      "server_is_overloaded"),
    ],
)  # fmt: skip
async def test_an_error_is_native(client, status, error, code):
    with pytest.raises(error) as caught:
        await client.chat.completions.create(**chat(f"[[error={status}]]"))
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.request_id.startswith("req_")
    assert ("retry-after" in caught.value.response.headers) == (status in {429, 503})


async def test_a_full_house_can_hide_under_status_200(client, http):
    with pytest.raises(openai.APIError) as caught:
        await chunks(await client.chat.completions.create(**chat("[[error=200]]"), stream=True))
    assert caught.value.code == "rate_limit_exceeded"
    for stream in (True, False):
        async with http.post(
            "/v1/chat/completions", json=chat("[[error=200]]", stream=stream)
        ) as answer:
            assert (answer.status, answer.headers["retry-after"]) == (200, "1")
            assert "rate_limit_exceeded" in await answer.text()


async def test_headers_are_those_of_the_real_thing(client):
    raw = await client.chat.completions.with_raw_response.create(**chat())
    assert raw.headers["x-request-id"].startswith("req_")
    assert int(raw.headers["openai-processing-ms"]) > 0
    assert raw.headers["x-ratelimit-limit-requests"] == "10000"
    assert raw.headers["x-ratelimit-reset-tokens"] == "30ms"
