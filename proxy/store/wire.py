"""One connection to a Redis server, shared by all calls of a worker.

Calls made in one turn of the event loop leave in one write; answers come back in order. A call
waits no longer than its deadline; its answer, when it comes at last, is still seen.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import hiredis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from proxy.core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

    from proxy.store.scripts import Script

MOST_WAITING = 20_000
LATE = 0.005


class UnansweredError(StoreUnavailableError):
    """A call was sent and will not be answered: it may have been done."""


class OverdueError(StoreUnavailableError):
    """A call was not answered in time: `Call.late` or `Call.lost` will tell."""


@dataclass(slots=True, eq=False)
class Call:
    """One script call on its way.

    late: called with the answer that came after the caller was told 'unavailable'
    lost: called when no answer will come any more and the caller was told 'unavailable' before;
          True: it was sent and may have been done
    """

    script: Script
    keys: list[str]
    args: list[str]
    answer: asyncio.Future[list[bytes]]
    late: Callable[[list[bytes]], None] | None = None
    lost: Callable[[bool], None] | None = None
    packed: bytes = field(default=b"", repr=False)


class Wire:
    """A connected connection with its calls in flight. `lost` is called once, when it breaks."""

    def __init__(self, connection: AbstractConnection, lost: Callable[[Wire], None]) -> None:
        self._connection = connection
        self._lost = lost
        self._leaving: list[Call] = []
        self._waiting: deque[Call] = deque()
        self._loop = asyncio.get_running_loop()
        self._reader = self._loop.create_task(self._read())
        self.broken = False

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, call: Call) -> None:
        """Put a call into this turn's write. StoreUnavailableError when too many wait."""
        if self.broken or len(self._waiting) + len(self._leaving) >= MOST_WAITING:
            raise StoreUnavailableError("the connection to the counters is full or broken")
        call.packed = _packed(("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args))
        if not self._leaving:
            self._loop.call_soon(self._flush)
        self._leaving.append(call)

    async def close(self) -> None:
        """Break off; calls in flight fail."""
        self._reader.cancel()
        self._break()
        await self._connection.disconnect(nowait=True)

    def _flush(self) -> None:
        leaving, self._leaving = self._leaving, []
        # Who gave up before its call was sent has taken nothing.
        for call in leaving:
            if call.answer.done():
                _gone(call, sent=False)
        leaving = [call for call in leaving if not call.answer.done()]
        if self.broken:
            for call in leaving:
                _fail(call)
            return
        self._waiting.extend(leaving)
        self._write(b"".join([call.packed for call in leaving]))

    def _write(self, data: bytes) -> None:
        writer = self._connection._writer  # noqa: SLF001 - redis-py sends by coroutine only
        if writer is None:
            self._break()
        else:
            writer.write(data)

    async def _read(self) -> None:
        read = self._connection.read_response
        try:
            while True:
                try:
                    answer = await read(
                        disable_decoding=True, timeout=math.inf, disconnect_on_error=False
                    )
                except ResponseError as error:
                    answer = error
                self._take(answer)
        except (RedisError, OSError):
            self._break()

    def _take(self, answer: list[bytes] | ResponseError) -> None:
        call = self._waiting.popleft()
        if isinstance(answer, NoScriptError):
            # Nothing was done. Whoever gave up meanwhile is not served behind its back.
            if call.answer.done():
                _gone(call, sent=False)
            else:
                self._waiting.append(call)
                self._write(
                    _packed(("EVAL", call.script.text, len(call.keys), *call.keys, *call.args))
                )
        elif isinstance(answer, ResponseError):
            if call.answer.done():
                _gone(call, sent=False)
            else:
                call.answer.set_exception(
                    StoreUnavailableError(f"the counters refuse: {type(answer).__name__}")
                )
        elif not call.answer.done():
            call.answer.set_result(answer)
        elif call.late is not None:
            call.late(answer)

    def _break(self) -> None:
        if self.broken:
            return
        self.broken = True
        waiting, self._waiting = self._waiting, deque()
        self._lost(self)
        for call in waiting:
            if not call.answer.done():
                call.answer.set_exception(UnansweredError("the connection to the counters broke"))
            else:
                _gone(call, sent=True)


def _gone(call: Call, *, sent: bool) -> None:
    if call.lost is not None:
        call.lost(sent)


def _packed(words: tuple[str | int, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type] # its stub is too narrow
    return packed


def _fail(call: Call) -> None:
    if not call.answer.done():
        call.answer.set_exception(StoreUnavailableError("the connection to the counters broke"))
