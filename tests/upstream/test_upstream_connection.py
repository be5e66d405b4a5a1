"""What a connection does between two events of its transport, which here is a stand-in."""

import asyncio
import socket

import pytest

from proxy.core.errors import UpstreamResetError, UpstreamUnreachableError
from proxy.upstream.connection import LARGE, MOST_HELD, PIECE, Connection
from proxy.upstream.reading import Reading

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BEGUN = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (2 * MOST_HELD)


class Transport(asyncio.Transport):
    """Notes what it is told; `waiting` bytes are not yet sent."""

    def __init__(self, sock):
        super().__init__({"socket": sock})
        self.told = []
        self.waiting = 0
        self.closing = False

    def write(self, data):
        self.told.append(("write", len(data)))

    def get_write_buffer_size(self):
        return self.waiting

    def is_closing(self):
        return self.closing

    def abort(self):
        self.told.append("abort")
        self.closing = True

    def pause_reading(self):
        self.told.append("pause")

    def resume_reading(self):
        self.told.append("resume")


class Owner:
    """Notes what becomes of the one connection."""

    def __init__(self):
        self.told = []

    def give(self, connection):
        self.told.append("given")
        connection.keep()

    def drop(self):
        self.told.append("dropped")

    def lost(self, connection):
        self.told.append("lost")


@pytest.fixture
async def made():
    """Return (connection, transport, owner)."""
    here, there = socket.socketpair()
    owner, transport = Owner(), Transport(here)
    connection = Connection(owner)
    connection.connection_made(transport)
    yield connection, transport, owner
    connection.connection_lost(None)
    here.close()
    there.close()


def asked(connection, body=b"{}"):
    reading = Reading("POST")
    connection.ask(reading, b"head", body, 5.0, 5.0)
    return reading


async def test_a_whole_answer_gives_the_connection_back(made):
    connection, transport, owner = made
    reading = asked(connection)
    connection.data_received(ANSWER)
    assert reading.complete
    assert (owner.told, transport.told) == (["given"], [("write", 6)])


async def test_a_connection_is_not_given_back_while_the_request_is_being_sent(made):
    connection, transport, owner = made
    asked(connection, bytes(LARGE + 1))
    connection.data_received(ANSWER)
    assert (owner.told, transport.told) == (["dropped"], [("write", 4), "abort"])


async def test_a_connection_is_not_given_back_while_the_request_waits_to_leave(made):
    connection, transport, owner = made
    asked(connection)
    transport.waiting = 1
    connection.data_received(ANSWER)
    assert (owner.told, transport.told[-1]) == (["dropped"], "abort")


async def test_a_connection_is_not_given_back_when_it_is_closing(made):
    connection, transport, owner = made
    asked(connection)
    transport.closing = True
    connection.data_received(ANSWER)
    assert owner.told == ["dropped"]


async def test_a_connection_that_was_stopped_is_given_back_running(made):
    connection, transport, owner = made
    asked(connection)
    connection.data_received(BEGUN + bytes(MOST_HELD))
    assert (transport.told[-1], connection.paused) == ("pause", True)
    connection.data_received(bytes(MOST_HELD))  # it was on its way, as under TLS
    assert (owner.told, transport.told[-1], connection.paused) == (["given"], "resume", False)


async def test_after_a_stop_the_model_has_its_whole_time_again(made):
    connection, transport, _ = made
    reading = asked(connection)
    connection.data_received(BEGUN + bytes(MOST_HELD))
    connection._deadline = 0.0
    connection.resume(Reading("POST"))
    assert transport.told[-1] == "pause"  # it is not that answer's to resume
    connection.resume(reading)
    assert transport.told[-1] == "resume"
    assert connection._deadline > asyncio.get_running_loop().time() + 4.0


async def test_what_comes_when_nobody_asked_closes_the_connection(made):
    connection, transport, owner = made
    connection.data_received(ANSWER)
    assert (owner.told, transport.told) == ([], ["abort"])


async def test_the_end_when_nobody_asked_closes_the_connection(made):
    connection, transport, owner = made
    assert not connection.eof_received()
    assert (owner.told, transport.told) == ([], ["abort"])


async def test_a_loss_without_a_reason_may_be_the_end_of_a_body(made):
    connection, _, owner = made
    reading = asked(connection)
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n{}")
    connection.connection_lost(None)
    assert (reading.complete, reading.taken()) == (True, b"{}")
    assert owner.told == ["dropped", "lost"]


async def test_a_loss_for_a_reason_never_is(made):
    connection, _, owner = made
    reading = asked(connection)
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n{}")
    connection.connection_lost(ConnectionResetError())
    assert isinstance(reading.failure, UpstreamResetError)
    assert owner.told == ["dropped", "lost"]


async def test_on_a_closed_connection_nothing_is_written(made):
    connection, transport, owner = made
    transport.closing = True
    reading = asked(connection)
    assert isinstance(reading.failure, UpstreamUnreachableError)
    assert owner.told == ["dropped"]
    assert ("write", 6) not in transport.told


async def test_a_large_body_stops_where_the_connection_closes(made):
    connection, transport, _ = made
    reading = asked(connection, bytes(LARGE + 1))
    transport.closing = True
    await connection.send_on(reading, bytes(LARGE + 1))
    assert transport.told == [("write", 4)]


# an early answer's status, and what is written of a large body after it
@pytest.mark.parametrize(("status", "rest"), [(413, []), (200, [("write", 2 * LARGE)])])
async def test_after_an_early_answer_the_rest_is_sent_at_once_or_kept(made, status, rest):
    connection, transport, _ = made
    body = bytes(2 * LARGE)
    reading = asked(connection, body)
    connection.data_received(b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\n" % status)
    await connection.send_on(reading, body)
    assert transport.told == [("write", 4), *rest]


async def test_a_large_body_is_sent_in_pieces(made):
    connection, transport, _ = made
    body = bytes(LARGE + 1)
    await connection.send_on(asked(connection, body), body)
    assert transport.told == [("write", 4), *[("write", PIECE)] * (LARGE // PIECE), ("write", 1)]


async def test_deadlines_move_one_timer(made):
    connection, _, _ = made
    loop = asyncio.get_running_loop()
    asked(connection)
    first = connection._alarm
    connection.data_received(BEGUN)
    connection._deadline = 0.0
    for _ in range(100):
        connection.data_received(b"x")
    assert connection._alarm is first
    assert connection._deadline > loop.time() + 4.0
    connection._ring()  # as if its time had come: the deadline lies later
    assert connection._alarm_at == connection._deadline > loop.time() + 4.0


async def test_an_earlier_deadline_moves_the_timer(made):
    connection, _, _ = made
    reading = Reading("POST")
    connection.ask(reading, b"head", b"", 50.0, 1.0)
    late = connection._alarm
    connection.data_received(BEGUN)
    assert late.cancelled()
    assert connection._alarm_at < asyncio.get_running_loop().time() + 2.0


async def test_a_lost_connection_has_no_timer(made):
    connection, _, _ = made
    asked(connection)
    alarm = connection._alarm
    connection.connection_lost(None)
    assert alarm.cancelled()


async def test_a_woken_borrower_does_not_disturb_the_next(made):
    """The answer wakes the first; the second asks before the first has run."""
    connection, _, _ = made
    asked(connection)
    first = connection.news()
    connection.data_received(ANSWER)
    assert first.done()
    asked(connection)
    second = connection.news()
    await first
    connection.data_received(ANSWER)
    assert second.done()
