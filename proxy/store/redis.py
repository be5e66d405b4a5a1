"""The counters in Redis or Valkey: one script call a request, and no waiting for a dead server.

What is told 'unavailable' is decided blind by the engine. Behind its back nothing is lost: a
charge that was taken after all is given back, and corrections that could not be said are kept
(bounded) until the server is back.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from proxy.core.errors import StoreUnavailableError
from proxy.limits.buckets import Distinct, Lease
from proxy.limits.charges import Settlement
from proxy.store import scripts
from proxy.store.memory import once
from proxy.store.wire import Call, OverdueError, UnansweredError, Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redis.asyncio.connection import AbstractConnection

    from proxy.limits.charges import Charge, Charged
    from proxy.store.scripts import Script

MISSES = 3
LATE = 0.005
PROBE_FIRST, PROBE_MOST = 0.05, 1.0
KEEP_OLD = 30.0
BACKLOG = 10_000
BATCH = 200


class RedisStore:
    """Counters on one server; fills `ports.CounterStore`.

    connect:  makes and connects a connection; raises RedisError or OSError
    deadline: seconds that a call may take
    Counters for metrics: `timeouts`, `late` (charges given back), `lost` (corrections dropped).
    """

    def __init__(
        self, connect: Callable[[], Awaitable[AbstractConnection]], deadline: float
    ) -> None:
        self._connect = connect
        self._deadline = deadline
        self._wire: Wire | None = None
        self._offset = 0
        self._misses = 0
        self._opening: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self._closed = False
        self.breaker_open = False
        self.backlog: deque[Settlement | Charge] = deque()
        self.timeouts = self.late = self.lost = 0

    async def charge(self, charges: Sequence[Charge], now: int | None = None) -> Charged:
        """Take every charge, or only the non-binding ones, in one round trip."""
        once(charges)
        try:
            return await self._charge(charges, now)
        except scripts.ClockError as error:
            # Nothing was taken. Our clock is off by this much; once is enough.
            self._offset = error.at - _clock()
            return await self._charge(charges, now)

    async def settle(self, settlements: Sequence[Settlement], now: int | None = None) -> int | None:
        """Correct taken charges; None when it has to wait for the server."""
        keys, args = scripts.settle_words(settlements, now)
        if not keys:
            return None

        def lost(sent: bool) -> None:  # noqa: FBT001 - a callback
            # What may have been said already is not said twice where that would give back more.
            self._keep(_harmless_twice(settlements) if sent else settlements)

        try:
            return int(_whole(await self._call(scripts.SETTLE, keys, args, lost=lost)))
        except OverdueError:
            pass  # the answer, or the loss of it, is still to come
        except UnansweredError:
            lost(True)  # noqa: FBT003
        except StoreUnavailableError:
            self._keep(settlements)
        return None

    async def debit(self, charges: Sequence[Charge], now: int | None = None) -> None:
        """Count, without asking, what was served while the server was away."""
        try:
            await self.charge(charges, now)
        except StoreUnavailableError:
            self._keep(charges)

    async def renew(self, leases: Sequence[Charge], now: int | None = None) -> None:
        """Push the deadlines of held leases on; best effort."""
        keys, args = scripts.renew_words(leases, now)
        try:
            if keys:
                await self._call(scripts.SETTLE, keys, args)
        except StoreUnavailableError:
            return

    async def ping(self) -> None:
        """Return when the server answers. StoreUnavailableError."""
        await self._call(scripts.SETTLE, [], [""])

    async def close(self) -> None:
        """Say what is still to be said, if the server is there; let go of connections."""
        if self.backlog and not self.breaker_open:
            await self._flush()
        self._closed = True
        for task in list(self._chores):
            task.cancel()
        if self._opening is not None:
            self._opening.cancel()
        if self._wire is not None:
            await self._wire.close()

    async def _charge(self, charges: Sequence[Charge], now: int | None) -> Charged:
        near = _clock() + self._offset if now is None else now
        keys, args = scripts.charge_words(charges, now, near)

        def late(answer: list[bytes]) -> None:
            self._give_back(charges, answer)

        answer = await self._call(scripts.CHARGE, keys, args, late)
        return scripts.charged(charges, answer)

    def _give_back(self, charges: Sequence[Charge], answer: list[bytes]) -> None:
        """Return a charge whose caller was told 'unavailable' before the answer came."""
        try:
            found = scripts.charged(charges, answer)
        except scripts.ClockError:
            return
        self.late += 1
        back = [
            Settlement(charge, -charge.cost, receipt.mark)
            for charge, receipt in zip(charges, found.receipts, strict=True)
            if receipt.taken and not isinstance(charge.bucket, Distinct)
        ]
        if back:
            self._keep(back)
            self._start(self._flush())

    async def _call(
        self,
        script: Script,
        keys: list[str],
        args: list[str],
        late: Callable[[list[bytes]], None] | None = None,
        lost: Callable[[bool], None] | None = None,
    ) -> list[bytes]:
        if self.breaker_open:
            raise StoreUnavailableError("the counters do not answer")
        loop = asyncio.get_running_loop()
        began = loop.time()
        wire = self._wire
        if wire is None or wire.broken:
            wire = await self._opened()
        call = Call(script, keys, args, loop.create_future(), late, lost)
        wire.send(call)
        timer = loop.call_at(began + self._deadline, self._expire, call, began + self._deadline)
        try:
            answer = await call.answer
        finally:
            timer.cancel()
        self._misses = 0
        return answer

    def _expire(self, call: Call, due: float, *, again: bool = True) -> None:
        if call.answer.done():
            return
        loop = asyncio.get_running_loop()
        behind = loop.time() - due
        if again and behind > LATE:
            # It is we who are late: the answer may be here, unread.
            loop.call_later(min(behind, self._deadline), self._expire_at_last, call)
            return
        self.timeouts += 1
        self._misses += 1
        call.answer.set_exception(OverdueError("the counters did not answer in time"))
        if self._misses >= MISSES:
            self._open_breaker()

    def _expire_at_last(self, call: Call) -> None:
        self._expire(call, asyncio.get_running_loop().time(), again=False)

    async def _opened(self) -> Wire:
        """Return a connected wire, waiting for it no longer than the deadline."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
        _, missing = await asyncio.wait({self._opening}, timeout=self._deadline)
        if missing:
            self.timeouts += 1
            self._open_breaker()
            raise StoreUnavailableError("no connection to the counters in time")
        if self._wire is None or self._wire.broken:
            self._open_breaker()
            raise StoreUnavailableError("no connection to the counters")
        return self._wire

    async def _open(self) -> None:
        try:
            connection = await self._connect()
        except (RedisError, OSError):
            return
        else:
            self._wire = Wire(connection, self._lost)
        finally:
            self._opening = None

    def _lost(self, wire: Wire) -> None:
        if wire is self._wire and not self._closed:
            self._open_breaker()

    def _open_breaker(self) -> None:
        if not self.breaker_open and not self._closed:
            self.breaker_open = True
            self._start(self._probe())

    async def _probe(self) -> None:
        """Try a new connection until one answers; then close the breaker."""
        pause = PROBE_FIRST
        while self.breaker_open:
            await asyncio.sleep(pause)
            pause = min(pause * 2, PROBE_MOST)
            try:
                async with asyncio.timeout(max(self._deadline, PROBE_FIRST)):
                    connection = await self._connect()
                    await connection.send_command("PING")
                    await connection.read_response()
            except (RedisError, OSError, TimeoutError):
                continue
            old, self._wire = self._wire, Wire(connection, self._lost)
            self._misses = 0
            self.breaker_open = False
            if old is not None and not old.broken:
                # Answers that are still to come on it are charges to give back.
                self._start(_fade(old))
        await self._flush()

    def _keep(self, items: Sequence[Settlement] | Sequence[Charge]) -> None:
        self.backlog.extend(items)
        while len(self.backlog) > BACKLOG:
            self.backlog.popleft()
            self.lost += 1

    async def _flush(self) -> None:
        """Say what could not be said before, oldest first."""
        while self.backlog and not self.breaker_open and not self._closed:
            items = [self.backlog.popleft() for _ in range(min(BATCH, len(self.backlog)))]
            corrections = [item for item in items if isinstance(item, Settlement)]
            debits = [item for item in items if not isinstance(item, Settlement)]
            if corrections:
                await self.settle(corrections)
            for debit in debits:
                await self.debit([replace(debit, binding=False)])

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


def _harmless_twice(settlements: Sequence[Settlement]) -> list[Settlement]:
    """Return what may be said twice: slots given back, and what was used beyond the reserve."""
    return [each for each in settlements if each.delta > 0 or isinstance(each.charge.bucket, Lease)]


async def _fade(wire: Wire) -> None:
    await asyncio.sleep(KEEP_OLD)
    await wire.close()


def _whole(answer: list[bytes] | bytes) -> bytes:
    return answer if isinstance(answer, bytes) else answer[0]


def _clock() -> int:
    return time.time_ns() // 1000
