"""One connection to a Redis server, shared by all calls of a worker.

Calls made in one turn of the event loop leave in one write; answers come back in order. Whoever
asked may give up at any time: how its call ended is still learnt, and told.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import hiredis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from proxy.core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

    from proxy.store.scripts import Script

MOST_WAITING = 20_000
SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (AuthenticationError, "the counters' server wants another password"),
    (NoPermissionError, "the counters' server does not permit us this"),
    (BusyLoadingError, "the counters' server is loading its data"),
    (ReadOnlyError, "the counters' server is a read-only replica"),
    (OutOfMemoryError, "the counters' server is out of memory"),
    (MovedError, "the counters' server is part of a cluster (redis+cluster:// would do)"),
    (MasterDownError, "the counters' server has lost its master"),
    (ClusterError, "the counters' cluster is down"),
)


class Fate(Enum):
    """How far a call came. REFUSED: nothing was done. BROKEN: nobody knows what was done."""

    UNSENT = "unsent"
    SENT = "sent"
    ANSWERED = "answered"
    REFUSED = "refused"
    BROKEN = "broken"


@dataclass(slots=True, eq=False)
class Call:
    """One script call on its way.

    reply: what the server said, also when it came too late for whoever asked
    late:  called when its fate becomes known after whoever asked had given up
    sent:  when it left, by the loop's clock
    """

    script: Script
    keys: list[str]
    args: list[str]
    answer: asyncio.Future[list[bytes]]
    late: Callable[[Call], None] | None = None
    fate: Fate = Fate.UNSENT
    sent: float = 0.0
    reply: list[bytes] = field(default_factory=list, repr=False)
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
        await asyncio.wait({self._reader})
        self._break()
        await self._connection.disconnect(nowait=True)

    def _flush(self) -> None:
        leaving, self._leaving = self._leaving, []
        # Who gave up before its call was sent has taken nothing.
        leaving = [call for call in leaving if not call.answer.done()]
        if not self.broken:
            now = self._loop.time()
            for call in leaving:
                call.fate, call.sent = Fate.SENT, now
            self._waiting.extend(leaving)
            self._write(b"".join([call.packed for call in leaving]))
        else:
            for call in leaving:
                _fail(call, "the connection to the counters broke")

    def _write(self, data: bytes) -> None:
        writer = self._connection._writer  # noqa: SLF001 - redis-py sends by coroutine only
        if writer is None or writer.is_closing():
            self._break()
        else:
            writer.write(data)

    async def _read(self) -> None:
        read = self._connection.read_response
        try:
            while not self.broken:
                try:
                    answer = await read(
                        disable_decoding=True, timeout=math.inf, disconnect_on_error=False
                    )
                except ResponseError as error:
                    answer = error
                self._take(answer)
        except (RedisError, OSError):
            pass  # what it meant for the calls is said by their fates
        finally:
            self._break()
            await self._connection.disconnect(nowait=True)

    def _take(self, answer: list[bytes] | ResponseError) -> None:
        call = self._waiting.popleft()
        if isinstance(answer, NoScriptError) and not call.answer.done():
            self._waiting.append(call)
            self._write(_packed(("EVAL", call.script.text, len(call.keys), *call.keys, *call.args)))
        elif isinstance(answer, ResponseError):
            # Also an unknown script whose caller is gone: nobody is served behind its back.
            call.fate = Fate.REFUSED
            _fail(call, sentence(answer))
            if isinstance(answer, ReadOnlyError | MasterDownError):
                self._break()  # the master is elsewhere now: a new connection will find it
        else:
            call.fate, call.reply = Fate.ANSWERED, answer
            if not call.answer.done():
                call.answer.set_result(answer)
            elif call.late is not None:
                call.late(call)

    def _break(self) -> None:
        if self.broken:
            return
        self.broken = True
        waiting, self._waiting = self._waiting, deque()
        self._lost(self)
        for call in waiting:
            call.fate = Fate.BROKEN
            _fail(call, "the connection to the counters broke")


def sentence(error: Exception) -> str:
    """Return what an error of redis-py means, in words of ours; never its own text."""
    for kind, words in SENTENCES:
        if isinstance(error, kind):
            return words
    if isinstance(error, ResponseError):
        code = re.match(r"[A-Z]{3,}\b", str(error))
        return f"the counters' server refuses: {code[0] if code else 'an error in a script'}"
    return f"no connection to the counters ({type(error).__name__})"


def _packed(words: tuple[str | int, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type] # its stub is too narrow
    return packed


def _fail(call: Call, why: str) -> None:
    if not call.answer.done():
        call.answer.set_exception(StoreUnavailableError(why))
    elif call.late is not None:
        call.late(call)
