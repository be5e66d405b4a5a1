"""The official SDK cannot tell Weir from what stands behind it, except where it is told."""

from __future__ import annotations

import asyncio

import openai
import pytest

MESSAGES = [
    {"role": "system", "content": "You are brief."},
    {"role": "user", "content": "[[tokens=12]] Why is the sky blue?"},
]
TOOLS = [{
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}]  # fmt: skip
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
ASKS = {
    "plain": {},
    "capped": {"max_tokens": 4},
    "two": {"n": 2},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "tools": {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    "json": {"response_format": {"type": "json_object"}},
    "image": {"messages": [{"role": "user", "content": [
        {"type": "text", "text": "[[tokens=5]] what is this"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]}]},
    "unknown field": {"extra_body": {"not_known_yet": {"a": [1, None]}}},
}  # fmt: skip


def ask(client, **more):
    return client.chat.completions.create(**{"model": "standin", "messages": MESSAGES, **more})


@pytest.mark.parametrize("name", ASKS)
def test_an_answer_is_the_same_field_by_field(weir, secret, standin, name):
    with weir.client(secret) as through, standin.client() as direct:
        assert ask(through, **ASKS[name]).model_dump() == ask(direct, **ASKS[name]).model_dump()


@pytest.mark.parametrize("usage", [None, {"include_usage": True}, {"include_usage": False}])
@pytest.mark.parametrize("name", ASKS)
def test_a_stream_is_the_same_chunk_by_chunk(weir, secret, standin, name, usage):
    asked = {**ASKS[name], "stream": True, "stream_options": usage}
    with weir.client(secret) as through, standin.client() as direct:
        ours = [chunk.model_dump(exclude_unset=True) for chunk in ask(through, **asked)]
        theirs = [chunk.model_dump(exclude_unset=True) for chunk in ask(direct, **asked)]
    assert ours == theirs
    assert len(ours) > 2


def test_the_model_list_passes_through(weir, secret, standin):
    with weir.client(secret) as through, standin.client() as direct:
        assert through.models.list().model_dump() == direct.models.list().model_dump()
        assert through.models.retrieve("standin").id == "standin"


def test_fifty_in_parallel_are_fifty_answers_and_fifty_records(weir, secret, loop):
    async def all_of_them():
        async with weir.async_client(secret) as client:
            return await asyncio.gather(*(
                client.chat.completions.with_raw_response.create(
                    model="standin", messages=[{"role": "user", "content": f"question {index}"}]
                )
                for index in range(50)
            ))  # fmt: skip

    answers = loop.run(all_of_them())
    decisions = {answer.headers["x-weir-decision"] for answer in answers}
    assert len(decisions) == 50
    for decision in decisions:
        record = weir.record(decision)
        assert (record["effect"], record["end"], record["status"]) == ("allow", "complete", 200)


def test_leaving_a_stream_early_is_charged_what_was_relayed_and_ends_the_model(
    weir, secret, standin
):
    before = standin.stats()
    with weir.client(secret) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="standin", stream=True,
            messages=[{"role": "user", "content": "[[tokens=400 pace=20ms]] tell me all"}],
        )  # fmt: skip
        decision = raw.headers["x-weir-decision"]
        words = 0
        with raw.parse() as stream:
            for chunk in stream:
                words += len((chunk.choices[0].delta.content or "").split())
                if words == 10:
                    break
    record = weir.record(decision)
    assert record["end"] == "abandoned"
    assert 10 <= record["usage"]["charged_output"] < 60
    assert record["usage"]["charged_input"] == record["usage"]["estimated_prompt"]
    assert record["limits"][2]["unit"] == "concurrent"
    assert standin.stats() != before


def test_headers_tell_the_limits_as_openai_does(weir, secret):
    with weir.client(secret) as client:
        raw = client.chat.completions.with_raw_response.create(model="standin", messages=MESSAGES)
    headers = raw.headers
    assert headers["x-ratelimit-limit-requests"] == "1000000"
    assert int(headers["x-ratelimit-remaining-requests"]) < 1_000_000
    assert headers["x-ratelimit-reset-requests"].endswith("s")
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-weir-decision"].startswith("wd_")
    assert '"open/requests";q=1000000;w=60' in headers["ratelimit-policy"]


def test_a_wrong_key_is_told_as_openai_tells_it(weir):
    with (
        weir.client("weir_live_wrong") as client,
        pytest.raises(openai.AuthenticationError) as told,
    ):
        ask(client)
    assert (told.value.status_code, told.value.code) == (401, "invalid_api_key")
    assert "weir_live_wrong" not in str(told.value)


def test_an_unlisted_route_is_a_native_404(weir, secret):
    with weir.client(secret) as client, pytest.raises(openai.NotFoundError) as told:
        client.post("/nowhere", cast_to=object, body={})
    assert told.value.code == "unknown_url"


@pytest.mark.parametrize(
    "wrong", [{"messages": []}, {"model": ""}, {"n": 0}, {"stream_options": 3}]
)
def test_what_is_malformed_is_a_native_400(weir, secret, wrong):
    with weir.client(secret) as client, pytest.raises(openai.BadRequestError) as told:
        ask(client, **{"stream": "stream_options" in wrong, **wrong})
    assert told.value.type == "invalid_request_error"


def test_a_body_too_large_is_a_413(weir, secret):
    huge = [{"role": "user", "content": "x" * 33_000_000}]
    with weir.client(secret) as client, pytest.raises(openai.APIStatusError) as told:
        ask(client, messages=huge)
    assert told.value.status_code == 413


def test_a_429_has_its_class_and_its_wait_is_enough(start):
    narrow = (
        "policy: narrow\nlimits:\n  - {limit: requests, allow: 2 requests, per: 3s, by: [key]}\n"
    )
    with start(narrow=narrow) as weir:
        _, secret = weir.issue()
        with weir.client(secret) as client:
            ask(client)
            ask(client)
            with pytest.raises(openai.RateLimitError) as told:
                ask(client)
            assert told.value.code == "rate_limit_exceeded"
            assert told.value.type == "requests"
            assert 0 < int(told.value.response.headers["retry-after-ms"]) <= 1500
            assert int(told.value.response.headers["retry-after"]) == 2
        with weir.client(secret, max_retries=2) as patient:
            assert ask(patient).choices
        told = weir.weir(
            "explain", told.value.response.headers["x-weir-decision"], "--home", weir.home
        )
        assert "narrow/requests" in told
        assert "refused with HTTP 429" in told
