"""Connections are kept, bounded and waited for in order; none is lost, none is lent twice."""

import asyncio
import socket
from functools import partial

import pytest

from proxy.core.errors import (
    UpstreamResetError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from proxy.settings.schema import UpstreamSettings
from proxy.upstream import connection as connections
from proxy.upstream import dialing
from proxy.upstream.client import HttpUpstream
from proxy.upstream.connection import Connection

CHAT = "/v1/chat/completions"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"


async def exchange(upstream, body=b"{}", method="POST"):
    async with upstream.open(method, CHAT, {}, body) as answer:
        return answer.status, b"".join([part async for part in answer.chunks()])


async def until(met):
    async with asyncio.timeout(5):
        while not met():
            await asyncio.sleep(0.002)


async def serving(wire, reader, writer):
    """Answer every request on a connection."""
    while True:
        await wire.request(reader)
        writer.write(ANSWER)


class Gate:
    """A story that answers a request when it is told to."""

    def __init__(self):
        self.open = asyncio.Semaphore(0)

    async def __call__(self, wire, reader, writer):
        while True:
            await wire.request(reader)
            await self.open.acquire()
            writer.write(ANSWER)


def counts(pool):
    return pool.lent, pool.kept, pool.waiting, len(pool.open)


async def test_who_waits_is_served_in_order_on_the_connection_that_comes_back(upstream):
    gate = Gate()
    client, wire = await upstream(gate, max_connections=1)
    tasks = [asyncio.create_task(exchange(client, b"%d" % number)) for number in range(4)]
    await until(lambda: client.pool.waiting == 3 and wire.requests)
    assert counts(client.pool) == (1, 0, 3, 1)
    for _ in tasks:
        gate.open.release()
    await asyncio.gather(*tasks)
    assert [body for _, _, body in wire.requests] == [b"0", b"1", b"2", b"3"]
    assert wire.connections == 1
    assert counts(client.pool) == (0, 1, 0, 1)


async def test_who_gives_up_waiting_leaves_its_turn_to_the_next(upstream):
    gate = Gate()
    client, wire = await upstream(gate, max_connections=1)
    tasks = [asyncio.create_task(exchange(client, b"%d" % number)) for number in range(3)]
    await until(lambda: client.pool.waiting == 2 and wire.requests)
    tasks[1].cancel()
    await asyncio.wait({tasks[1]})
    assert client.pool.waiting == 1
    gate.open.release()
    gate.open.release()
    assert await tasks[2] == (200, b"{}")
    assert [body for _, _, body in wire.requests] == [b"0", b"2"]


async def test_a_turn_that_was_given_to_somebody_who_gives_up_goes_on_to_the_next(upstream):
    gate = Gate()
    client, wire = await upstream(gate, max_connections=1)
    tasks = [asyncio.create_task(exchange(client, b"%d" % number)) for number in range(3)]
    await until(lambda: client.pool.waiting == 2 and wire.requests)
    given, real = [], client.pool.give

    def give(connection):
        real(connection)
        if not given:
            given.append(connection)
            tasks[1].cancel()  # its turn is set, and it has not run since

    client.pool.give = give
    gate.open.release()
    gate.open.release()
    assert await tasks[2] == (200, b"{}")
    assert tasks[1].cancelled()
    assert wire.connections == 1
    assert counts(client.pool) == (0, 1, 0, 1)


async def test_waiting_for_a_turn_ends_with_the_connect_timeout(upstream):
    client, wire = await upstream(Gate(), max_connections=1, connect_timeout="50ms")
    first = asyncio.create_task(exchange(client))
    await until(lambda: wire.requests)
    with pytest.raises(UpstreamTimeoutError):
        await exchange(client)
    assert counts(client.pool) == (1, 0, 0, 1)
    first.cancel()
    await asyncio.wait({first})
    await until(lambda: counts(client.pool) == (0, 0, 0, 0))


async def test_room_of_a_connection_that_was_cut_off_goes_to_who_waits(upstream):
    gate = Gate()
    client, wire = await upstream(gate, max_connections=1)
    first = asyncio.create_task(exchange(client, b"0"))
    second = asyncio.create_task(exchange(client, b"1"))
    await until(lambda: client.pool.waiting == 1 and wire.requests)
    first.cancel()
    await until(lambda: len(wire.requests) == 2)
    gate.open.release()
    gate.open.release()
    assert await second == (200, b"{}")
    assert wire.connections == 2
    assert counts(client.pool) == (0, 1, 0, 1)


async def test_a_kept_connection_that_the_peer_closes_is_dropped(upstream, answering):
    async def story(wire, reader, writer):
        await wire.request(reader)
        writer.write(ANSWER)
        await leave.wait()

    leave = asyncio.Event()
    client, _ = await upstream(story)
    await exchange(client)
    assert counts(client.pool) == (0, 1, 0, 1)
    leave.set()
    await until(lambda: counts(client.pool) == (0, 0, 0, 0))


@pytest.mark.parametrize("sign", ["end", "unasked bytes"])
async def test_a_post_does_not_meet_a_kept_connection_that_shows_signs_of_its_end(upstream, sign):
    """Also in the turn of the loop in which nobody has read the sign yet."""

    def serve():
        for _ in range(2):
            peer, _ = server.accept()
            peers.append(peer)
            peer.recv(65536)
            peer.sendall(ANSWER)

    peers = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        port = server.getsockname()[1]
        client = HttpUpstream(UpstreamSettings(name="x", url=f"http://127.0.0.1:{port}"))
        serving = asyncio.get_running_loop().run_in_executor(None, serve)
        await exchange(client)
        if sign == "end":
            peers[0].shutdown(socket.SHUT_WR)
        else:
            peers[0].sendall(ANSWER)
        assert await exchange(client) == (200, b"{}")
        await serving
        assert len(peers) == 2
        await client.close()
        for peer in peers:
            peer.close()


async def test_a_kept_connection_is_closed_after_a_while(upstream, monkeypatch):
    monkeypatch.setattr(connections, "KEPT_SECONDS", 0.05)
    client, wire = await upstream(serving)
    await exchange(client)
    await asyncio.wait_for(wire.ended.wait(), 2)
    await until(lambda: counts(client.pool) == (0, 0, 0, 0))


async def test_the_connection_used_last_is_used_next(upstream):
    gate = Gate()
    client, wire = await upstream(gate)
    tasks = [asyncio.create_task(exchange(client)) for _ in range(3)]
    await until(lambda: len(wire.requests) == 3)
    for _ in range(20):
        gate.open.release()
    await asyncio.gather(*tasks)
    assert counts(client.pool) == (0, 3, 0, 3)
    last = client.pool.ready()
    client.pool.give(last)
    for _ in range(3):
        await exchange(client)
        assert client.pool.ready() is last
        client.pool.give(last)
    assert wire.connections == 3


async def test_a_complete_answer_gives_its_connection_back_before_it_is_read(upstream):
    client, wire = await upstream(serving)
    async with client.open("POST", CHAT, {}, b"{}") as answer:
        assert counts(client.pool) == (0, 1, 0, 1)
        assert (await exchange(client)) == (200, b"{}")
        assert b"".join([part async for part in answer.chunks()]) == b"{}"
    assert wire.connections == 1
    assert counts(client.pool) == (0, 1, 0, 1)


@pytest.mark.parametrize(
    "raw",
    [ANSWER + b"x", ANSWER * 2, ANSWER.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n")],
    ids=["garbage", "a second answer", "close"],
)  # fmt: skip
async def test_a_whole_answer_stands_but_its_connection_is_not_trusted_again(upstream, raw):
    async def story(wire, reader, writer):
        while True:
            await wire.request(reader)
            writer.write(raw)

    client, wire = await upstream(story)
    assert await exchange(client) == (200, b"{}")
    assert await exchange(client) == (200, b"{}")
    assert wire.connections == 2
    await until(lambda: counts(client.pool) == (0, 0, 0, 0))


async def test_an_answer_left_early_frees_its_room_at_once(upstream):
    async def story(wire, reader, writer):
        await wire.request(reader)
        writer.write(STREAM)
        await reader.read()

    client, _ = await upstream(story, max_connections=1)
    for _ in range(3):
        async with client.open("POST", CHAT, {}, b"{}") as answer:
            assert await anext(answer.chunks()) == b"{}"
        assert client.pool.lent == 0
    with pytest.raises(UpstreamResetError):
        await anext(answer.chunks())


async def test_closing_breaks_off_what_is_answered_and_turns_away_who_waits(upstream):
    client, wire = await upstream(Gate(), max_connections=1)
    tasks = [asyncio.create_task(exchange(client)) for _ in range(3)]
    await until(lambda: client.pool.waiting == 2 and wire.requests)
    await client.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in results] == [
        UpstreamResetError, UpstreamUnreachableError, UpstreamUnreachableError]  # fmt: skip
    assert counts(client.pool) == (0, 0, 0, 0)
    with pytest.raises(UpstreamUnreachableError):
        await exchange(client)
    assert counts(client.pool) == (0, 0, 0, 0)


async def test_a_connection_that_is_made_while_all_are_closed_is_closed_too(upstream):
    client, wire = await upstream(serving)
    real = client.pool._dialer.dial

    async def dial(made):
        connection = await real(made)
        await client.close()
        return connection

    client.pool._dialer.dial = dial
    with pytest.raises(UpstreamUnreachableError):
        await exchange(client)
    assert wire.requests == []
    await until(lambda: counts(client.pool) == (0, 0, 0, 0))


async def test_a_connection_that_is_lost_while_it_is_handed_over_is_forgotten(upstream):
    client, _ = await upstream(serving)
    real, dialled = client.pool._dialer.dial, []

    async def dial(made):
        dialled.append(await real(made))
        dialled[0].abort()
        await asyncio.sleep(0.01)
        return dialled[0]

    client.pool._dialer.dial = dial
    with pytest.raises(UpstreamUnreachableError):
        await exchange(client)
    assert counts(client.pool) == (0, 0, 0, 0)


async def test_a_turn_whose_connection_breaks_meanwhile_is_a_turn_to_make_one(upstream):
    gate = Gate()
    client, wire = await upstream(gate, max_connections=1)
    tasks = [asyncio.create_task(exchange(client, b"%d" % number)) for number in range(2)]
    await until(lambda: client.pool.waiting == 1 and wire.requests)
    real = client.pool.give

    def give(connection):
        real(connection)
        client.pool.give = real
        connection.abort()

    client.pool.give = give
    gate.open.release()
    gate.open.release()
    assert await asyncio.gather(*tasks) == [(200, b"{}")] * 2
    assert wire.connections == 2
    assert counts(client.pool) == (0, 1, 0, 1)


async def test_a_connection_that_breaks_before_it_is_asked_was_sent_nothing(upstream):
    client, wire = await upstream(serving)
    real = client.pool.take

    async def take():
        connection = await real()
        connection.abort()
        return connection

    client.pool.take = take
    with pytest.raises(UpstreamUnreachableError):
        await exchange(client)
    assert wire.requests == []
    await until(lambda: counts(client.pool) == (0, 0, 0, 0))


# The making of a connection.


class Owner:
    """Has the connections of these tests."""

    def __init__(self):
        self.made = []

    def lost(self, connection):
        """Its loss is seen by its being open no more."""

    @property
    def open(self):
        return {each for each in self.made if each.open}


async def failing(error, after=0.0):
    await asyncio.sleep(after)
    raise error


async def connecting(owner, port, after=0.0):
    await asyncio.sleep(after)
    made = Connection(owner)
    owner.made.append(made)
    await asyncio.get_running_loop().create_connection(lambda: made, "127.0.0.1", port)
    return made


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield server.getsockname()[1]


async def test_the_next_address_is_tried_when_one_refuses(listening):
    owner = Owner()
    made = await dialing.first(
        [partial(failing, ConnectionRefusedError()), partial(connecting, owner, listening)]
    )
    assert owner.open == {made}
    made.abort()
    await until(lambda: not owner.open)


async def test_the_next_address_is_tried_beside_one_that_dawdles(listening, monkeypatch):
    monkeypatch.setattr(dialing, "STAGGER_SECONDS", 0.01)
    owner = Owner()
    made = await dialing.first(
        [partial(failing, OSError(), 60.0), partial(connecting, owner, listening)]
    )
    assert owner.open == {made}
    made.abort()
    await until(lambda: not owner.open)


async def test_of_two_that_connect_at_once_one_is_closed(listening, monkeypatch):
    monkeypatch.setattr(dialing, "STAGGER_SECONDS", 0.0)
    owner = Owner()
    made = await dialing.first([partial(connecting, owner, listening, 0.02)] * 3)
    await until(lambda: owner.open == {made})
    made.abort()
    await until(lambda: not owner.open)


async def test_whoever_gives_up_leaves_no_attempt_behind(listening, monkeypatch):
    monkeypatch.setattr(dialing, "STAGGER_SECONDS", 0.0)
    owner, before = Owner(), len(asyncio.all_tasks())
    attempts = [partial(connecting, owner, listening, 60.0), partial(failing, OSError(), 60.0)]
    task = asyncio.create_task(dialing.first(attempts))
    await until(lambda: len(asyncio.all_tasks()) == before + 3)
    task.cancel()
    await asyncio.wait({task})
    await until(lambda: not owner.open and len(asyncio.all_tasks()) == before)


@pytest.mark.parametrize("turned", [False, True])
async def test_of_several_failures_that_of_the_tls_is_told(turned):
    attempts = [partial(failing, dialing.ssl.SSLError()), partial(failing, OSError())]
    with pytest.raises(dialing.ssl.SSLError):
        await dialing.first(attempts[::-1] if turned else attempts)


async def test_families_take_turns_and_a_name_is_looked_up_once_for_all(monkeypatch):
    def getaddrinfo(host, port, *, type, flags):  # noqa: A002 - its name there
        if flags:
            raise socket.gaierror
        asked.append(host)
        places = ["::1", "::2", "::3", "127.0.0.1"]
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, 1, 6, "", (each, port)) for each in places]  # fmt: skip

    async def first(attempts):
        tried.append([each.args[1] for each in attempts])
        raise ConnectionRefusedError

    asked, tried = [], []
    monkeypatch.setattr(dialing.socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(dialing, "first", first)
    dialer = dialing.Dialer("model.example", 443, None)
    results = await asyncio.gather(
        *[dialer.dial(lambda: Connection(Owner())) for _ in range(5)], return_exceptions=True
    )
    assert {type(each) for each in results} == {UpstreamUnreachableError}
    assert tried == [["::1", "127.0.0.1", "::2", "::3"]] * 5
    assert asked == ["model.example"]
    with pytest.raises(UpstreamUnreachableError):
        await dialer.dial(lambda: Connection(Owner()))
    assert asked == ["model.example"] * 2  # what was of no use is not remembered


async def test_an_address_of_the_sixth_version_needs_no_looking_up(upstream, monkeypatch):
    def lookup(host, port, flags=0):
        asked.append((host, flags))
        return ["127.0.0.1"]  # not every machine that runs this has the other

    asked = []
    client, wire = await upstream(serving, host="[::1]")
    monkeypatch.setattr(dialing, "lookup", lookup)
    assert await exchange(client, None, "GET") == (200, b"{}")
    assert asked == [("::1", socket.AI_NUMERICHOST)]
    assert wire.requests[0][1]["host"].startswith("[::1]:")
