"""What holds of every dialect alike: faults, pace, keys and counts."""

import asyncio
import json
import time

import aiohttp
import anthropic
import openai
import pytest

from proxy.standin.server import running

HEAD = {"anthropic-version": "2023-06-01"}


def messages(text, **more):
    said = [{"role": "user", "content": text}]
    return {"model": "standin", "messages": said, "max_tokens": 100_000, **more}


# path, body, what tells a token in the stream, its last event
DIALECTS = {
    "chat": (
        "/v1/chat/completions",
        messages,
        b'"delta":{"content"',
        b"data: [DONE]\n\n",
    ),
    "completions": (
        "/v1/completions",
        lambda text, **more: {"model": "m", "prompt": text, "max_tokens": 100_000, **more},
        b'"text":" ',
        b"data: [DONE]\n\n",
    ),
    "responses": (
        "/v1/responses",
        lambda text, **more: {"model": "m", "input": text, **more},
        b"event: response.output_text.delta",
        b"event: response.completed",
    ),
    "messages": ("/v1/messages", messages, b'{"type":"text_delta"', b"event: message_stop"),
}
EACH = pytest.mark.parametrize(("path", "ask", "token", "last"), DIALECTS.values(), ids=DIALECTS)


async def read(answer):
    came = b""
    try:
        async for chunk in answer.content.iter_any():
            came += chunk
    except (aiohttp.ClientError, ConnectionError) as error:
        return came, type(error)
    return came, None


def post(http, path, body, **headers):
    return http.post(path, json=body, headers={**HEAD, **headers} if "mess" in path else headers)


@EACH
@pytest.mark.parametrize("pace", ["0", "1ms"])
async def test_a_fault_comes_after_exactly_so_many_words(http, ended, path, ask, token, last, pace):
    for fault in ("reset", "garbage", "error_at"):
        body = ask(f"[[tokens=30 pace={pace} {fault}=7]]", stream=True)
        async with post(http, path, body) as answer:
            came, broken = await read(answer)
        entry = await ended()
        assert (entry["written"], entry["path"]) == (7, path)
        assert entry["ended"] == fault.removesuffix("_at")
        assert last not in came
        assert (broken is not None) == (fault == "reset")
        # Half of the next event, where it is garbage.
        assert came.count(token) in ({7, 8} if fault == "garbage" else {7})
        assert (b"had an error" in came or b"Internal server error" in came) == (
            fault == "error_at"
        )


@EACH
async def test_a_document_breaks_in_its_middle(http, ended, path, ask, token, last):
    for fault in ("reset", "garbage", "error_at"):
        async with post(http, path, ask(f"[[tokens=30 {fault}=7]]")) as answer:
            came, broken = await read(answer)
        assert (broken is not None) == (fault == "reset")
        entry = await ended()
        assert entry["written"] == (0 if fault == "error_at" else 15)
        assert entry["ended"] == fault.removesuffix("_at")
        if fault == "error_at":
            assert json.loads(came)["error"]["message"]


@EACH
async def test_a_stalled_stream_ends_when_the_client_goes(http, ended, path, ask, token, last):
    async with post(http, path, ask("[[tokens=30 stall=4]]", stream=True)) as answer:
        await answer.content.readany()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await answer.content.readany()
        answer.close()
    entry = await ended()
    assert (entry["ended"], entry["written"]) == ("aborted", 4)


@EACH
async def test_a_client_that_left_is_noticed_and_counted(http, ended, path, ask, token, last):
    async with post(http, path, ask("[[tokens=500 pace=10ms]]", stream=True)) as answer:
        while token not in await answer.content.readany():
            pass
        answer.close()
    entry = await ended()
    assert entry["ended"] == "aborted"
    assert 0 < entry["written"] == entry["generated"] < 100


@EACH
async def test_a_long_answer_is_counted_to_the_word(http, ended, path, ask, token, last):
    async with post(http, path, ask("[[tokens=20000]]", stream=True)) as answer:
        came, broken = await read(answer)
    assert broken is None
    assert last in came
    assert came.count(token) == (await ended())["written"] == 20_000


@EACH
async def test_a_stream_may_lack_its_end(http, path, ask, token, last):
    async with post(http, path, ask("[[tokens=3 nodone]]", stream=True)) as answer:
        came, broken = await read(answer)
    assert broken is None
    assert last not in came
    assert came.count(token) == 3


@EACH
async def test_usage_can_be_withheld(http, path, ask, token, last):
    async with post(http, path, ask("[[tokens=3 usage=none]]")) as answer:
        assert (await answer.json()).get("usage") is None
    async with post(http, path, ask("[[tokens=3 usage=none]]", stream=True)) as answer:
        assert b'_tokens":' not in (await answer.read()).replace(b"max_output_tokens", b"")


