"""Neither side is made to hold more than it can: bodies flow as fast as they are taken."""

import asyncio

import pytest
from pydantic import SecretStr

from proxy.core.errors import RequestError, UpstreamResetError, UpstreamTimeoutError
from proxy.upstream import client as clients
from proxy.upstream import connection as connections
from proxy.upstream.connection import LARGE, MOST_HELD

CHAT = "/v1/chat/completions"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
HUGE = 16 * 2**20


async def exchange(upstream, body=b"{}", method="POST"):
    async with upstream.open(method, CHAT, {}, body) as answer:
        return answer.status, b"".join([part async for part in answer.chunks()])


async def settled(value):
    """Return a value once it no longer changes."""
    seen = []
    async with asyncio.timeout(10):
        while len(seen) < 5 or len(set(seen[-5:])) > 1:
            seen.append(value())
            await asyncio.sleep(0.01)
    return seen[-1]


def pouring(count=None, piece=bytes(65_536)):
    """Return a story that writes `count` chunks, or chunks without end."""

    async def story(wire, reader, writer):
        await wire.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        wire.written = 0
        while count is None or wire.written < count:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            wire.written += 1
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await reader.read()

    return story


async def test_an_answer_that_is_not_read_stops_the_model_and_goes_on_when_it_is(upstream):
    client, wire = await upstream(pouring(HUGE // 65_536))
    async with client.open("POST", CHAT, {}, b"{}") as answer:
        written = await settled(lambda: wire.written)
        assert written * 65_536 < HUGE
        held = answer._reading.held
        assert MOST_HELD < held < 4 * MOST_HELD
        assert len(await anext(answer.chunks())) >= MOST_HELD // 2
        assert held + sum([len(part) async for part in answer.chunks()]) >= HUGE - MOST_HELD
    assert wire.written == HUGE // 65_536
    assert client.pool.kept == 1


async def test_a_reader_that_is_slow_is_not_a_model_that_is(upstream):
    client, wire = await upstream(pouring(HUGE // 65_536), idle_timeout="50ms")
    async with client.open("POST", CHAT, {}, b"{}") as answer:
        await settled(lambda: wire.written)
        await asyncio.sleep(0.2)
        assert sum([len(part) async for part in answer.chunks()]) == HUGE


async def test_after_a_stop_a_model_that_stalls_still_times_out(upstream):
    async def story(wire, reader, writer):
        await wire.request(reader)
        size = 4 * MOST_HELD
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (size + 1) + bytes(size))
        await reader.read()

    client, _ = await upstream(story, idle_timeout="60ms")
    async with client.open("POST", CHAT, {}, b"{}") as answer:
        await settled(lambda: answer._reading.held)
        came = []

        async def read():
            async for part in answer.chunks():
                came.append(len(part))  # noqa: PERF401 - what came before the error counts

        with pytest.raises(UpstreamTimeoutError):
            await read()
        assert sum(came) == 4 * MOST_HELD


async def test_leaving_an_answer_that_was_stopped_ends_the_model(upstream):
    client, wire = await upstream(pouring())
    async with client.open("POST", CHAT, {}, b"{}"):
        await settled(lambda: wire.written)
    await asyncio.wait_for(wire.ended.wait(), 2)
    assert client.pool.lent == 0


async def test_a_large_body_waits_until_the_peer_takes_it(upstream):
    async def story(wire, reader, writer):
        await go.wait()
        await wire.request(reader)
        writer.write(ANSWER)

    go = asyncio.Event()
    client, wire = await upstream(story)
    body = bytes(range(256)) * (HUGE // 256)
    task = asyncio.create_task(exchange(client, body))
    async with asyncio.timeout(5):
        while not client.pool.open:
            await asyncio.sleep(0.002)
    (connection,) = client.pool.open
    waiting = await settled(connection._transport.get_write_buffer_size)
    assert 0 < waiting <= 2 * connections.PIECE
    go.set()
    assert await task == (200, b"{}")
    assert wire.requests[0][2] == body


@pytest.mark.parametrize(("status", "kept"), [(413, 0), (200, 1)])
async def test_an_answer_that_comes_early_is_taken(upstream, status, kept):
    """An error ends the sending; any other answer may wait for the rest of the body."""

    async def story(wire, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 %d X\r\ntransfer-encoding: chunked\r\n\r\n" % status
        writer.write(head)
        await asyncio.wait_for(answered.wait(), 5)
        if status == 200:
            await reader.readexactly(HUGE)
        writer.write(b"2\r\n{}\r\n0\r\n\r\n")
        await reader.read()

    answered = asyncio.Event()
    client, _ = await upstream(story)
    async with client.open("POST", CHAT, {}, bytes(HUGE)) as answer:
        assert answer.status == status
        answered.set()
        assert b"".join([part async for part in answer.chunks()]) == b"{}"
    assert (client.pool.lent, client.pool.kept) == (0, kept)


async def test_a_whole_answer_that_comes_early_is_taken_and_its_connection_closed(upstream):
    async def story(wire, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await reader.read()

    client, wire = await upstream(story)
    assert await exchange(client, bytes(HUGE)) == (200, b"{}")
    assert (client.pool.lent, client.pool.kept) == (0, 0)
    await asyncio.wait_for(wire.ended.wait(), 2)


async def test_a_peer_that_takes_no_more_of_a_body_times_out(upstream):
    async def story(wire, reader, writer):
        await asyncio.sleep(0.5)
        writer.transport.abort()

    client, _ = await upstream(story, first_byte_timeout="60ms")
    with pytest.raises(UpstreamTimeoutError):
        await exchange(client, bytes(HUGE))
    assert client.pool.lent == 0


async def test_a_peer_that_breaks_off_while_it_is_sent_a_body_is_told_as_such(upstream):
    async def story(wire, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    client, wire = await upstream(story)
    with pytest.raises(UpstreamResetError):
        await exchange(client, bytes(HUGE))
    assert wire.connections == 1
    assert client.pool.lent == 0


@pytest.mark.parametrize("size", [0, 1, LARGE, LARGE + 1, LARGE + connections.PIECE])
async def test_bodies_of_any_size_arrive_whole_and_the_connection_is_kept(upstream, size):
    async def story(wire, reader, writer):
        while True:
            await wire.request(reader)
            writer.write(ANSWER)

    client, wire = await upstream(story)
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    for _ in range(2):
        assert await exchange(client, body) == (200, b"{}")
    assert [each[2] for each in wire.requests] == [body, body]
    assert wire.connections == 1


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("GET", None, None),
        ("HEAD", None, None),
        ("DELETE", None, "0"),
        ("POST", None, "0"),
        ("POST", b"", "0"),
        ("POST", b"{}", "2"),
    ],
)
async def test_a_request_says_how_long_it_is(upstream, method, body, length):
    async def story(wire, reader, writer):
        await wire.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n" + b"{}" * (method != "HEAD"))
        await reader.read()

    client, wire = await upstream(story)
    assert await exchange(client, body, method) == (200, b"" if method == "HEAD" else b"{}")
    assert wire.requests[0][1].get("content-length") == length
    assert ("content-type" in wire.requests[0][1]) == (body is not None)


async def test_a_query_is_encoded_after_the_base_urls_own(upstream, answering):
    client, wire = await upstream(answering(ANSWER), path="/v1?api-version=2")
    query = [("stream", "true"), ("after", "a&b=c d\r\nx: y"), ("after", "é")]
    async with client.open("GET", "/v1/responses/resp_1", {}, None, query):
        pass
    line = wire.requests[0][0]
    assert line == (
        "GET /v1/responses/resp_1?api-version=2&stream=true&after=a%26b%3Dc+d%0D%0Ax:+y&after=%C3%A9"
        " HTTP/1.1"
    )


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\0b", "é", "\x7f"])
async def test_what_cannot_stand_in_a_header_is_not_sent(upstream, answering, value, monkeypatch):
    client, wire = await upstream(answering(ANSWER))
    monkeypatch.setattr(clients, "asked", lambda headers, **_: dict(headers))
    for headers in ({"x-a": value}, {value: "x"}):
        with pytest.raises(RequestError) as caught:
            client.open("POST", CHAT, headers, b"{}")
        assert value not in str(caught.value)
    assert wire.connections == 0


async def test_the_credential_is_in_no_repr(upstream, answering):
    client, _ = await upstream(answering(ANSWER), secret=SecretStr("sk-canary"))
    async with client.open("POST", CHAT, {}, b"{}") as answer:
        parts = [client, answer, client.pool, answer._connection, answer._reading]
        assert not any("canary" in repr(each) for each in parts)
