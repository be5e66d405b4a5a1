import asyncio
import hashlib
import json
import socket
import time

import aiohttp
import openai
import pytest

from proxy.standin.recording import Recorder
from proxy.standin.server import running, serve, start

NOT_JSON = r"control character|Unterminated|Expecting"
PATH = "/v1/chat/completions"


def chat(content="hello", **more):
    return {"model": "standin", "messages": [{"role": "user", "content": content}], **more}


def stream(content, **more):
    return chat(content, stream=True, **more)


async def drained(answer, came):
    """Add the words of an official client's stream to `came`."""
    async for chunk in answer:
        if chunk.choices[0].delta.content:
            came.append(chunk.choices[0].delta.content)


async def read(answer):
    """Return what came of a body, and the class of what broke it."""
    came = b""
    try:
        async for chunk in answer.content.iter_any():
            came += chunk
    except (aiohttp.ClientError, ConnectionError) as error:
        return came, type(error)
    return came, None


async def test_a_stream_is_reset_after_exactly_so_many_words(http, ended):
    async with http.post(PATH, json=stream("[[tokens=90 reset=40]]")) as answer:
        came, broken = await read(answer)
    assert broken is not None
    assert came.endswith(b"\n\n")
    last = await ended()
    assert came.count(b'"delta":{"content"') == last["written"] == last["generated"] == 40
    assert last["ended"] == "reset"