@EACH
async def test_headers_direct_and_win(http, ended, path, ask, token, last):
    headers = {"x-standin": "tokens=4", "x-standin-error": "418"}
    async with post(http, path, ask("[[tokens=3]]"), **headers) as answer:
        assert answer.status == 418
    async with post(http, path, ask("[[tokens=3]]"), **{"x-standin": "tokens=4"}) as answer:
        await answer.read()
    assert (await ended())["written"] == 4


@EACH
async def test_pace_and_first_take_their_time(http, path, ask, token, last):
    body = ask("[[tokens=5 pace=10ms first=30ms]]")
    for streamed in (True, False):
        began = time.perf_counter()
        async with post(http, path, {**body, "stream": streamed}) as answer:
            await answer.read()
        assert time.perf_counter() - began >= 0.08


@EACH
async def test_a_full_house_can_hide_under_status_200(http, ended, path, ask, token, last):
    for streamed in (True, False):
        async with post(http, path, ask("[[error=200]]", stream=streamed)) as answer:
            came = await answer.text()
        assert (answer.status, answer.headers["retry-after"]) == (200, "1")
        assert "rate_limit" in came
        assert (await ended())["ended"] == "refused"


@EACH
async def test_a_body_that_is_no_json_is_refused(http, path, ask, token, last):
    for body in (b"{", b"[]", b"7", b"\xff"):
        async with http.post(path, data=body, headers=HEAD) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_an_error_in_mid_stream_is_native(client, claude):
    stream = await client.responses.create(model="m", input="[[tokens=9 error_at=4]]", stream=True)
    *_, error, failed = [event async for event in stream]
    assert (error.type, error.code) == ("error", "server_error")
    assert (failed.type, failed.response.error.code) == ("response.failed", "server_error")
    assert failed.sequence_number == error.sequence_number + 1
    made = await client.responses.create(model="m", input="[[tokens=9 error_at=4]]")
    assert (made.status, made.error.code) == ("failed", "server_error")
    with pytest.raises(anthropic.APIStatusError) as caught:
        async for _ in await claude.messages.create(
            **messages("[[tokens=9 error_at=4]]"), stream=True
        ):
            pass
    assert caught.value.body["error"]["type"] == "api_error"


async def test_a_response_refused_under_status_200_was_created_and_failed(client):
    stream = await client.responses.create(model="m", input="[[error=200]]", stream=True)
    kinds = [(event.type, event.sequence_number) async for event in stream]
    assert kinds == [("response.created", 0), ("error", 1), ("response.failed", 2)]


async def test_a_required_key_is_taken_in_either_header():
    async with running(require_key="sk-right") as made, aiohttp.ClientSession(made.url) as http:
        for headers, status in (
            ({"authorization": "Bearer sk-right"}, 200),
            ({"x-api-key": "sk-right"}, 200),
            ({"x-api-key": "sk-wrong"}, 401),
            ({"authorization": "Bearer sk-wrong"}, 401),
            ({}, 401),
        ):
            for path in ("/v1/models", "/v1/messages/count_tokens"):
                method = "GET" if path == "/v1/models" else "POST"
                body = json.dumps(messages("a")) if method == "POST" else None
                async with http.request(
                    method, path, data=body, headers={**HEAD, **headers}
                ) as answer:
                    told = await answer.json()
                assert answer.status == status
                assert status == 200 or told["error"]["type"] == "authentication_error"
                assert "sk-" not in json.dumps(told)
        async with openai.AsyncOpenAI(base_url=f"{made.url}/v1", api_key="sk-wrong") as client:
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()


async def test_a_refusal_is_told_in_chat_too(client):
    body = {"model": "m", "messages": [{"role": "user", "content": "[[refusal=bio tokens=3]]"}]}
    plain = await client.chat.completions.create(**body)
    message = plain.choices[0].message
    assert (message.content, len(message.refusal.split())) == (None, 3)
    assert plain.choices[0].finish_reason == "stop"
    found = [chunk async for chunk in await client.chat.completions.create(**body, stream=True)]
    said = [chunk.choices[0].delta.refusal or "" for chunk in found]
    assert "".join(said) == message.refusal


async def test_a_tool_of_chat_is_called_once_by_a_directive(client):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    said = [{"role": "user", "content": "[[tool=f]] a"}]
    first = await client.chat.completions.create(model="m", messages=said, tools=[tool])
    (call,) = first.choices[0].message.tool_calls
    said += [
        first.choices[0].message.to_dict(),
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    second = await client.chat.completions.create(model="m", messages=said, tools=[tool])
    assert second.choices[0].message.tool_calls is None
