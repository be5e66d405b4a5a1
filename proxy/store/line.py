"""The line to a Redis server: a deadline for every call and a breaker that really opens.

Nobody waits longer than the deadline, counted from when the call left, for a server that does not
answer; after three misses in a row, or a broken connection, nobody waits at all until a probe has
been answered.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from proxy.core.errors import StoreUnavailableError
from proxy.store.wire import Wire, sentence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from redis.asyncio.connection import AbstractConnection

    from proxy.store.wire import Call

MISSES = 3
LATE = 0.005
PROBE_FIRST, PROBE_MOST = 0.05, 1.0
PROBE_CONNECT = 2.0
KEEP_OLD = 30.0


class Line:
    """Calls to one server, over a wire that is renewed when it breaks.

    connect:   makes and connects a connection; raises RedisError or OSError
    deadline:  seconds that a call may take
    recovered: called when the breaker has closed
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[AbstractConnection]],
        deadline: float,
        recovered: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._deadline = deadline
        self._recovered = recovered
        self._wire: Wire | None = None
        self._wires: set[Wire] = set()
        self._misses = 0
        self._why = "the counters do not answer"
        self._opening: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self.closed = False
        self.breaker_open = False
        self.timeouts = 0

    async def say(self, call: Call) -> list[bytes]:
        """Return the answer to a call. StoreUnavailableError after the deadline at the latest."""
        if self.breaker_open or self.closed:
            raise StoreUnavailableError(self._why)
        loop = asyncio.get_running_loop()
        due = loop.time() + self._deadline
        wire = self._wire
        if wire is None or wire.broken:
            wire = await self._opened()
        wire.send(call)
        timer = loop.call_at(due, self._expire, call, due)
        try:
            answer = await call.answer
        finally:
            timer.cancel()
        self._misses = 0
        return answer

    async def close(self) -> None:
        """Let go of connections and end what runs in the background."""
        self.closed = True
        tasks = {*self._chores} | ({self._opening} if self._opening is not None else set())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for wire in list(self._wires):
            await wire.close()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run something in the background, until it ends or the line is closed."""
        task = asyncio.get_running_loop().create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    def _expire(self, call: Call, due: float, *, again: bool = True) -> None:
        if call.answer.done():
            return
        loop = asyncio.get_running_loop()
        now, whole = loop.time(), call.sent + self._deadline
        if whole > now + LATE:
            # It left at the end of a long turn: the server has the whole deadline from then on.
            loop.call_at(whole, self._expire, call, whole)
            return
        behind = now - due
        if again and behind > LATE:
            # It is we who are late: the answer may be here, unread.
            loop.call_later(min(behind, self._deadline), self._expire_at_last, call)
            return
        self.timeouts += 1
        self._misses += 1
        call.answer.set_exception(StoreUnavailableError("the counters did not answer in time"))
        if self._misses >= MISSES:
            self._open_breaker("the counters do not answer")

    def _expire_at_last(self, call: Call) -> None:
        self._expire(call, 0.0, again=False)

    async def _opened(self) -> Wire:
        """Return a connected wire, waiting for it no longer than the deadline."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
        _, missing = await asyncio.wait({self._opening}, timeout=self._deadline)
        if missing:
            self.timeouts += 1
            self._open_breaker("no connection to the counters in time")
        if self._wire is None or self._wire.broken:
            self._open_breaker(self._why)
            raise StoreUnavailableError(self._why)
        return self._wire

    async def _open(self) -> None:
        try:
            connection = await self._connect()
        except (RedisError, OSError) as error:
            self._why = sentence(error)
        else:
            self._install(connection)
        finally:
            self._opening = None

    def _install(self, connection: AbstractConnection) -> None:
        old = self._wire
        self._wire = Wire(connection, self._lost)
        self._wires.add(self._wire)
        if old is not None and not old.broken:
            # Answers that are still to come on it are charges to give back.
            self.start(self._fade(old))

    async def _fade(self, wire: Wire) -> None:
        await asyncio.sleep(KEEP_OLD)
        await wire.close()

    def _lost(self, wire: Wire) -> None:
        self._wires.discard(wire)
        if wire is self._wire:
            self._open_breaker("the connection to the counters broke")

    def _open_breaker(self, why: str) -> None:
        self._why = why
        if not self.breaker_open and not self.closed:
            self.breaker_open = True
            self.start(self._probe())

    async def _probe(self) -> None:
        """Try a new connection until one answers; then close the breaker."""
        pause = PROBE_FIRST
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, PROBE_MOST)
            try:
                async with asyncio.timeout(PROBE_CONNECT):
                    connection = await self._connect()
            except (RedisError, OSError, TimeoutError) as error:
                self._why = sentence(error)
                continue
            try:
                async with asyncio.timeout(max(self._deadline, PROBE_FIRST)):
                    await connection.send_command("PING")
                    await connection.read_response()
            except (RedisError, OSError, TimeoutError) as error:
                self._why = sentence(error)
                await connection.disconnect(nowait=True)
                continue
            break
        self._install(connection)
        self._misses = 0
        self.breaker_open = False
        self._recovered()