async def test_a_reset_is_a_reset_on_the_wire(standin):
    body = json.dumps(stream("[[tokens=9 reset=2]]"))

    def ask():
        with socket.create_connection(standin.url.removeprefix("http://").split(":")) as wire:
            wire.sendall(
                f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            while True:
                try:
                    if not wire.recv(65536):
                        return "end"
                except ConnectionResetError:
                    return "reset"

    assert await asyncio.to_thread(ask) == "reset"


async def test_a_document_is_reset_in_its_middle(http, ended):
    async with http.post(PATH, json=chat("[[tokens=90 reset=4]]")) as answer:
        length = answer.content_length
        came, broken = await read(answer)
    assert broken is not None
    assert len(came) == length // 2
    last = await ended()
    assert (last["generated"], last["ended"]) == (90, "reset")


async def test_a_fault_beyond_the_end_does_not_happen(client):
    plain = await client.chat.completions.create(
        **chat("[[tokens=3 reset=3 stall=9 garbage=9 error_at=9]]")
    )
    assert plain.usage.completion_tokens == 3


@pytest.mark.parametrize(
    "asked", [stream("[[tokens=9 stall=4]]"), chat("[[tokens=9 stall=4]]")], ids=["sse", "json"]
)
async def test_a_stalled_answer_ends_when_the_client_goes(http, ended, standin, asked):
    async with http.post(PATH, json=asked) as answer:
        await answer.content.readany()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await answer.content.readany()
        assert standin.recorder.stats()["active"] == 1
        answer.close()
        last = await ended()
    assert (last["ended"], last["written"]) == ("aborted", 4)


async def test_garbage_comes_after_exactly_so_many_words(client, http, ended):
    with pytest.raises((ValueError, openai.APIError)):
        async for _ in await client.chat.completions.create(**stream("[[tokens=9 garbage=4]]")):
            pass
    async with http.post(PATH, json=stream("[[tokens=9 garbage=4]]")) as answer:
        came, broken = await read(answer)
    assert broken is None
    assert b"[DONE]" not in came
    events = came.removesuffix(b"\n\n").split(b"\n\n")
    assert all(json.loads(event.removeprefix(b"data: ")) for event in events[:-1])
    assert len(events) == 1 + 4 + 1
    with pytest.raises(ValueError, match=NOT_JSON):
        json.loads(events[-1].removeprefix(b"data: "))
    assert (await ended())["written"] == 4


async def test_a_document_can_be_garbage(http):
    async with http.post(PATH, json=chat("[[tokens=9 garbage=4]]")) as answer:
        assert answer.status == 200
        with pytest.raises(ValueError, match=NOT_JSON):
            json.loads(await answer.read())


async def test_a_stream_reports_an_error_after_exactly_so_many_words(client, ended):
    answer = await client.chat.completions.create(**stream("[[tokens=9 error_at=4]]"))
    came = []
    with pytest.raises(openai.APIError, match="had an error"):
        await drained(answer, came)
    assert len(came) == 4
    assert (await ended())["ended"] == "error"
    with pytest.raises(TypeError):
        _ = (await client.chat.completions.create(**chat("[[error_at=4]]"))).choices[0]


async def test_a_stream_may_end_without_done(http):
    for directive, done in (("[[tokens=3 nodone]]", False), ("[[tokens=3]]", True)):
        async with http.post(PATH, json=stream(directive)) as answer:
            came, broken = await read(answer)
        assert broken is None
        assert came.endswith(b"data: [DONE]\n\n") == done
        assert b'"finish_reason":"stop"' in came


async def test_pace_and_first_take_their_time(http):
    began = time.perf_counter()
    times = []
    async with http.post(PATH, json=stream("[[tokens=5 pace=20ms first=60ms]]")) as answer:
        assert time.perf_counter() - began >= 0.06
        times += [time.perf_counter() async for _ in answer.content.iter_any()]
    assert len(times) >= 5
    assert times[-1] - times[0] >= 0.08
    began = time.perf_counter()
    async with http.post(PATH, json=chat("[[tokens=5 pace=20ms]]")) as answer:
        await answer.read()
    assert time.perf_counter() - began >= 0.1


@pytest.mark.parametrize("streamed", [True, False], ids=["sse", "json"])
async def test_a_client_that_left_is_noticed_at_once_and_counted(http, ended, standin, streamed):
    """What had been made until then is known, and nothing more is made."""
    asked = chat("[[tokens=500 pace=10ms reasoning=7]]", stream=streamed)
    waiting = asyncio.ensure_future(http.post(PATH, json=asked))
    await asyncio.sleep(0.15)
    if streamed:
        (await waiting).close()
    else:
        waiting.cancel()
    last = await ended()
    assert standin.recorder.stats()["aborted"] == 1
    assert last["ended"] == "aborted"
    assert 7 < last["generated"] < 60
    assert last["written"] == (last["generated"] - 7 if streamed else 0)


async def test_an_early_break_of_the_official_client_is_counted(client, ended, standin):
    answer = await client.chat.completions.create(**stream("[[tokens=400 pace=10ms]]"))
    async for _ in answer:
        break
    await answer.close()
    assert (await ended())["ended"] == "aborted"


async def test_what_was_sent_is_what_is_counted(client, standin):
    for asked in (chat("[[tokens=5]] a"), stream("[[tokens=7 reasoning=2]] a")):
        answer = await client.chat.completions.create(**asked)
        if asked.get("stream"):
            async for _ in answer:
                pass
    stats = standin.recorder.stats()
    assert stats["tokens"] == {"prompt": 2 + 3, "generated": 14, "reasoning": 2, "written": 12}
    assert (stats["requests"], stats["statuses"], stats["active"]) == (2, {"200": 2}, 0)


async def test_a_long_answer_is_counted_to_the_word(http, standin):
    async with http.post(PATH, json=stream("[[tokens=20000]]")) as answer:
        came, broken = await read(answer)
    assert broken is None
    assert (
        came.count(b'"delta":{"content"') == standin.recorder.stats()["tokens"]["written"] == 20_000
    )


async def test_what_a_client_that_left_was_not_sent_is_not_counted_as_written(http, ended):
    async with http.post(PATH, json=stream("[[tokens=200000]]")) as answer:
        await answer.content.readexactly(1_000)
    last = await ended()
    assert last["ended"] == "aborted"
    assert last["written"] < 150_000


async def test_stats_are_served_and_forgotten_on_demand(http, standin):
    body = json.dumps(
        stream("[[tokens=2]] canary-prompt", stream_options={"include_usage": True})
    ).encode()
    headers = {"Authorization": "Bearer canary-key", "X-Extra": "canary-value"}
    async with http.post(PATH, data=body, headers=headers) as answer:
        await answer.read()
    async with http.get("/-/stats") as answer:
        told = await answer.text()
    assert "canary" not in told
    (last,) = json.loads(told)["recent"]
    assert last["sha256"] == hashlib.sha256(body).hexdigest()
    assert (last["include_usage"], last["stream"], last["authorization"], last["model"]) == (
        True,
        True,
        True,
        "standin",
    )
    assert {"authorization", "x-extra"} <= set(last["headers"])
    (kept,) = standin.recorder.recorded
    assert kept.body == body
    assert ("Authorization", "Bearer canary-key") in kept.headers
    assert "canary" not in repr(kept)
    async with http.post("/-/reset") as answer:
        assert answer.status == 200
    assert standin.recorder.stats()["requests"] == 0
    assert not standin.recorder.recorded


async def test_a_standin_keeps_no_bodies_unless_told_to():
    async with running() as made, aiohttp.ClientSession(made.url) as http:
        async with http.post(PATH, json=chat()) as answer:
            assert answer.status == 200
        assert not made.recorder.recorded


async def test_only_the_required_key_is_let_in():
    async with running(require_key="sk-right") as made:
        for key, code in (("sk-wrong", "invalid_api_key"), ("sk-right", None)):
            async with openai.AsyncOpenAI(
                base_url=f"{made.url}/v1", api_key=key, max_retries=0
            ) as client:
                if code is None:
                    assert (await client.chat.completions.create(**chat())).choices
                else:
                    with pytest.raises(openai.AuthenticationError) as caught:
                        await client.chat.completions.create(**chat())
                    assert caught.value.code == code
                    assert key not in str(caught.value)
        async with aiohttp.ClientSession(made.url) as http, http.get("/v1/models") as answer:
            assert answer.status == 401
            assert "didn't provide an API key" in await answer.text()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("POST", PATH,                b"{",  400, "could not parse the JSON body"),
        ("POST", PATH,                b"{}", 400, "must provide a model"),
        ("POST", PATH,                bytes(65), 413, "too large"),
        ("POST", "/v1/batches",       b"{}", 404, "Invalid URL (POST /v1/batches)"),
        ("GET",  PATH,                None,  405, "Not allowed to GET"),
        ("GET",  "/-/nothing",        None,  404, "Invalid URL"),
    ],
)  # fmt: skip
async def test_what_is_not_served_is_refused_natively(
    http, monkeypatch, method, path, body, status, sentence
):
    monkeypatch.setattr("proxy.standin.handler.MAX_BODY", 64)
    async with http.request(method, path, data=body) as answer:
        told = await answer.json()
    assert answer.status == status
    assert sentence in told["error"]["message"]
    assert set(told["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("directive", "streamed"),
    [("hello", False), ("hello", True), ("error=503", False), ("error=200", False), ("error=200", True)],
)  # fmt: skip
async def test_every_answer_carries_an_identity_and_the_operators_own_limits(
    http, directive, streamed
):
    async with http.post(PATH, json=chat(f"[[{directive}]]", stream=streamed)) as answer:
        headers = answer.headers
    assert headers["x-request-id"].startswith("req_")
    assert len(headers["x-request-id"]) == len("req_") + 32
    assert int(headers["openai-processing-ms"]) >= 1
    assert headers["x-ratelimit-limit-requests"] == "10000"


async def test_a_started_standin_serves_until_its_runner_is_cleaned_up():
    runner, url, recorder = await start(record=True)
    async with aiohttp.ClientSession() as http:
        async with http.post(url + PATH, json=chat("[[tokens=3]]")) as answer:
            assert (await answer.json())["usage"]["completion_tokens"] == 3
        await runner.cleanup()
        assert recorder.stats()["tokens"]["written"] == 3
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(f"{url}/v1/models")


async def test_an_address_that_is_taken_is_an_error():
    async with running() as made:
        taken = int(made.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="address already in use"):
            await start("127.0.0.1", taken)


async def test_stopping_ends_what_runs_within_a_second():
    async with aiohttp.ClientSession() as http:
        async with running() as made:
            answer = await http.post(made.url + PATH, json=stream("[[tokens=500 pace=50ms]]"))
            began = time.perf_counter()
        assert time.perf_counter() - began < 1
        answer.close()
    stats = made.recorder.stats()
    assert (stats["active"], stats["ended"]) == (0, {"stopped": 1})


async def test_a_body_that_is_not_what_it_says_is_refused_natively(http):
    headers = {"Content-Encoding": "gzip"}
    async with http.post(PATH, data=b"this is no gzip", headers=headers) as answer:
        assert answer.status == 400


async def test_what_is_recorded_is_bounded(monkeypatch):
    monkeypatch.setattr("proxy.standin.recording.MAX_RECORDED_BYTES", 100)
    recorder = Recorder(record=True)
    for size in (60, 30, 20):
        recorder.read(recorder.begin("POST", PATH, {}), {}, bytes(size))
    assert [len(kept.body) for kept in recorder.recorded] == [30, 20]


async def test_it_serves_until_cancelled():
    ready = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve("127.0.0.1", 0, ready=ready.set_result))
    async with aiohttp.ClientSession() as http, http.get(f"{await ready}/v1/models") as answer:
        assert answer.status == 200
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
