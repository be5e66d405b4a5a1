"""Every way in which a model API can fail has one error, and nothing is sent twice."""

import asyncio
import gzip
import socket
import zlib

import pytest
from pydantic import SecretStr
from yarl import URL

from proxy.core.errors import (
    RouteUnknownError,
    UpstreamGarbageError,
    UpstreamResetError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from proxy.settings.schema import UpstreamSettings
from proxy.upstream.client import HttpUpstream, address

CHAT = "/v1/chat/completions"
BODY = b'{"model":"m"}'
CANARY = "sk-canary-credential"


async def exchange(upstream, method="POST", body=BODY, headers=None):
    """Return (status, headers, body) of one exchange."""
    async with upstream.open(method, CHAT, headers or {}, body) as answer:
        return (
            answer.status,
            dict(answer.headers),
            b"".join([part async for part in answer.chunks()]),
        )


def framed(body, extra=b""):
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%s\r\n%s" % (len(body), extra, body)


async def test_a_request_is_built_anew_with_our_credential(upstream, answering):
    client, wire = await upstream(
        answering(framed(b"{}")), secret=SecretStr(CANARY), headers={"OpenAI-Organization": "org-1"}
    )
    theirs = {
        "Authorization": "Bearer client-key",
        "Cookie": "a=b",
        "OpenAI-Beta": "x=1",
        "Idempotency-Key": "guess",
        "X-Standin-Tokens": "3",
        "X-Forwarded-For": "10.0.0.1",
        "Host": "evil",
        "Content-Type": "application/json; charset=utf-8",
        "OpenAI-Organization": "theirs",
        "Accept-Encoding": "gzip",
    }
    await exchange(client, headers=theirs)
    line, headers, body = wire.requests[0]
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert body == BODY
    assert headers.pop("host").startswith("localhost:")
    assert headers == {
        "accept": "*/*",
        "accept-encoding": "identity",
        "authorization": f"bearer {CANARY}",
        "content-length": str(len(BODY)),
        "content-type": "application/json; charset=utf-8",
        "openai-beta": "x=1",
        "openai-organization": "org-1",
        "user-agent": "weir",
    }


async def test_a_header_of_the_settings_stands_for_the_clients(upstream, answering):
    client, wire = await upstream(answering(framed(b"")), headers={"anthropic-version": "ours"})
    await exchange(client, headers={"Anthropic-Version": "theirs"})
    assert wire.requests[0][1]["anthropic-version"] == "ours"


@pytest.mark.parametrize("header", ["api-key", "x-api-key"])
async def test_the_credential_goes_in_the_header_of_the_settings(upstream, answering, header):
    client, wire = await upstream(answering(framed(b"")), secret=SecretStr(CANARY), header=header)
    await exchange(client)
    assert wire.requests[0][1][header] == CANARY
    assert "authorization" not in wire.requests[0][1]


async def test_the_stand_in_alone_gets_its_knobs(upstream, answering):
    client, wire = await upstream(answering(framed(b"")), name="standin")
    await exchange(client, headers={"X-Standin-Tokens": "3"})
    assert wire.requests[0][1]["x-standin-tokens"] == "3"


async def test_what_speaks_of_the_operators_account_does_not_come_back(upstream, answering):
    extra = (
        b"content-type: application/json\r\nx-request-id: req_1\r\nset-cookie: a=b\r\n"
        b"x-ratelimit-remaining-requests: 3\r\nopenai-organization: org-1\r\nretry-after: 7\r\n"
        b"x-should-retry: true\r\nlocation: /x\r\nopenai-processing-ms: \xe9\r\n"
    )
    client, _ = await upstream(answering(framed(b"{}", extra)))
    assert await exchange(client) == (
        200,
        {
            "content-type": "application/json",
            "x-request-id": "req_1",
            "retry-after": "7",
            "x-should-retry": "true",
        },
        b"{}",
    )


# what the model API writes                                                     what that is
ANSWERS = {
    "closes at once": (b"", UpstreamResetError),
    "half a head": (b"HTTP/1.1 200 OK\r\ncontent-le", UpstreamResetError),
    "short body": (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", UpstreamResetError),
    "no last chunk": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", UpstreamResetError),
    "half a chunk": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{}", UpstreamResetError),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", UpstreamGarbageError),
    "bad status": (b"HTTP/1.1 banana OK\r\n\r\n", UpstreamGarbageError),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
        UpstreamGarbageError),
    "bad chunk size": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n{}\r\n",
        UpstreamGarbageError),
    "huge header": (
        b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 20_000 + b"\r\n\r\n", UpstreamGarbageError),
    "many headers": (
        b"HTTP/1.1 200 OK\r\n" + b"x-a: a\r\n" * 500 + b"\r\n", UpstreamGarbageError),
    "redirect": (
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        UpstreamGarbageError),
    "upgrade": (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n", UpstreamGarbageError),
    "brotli": (framed(b"x", b"content-encoding: br\r\n"), UpstreamGarbageError),
    "not gzip": (framed(b"xxxx", b"content-encoding: gzip\r\n"), UpstreamGarbageError),
    "half gzip": (
        framed(gzip.compress(b"x" * 99)[:-9], b"content-encoding: gzip\r\n"), UpstreamGarbageError),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
async def test_a_broken_answer_has_its_error_and_the_request_was_sent_once(
    upstream, answering, case
):
    raw, expected = ANSWERS[case]
    client, wire = await upstream(answering(raw), secret=SecretStr(CANARY))
    with pytest.raises(expected) as caught:
        await exchange(client)
    assert type(caught.value) is expected
    assert CANARY not in repr(caught.value)
    assert "localhost" not in str(caught.value)
    assert len(wire.requests) == 1


async def test_a_reset_in_the_middle_of_a_body_is_told_after_what_came_before(upstream):
    async def story(wire, reader, writer):
        await wire.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
        await writer.drain()
        await asyncio.wait_for(seen.wait(), 5)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        writer.transport.abort()

    seen = asyncio.Event()
    client, _ = await upstream(story)
    came = []

    async def read():
        async with client.open("POST", CHAT, {}, BODY) as answer:
            async for part in answer.chunks():
                came.append(part)
                seen.set()

    with pytest.raises(UpstreamResetError):
        await read()
    assert came == [b"ab"]


async def test_framing_that_turns_to_garbage_wakes_the_reader(upstream):
    async def story(wire, reader, writer):
        await wire.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
        await writer.drain()
        await asyncio.wait_for(seen.wait(), 5)
        writer.write(b"zz\r\nab\r\n")
        await reader.read()

    seen = asyncio.Event()
    client, _ = await upstream(story)

    async def read():
        async with client.open("POST", CHAT, {}, BODY) as answer:
            async for _ in answer.chunks():
                seen.set()

    with pytest.raises(UpstreamGarbageError):
        await asyncio.wait_for(read(), 5)


async def test_a_refused_connection_is_unreachable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    client = HttpUpstream(UpstreamSettings(name="x", url=f"http://127.0.0.1:{port}"))
    with pytest.raises(UpstreamUnreachableError):
        await exchange(client)
    await client.close()


async def test_a_name_that_does_not_resolve_is_unreachable():
    client = HttpUpstream(UpstreamSettings(name="x", url="http://nowhere.invalid/v1"))
    with pytest.raises(UpstreamUnreachableError):
        await exchange(client)
    await client.close()


QUICK = {"connect_timeout": "50ms", "first_byte_timeout": "50ms", "idle_timeout": "50ms"}


async def silent(wire, reader, writer):
    """Read a request, and then only wait for the end."""
    await wire.request(reader)
    await reader.read()


async def test_a_head_that_does_not_come_times_out_and_the_connection_is_closed(upstream):
    client, wire = await upstream(silent, **QUICK)
    with pytest.raises(UpstreamTimeoutError):
        await exchange(client)
    await asyncio.wait_for(wire.ended.wait(), 2)


async def test_a_head_that_drips_times_out(upstream):
    async def story(wire, reader, writer):
        await wire.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"x-a: b\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    client, _ = await upstream(story, **QUICK)
    with pytest.raises(UpstreamTimeoutError):
        await exchange(client)


async def test_a_body_that_stalls_times_out_after_what_came_before(upstream):
    async def story(wire, reader, writer):
        await wire.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")
        await reader.read()

    client, _ = await upstream(story, first_byte_timeout="5s", idle_timeout="50ms")
    came = []

    async def read():
        async with client.open("POST", CHAT, {}, BODY) as answer:
            async for part in answer.chunks():
                came.append(part)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(UpstreamTimeoutError):
        await read()
    assert came == [b"ab"]


async def test_a_slow_head_is_not_an_idle_body(upstream):
    async def story(wire, reader, writer):
        await wire.request(reader)
        await asyncio.sleep(0.12)
        writer.write(framed(b"{}"))

    client, _ = await upstream(story, first_byte_timeout="5s", idle_timeout="50ms")
    assert (await exchange(client))[2] == b"{}"


async def test_a_full_pool_times_out_before_anything_is_sent(upstream):
    client, wire = await upstream(
        silent, max_connections=1, connect_timeout="80ms", first_byte_timeout="5s"
    )
    first = asyncio.create_task(exchange(client))
    while not wire.requests:
        await asyncio.sleep(0.005)
    with pytest.raises(UpstreamTimeoutError):
        await exchange(client)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert len(wire.requests) == 1


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_only_a_get_is_sent_again_on_a_kept_connection_that_had_died(upstream, method):
    async def story(wire, reader, writer):
        await wire.request(reader)
        if wire.connections == 1:
            writer.write(framed(b"{}"))
            await wire.request(reader)
            return  # closed without a byte of answer
        writer.write(framed(b"{}"))

    client, wire = await upstream(story)
    await exchange(client)
    if method == "POST":
        with pytest.raises(UpstreamResetError):
            await exchange(client)
        assert len(wire.requests) == 2
    else:
        assert (await exchange(client, "GET", None))[0] == 200
        assert len(wire.requests) == 3


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200"], ids=["a new connection", "a begun answer"])
async def test_a_get_is_not_sent_again_after(upstream, raw):
    async def story(wire, reader, writer):
        if raw:
            await wire.request(reader)
            writer.write(framed(b"{}"))
        await wire.request(reader)
        writer.write(raw)

    client, wire = await upstream(story)
    if raw:
        await exchange(client)
    with pytest.raises(UpstreamResetError):
        await exchange(client, "GET", None)
    assert len(wire.requests) == (2 if raw else 1)


async def test_connections_are_kept(upstream):
    async def story(wire, reader, writer):
        while True:
            await wire.request(reader)
            writer.write(framed(b"{}"))

    client, wire = await upstream(story)
    for _ in range(5):
        assert (await exchange(client))[2] == b"{}"
    assert wire.connections == 1


@pytest.mark.parametrize("moment", ["head", "body"])
async def test_cancelling_closes_the_upstream_at_once(upstream, moment):
    async def story(wire, reader, writer):
        await wire.request(reader)
        if moment == "body":
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
        begun.set()
        await reader.read()

    begun = asyncio.Event()
    client, wire = await upstream(story)
    running = asyncio.create_task(exchange(client))
    await asyncio.wait_for(begun.wait(), 2)
    await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.wait_for(wire.ended.wait(), 1)


async def test_leaving_before_the_end_closes_the_upstream_at_once(upstream):
    async def story(wire, reader, writer):
        await wire.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
        await reader.read()

    client, wire = await upstream(story)
    async with client.open("POST", CHAT, {}, BODY) as answer:
        async for part in answer.chunks():
            assert part == b"ab"
            break
    await asyncio.wait_for(wire.ended.wait(), 1)


ENCODED = {
    "gzip": ("gzip", gzip.compress(b"hello " * 50_000)),
    "two gzip members": ("gzip", gzip.compress(b"hello " * 20_000) + gzip.compress(b"hello " * 30_000)),
    "zlib": ("deflate", zlib.compress(b"hello " * 50_000)),
    "raw deflate": ("Deflate", zlib.compress(b"hello " * 50_000, wbits=-15)),
}  # fmt: skip


@pytest.mark.parametrize("case", ENCODED)
async def test_an_encoding_that_was_not_asked_for_is_undone(upstream, answering, case):
    name, raw = ENCODED[case]
    head = f"content-encoding: {name}\r\n".encode()
    client, _ = await upstream(answering(framed(raw, head)))
    assert await exchange(client) == (200, {}, b"hello " * 50_000)


async def test_a_body_of_no_bytes_has_no_encoding(upstream, answering):
    client, _ = await upstream(answering(framed(b"", b"content-encoding: gzip\r\n")))
    assert await exchange(client) == (200, {}, b"")


async def test_a_large_body_arrives_whole(upstream, answering):
    client, wire = await upstream(answering(framed(b"{}")))
    body = bytes(range(256)) * 12_000
    await exchange(client, body=body)
    assert wire.requests[0][2] == body


async def test_informational_answers_are_passed_over(upstream, answering):
    client, _ = await upstream(answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + framed(b"{}")))
    assert (await exchange(client))[0] == 200


