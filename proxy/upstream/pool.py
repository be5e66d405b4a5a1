"""The connections to one model API: kept for the next request, bounded, and waited for in order."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamTimeoutError, UpstreamUnreachableError
from proxy.upstream.connection import Connection

if TYPE_CHECKING:
    from proxy.upstream.dialing import Dialer

CLOSING_SECONDS = 1.0
CLOSED = "connections to the model API are closed"

# What a waiting request is given: a kept connection, or None for the room to make one.
Turn = asyncio.Future[Connection | None]


class Pool:
    """Lends connections; whoever borrows one has it asked, and the rest happens by itself.

    most:    connections that are lent, kept or being made at once
    seconds: a request may wait for its turn and its connection
    lent:    those that are with a request, or being made for one
    open:    all that are connected
    """

    def __init__(self, dialer: Dialer, most: int, seconds: float) -> None:
        self._dialer = dialer
        self._most = most
        self._seconds = seconds
        self._kept: dict[Connection, None] = {}
        self._waiting: OrderedDict[Turn, None] = OrderedDict()
        self._closed = False
        self._gone: asyncio.Future[None] | None = None
        self.lent = 0
        self.open: set[Connection] = set()

    @property
    def kept(self) -> int:
        """How many connections wait for a request."""
        return len(self._kept)

    @property
    def waiting(self) -> int:
        """How many requests wait for a connection."""
        return len(self._waiting)

    def ready(self) -> Connection | None:
        """Lend the connection that was used last, if one is kept that the peer left open."""
        while self._kept:
            connection, _ = self._kept.popitem()
            if connection.usable():
                self.lent += 1
                return connection
            connection.abort()
        return None

    async def take(self) -> Connection:
        """Lend a connection as soon as there is one or room for one, in the order of asking.

        To be called in the turn in which `ready` had none.
        Nothing was sent when this raises UpstreamUnreachableError or UpstreamTimeoutError.
        """
        if self._closed:
            raise UpstreamUnreachableError(CLOSED)
        try:
            async with asyncio.timeout(self._seconds):
                connection = await self._turn()
                if connection is not None:
                    if connection.usable():
                        return connection
                    connection.abort()
                connection = None
                try:
                    connection = await self._dial()
                finally:
                    if connection is None:
                        self.drop()
                return connection
        except TimeoutError:
            raise UpstreamTimeoutError("the model API took too long") from None

    async def close(self) -> None:
        """Close all connections; what is being answered on them breaks off."""
        self._closed = True
        for connection in tuple(self.open):
            connection.abort()
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(UpstreamUnreachableError(CLOSED))
        self._waiting.clear()
        if self.open:
            self._gone = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._gone}, timeout=CLOSING_SECONDS)

    # What a connection tells its owner.

    def give(self, connection: Connection) -> None:
        """Hand a connection to who waits longest, or keep it."""
        connection.keep()
        if not self._pass(connection):
            self.lent -= 1
            self._kept[connection] = None

    def drop(self) -> None:
        """Let somebody else have the room of a connection that was lent."""
        if not self._pass(None):
            self.lent -= 1

    def lost(self, connection: Connection) -> None:
        """Count a connection no more."""
        self._kept.pop(connection, None)
        self.open.discard(connection)
        if self._gone is not None and not self.open and not self._gone.done():
            self._gone.set_result(None)

    # What follows.

    async def _turn(self) -> Connection | None:
        """Wait for a kept connection or for room (None); it counts as lent."""
        if self.lent + len(self._kept) < self._most:
            self.lent += 1
            return None
        turn: Turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        try:
            return await turn
        except asyncio.CancelledError:
            self._waiting.pop(turn, None)
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # It was given just now: the next in line shall have it.
                connection = turn.result()
                if connection is not None:
                    self.give(connection)
                else:
                    self.drop()
            raise

    def _pass(self, connection: Connection | None) -> bool:
        """Give the first who waits its turn; False when nobody does."""
        while self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    async def _dial(self) -> Connection:
        connection = await self._dialer.dial(partial(Connection, self))
        # Not when it is made: uvloop never tells of the loss of one whose making was cancelled.
        if connection.open:
            self.open.add(connection)
        if self._closed:
            connection.abort()
        return connection