async def test_an_error_of_the_model_api_is_an_answer(upstream, answering):
    client, _ = await upstream(
        answering(b"HTTP/1.1 429 Too Many\r\ncontent-length: 2\r\nretry-after: 3\r\n\r\n{}")
    )
    assert await exchange(client) == (429, {"retry-after": "3"}, b"{}")


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        ("https://a.example/v1", "/v1/models", "https://a.example/v1/models"),
        ("https://a.example", "/v1/models", "https://a.example/v1/models"),
        ("https://a.example/", "/v1/models", "https://a.example/v1/models"),
        ("http://a.example:81/openai/v1", "/v1/models", "http://a.example:81/openai/v1/models"),
        ("http://a.example/proxy", "/v1/models", "http://a.example/proxy/v1/models"),
        ("http://a.example/v1?v=2", "/v1/models", "http://a.example/v1/models?v=2"),
        ("http://a.example/v1", "/v1/models/ft%3Aa", "http://a.example/v1/models/ft%3Aa"),
    ],
)
def test_a_base_url_and_a_path_join(base, path, expected):
    assert str(address(URL(base), path)) == expected


@pytest.mark.parametrize(
    "path",
    ["/v1/../admin", "/v1/%2e%2e/admin", "//evil/v1", "v1", "/v1/a?b=c", "/v1/a b", "/\r\nx"],
)
def test_an_odd_path_goes_nowhere(path):
    with pytest.raises(RouteUnknownError):
        address(URL("http://a.example/v1"), path)
