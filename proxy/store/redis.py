"""The counters in Redis or Valkey: one script call a request, and no waiting for a dead server.

What is told 'unavailable' is decided blind by the engine. Behind its back nothing is lost: a
charge that was taken after all is given back, and corrections that could not be said are kept
(bounded) until the server is back.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from proxy.core.errors import StoreUnavailableError
from proxy.limits.buckets import Distinct
from proxy.limits.charges import Settlement
from proxy.store import scripts
from proxy.store.backlog import Backlog
from proxy.store.line import Line
from proxy.store.memory import once
from proxy.store.wire import Call, Fate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redis.asyncio.connection import AbstractConnection

    from proxy.limits.charges import Charge, Charged
    from proxy.store.scripts import Script


class RedisStore:
    """Counters on one server; fills `ports.CounterStore`.

    connect:  makes and connects a connection; raises RedisError or OSError
    deadline: seconds that a call may take
    For metrics: `breaker_open`, `timeouts`, `late` (charges given back because their answer came
    too late), `len(backlog)` (what is still to be said), `backlog.lost` (what was dropped),
    `unreadable` (standings that could not be read, and so were taken for none).
    """

    def __init__(
        self, connect: Callable[[], Awaitable[AbstractConnection]], deadline: float
    ) -> None:
        self.backlog = Backlog(self._said, self._debit)
        self._line = Line(connect, deadline, lambda: self.backlog.resume(at_once=True))
        self._offset = 0
        self.late = 0
        self.unreadable = 0

    @property
    def breaker_open(self) -> bool:
        """Whether calls fail at once, because the server did not answer."""
        return self._line.breaker_open

    @property
    def timeouts(self) -> int:
        """Calls that waited for their whole deadline in vain."""
        return self._line.timeouts

    async def charge(
        self, charges: Sequence[Charge], now: int | None = None, standing: str = ""
    ) -> Charged:
        """Take every charge, or only the non-binding ones; tell a standing: one round trip."""
        once(charges)
        try:
            return await self._charge(charges, now, standing)
        except scripts.ClockError as error:
            # Nothing was taken. Our clock is off by this much; once is enough.
            self._offset = error.at - _clock()
            return await self._charge(charges, now, standing)

    async def settle(self, settlements: Sequence[Settlement], now: int | None = None) -> int | None:
        """Correct taken charges; None when it has to wait for the server."""
        settlements = [one for one in settlements if not isinstance(one.charge.bucket, Distinct)]
        if not settlements:
            return None
        keys, args = scripts.settle_words(settlements, now)

        def late(call: Call) -> None:
            self._unsaid(settlements, call.fate)

        call = _call(scripts.SETTLE, keys, args, late)
        try:
            at = await self._say(call)
        except StoreUnavailableError:
            self._unsaid(settlements, call.fate)
            return None
        except asyncio.CancelledError:
            self._unsaid(settlements, call.fate)
            raise
        return int(_whole(at))

    async def debit(self, charges: Sequence[Charge], now: int | None = None) -> None:
        """Count, without asking, what was served while the server was away."""
        await self._debit([replace(charge, binding=False) for charge in charges], now)

    async def renew(self, leases: Sequence[Charge], now: int | None = None) -> None:
        """Push the deadlines of held leases on; best effort."""
        keys, args = scripts.renew_words(leases, now)
        try:
            if keys:
                await self._say(_call(scripts.SETTLE, keys, args))
        except StoreUnavailableError:
            return

    async def ping(self) -> None:
        """Return when the server answers. StoreUnavailableError."""
        await self._say(_call(scripts.SETTLE, [], [""]))

    async def close(self) -> None:
        """Say what is still to be said, if the server is there; let go of connections."""
        await self.backlog.close()
        await self._line.close()

    async def _say(self, call: Call) -> list[bytes]:
        answer = await self._line.say(call)
        self.backlog.resume()
        return answer

    async def _charge(self, charges: Sequence[Charge], now: int | None, standing: str) -> Charged:
        near = _clock() + self._offset if now is None else now
        keys, args = scripts.charge_words(charges, now, near, standing)

        def late(call: Call) -> None:
            if call.fate is Fate.ANSWERED:
                self._give_back(charges, call.reply)

        call = _call(scripts.CHARGE, keys, args, late)
        try:
            found = scripts.charged(charges, await self._say(call))
        except asyncio.CancelledError:
            # Answered in the very turn in which the caller left: nobody will read it. What came
            # later than the cancellation or the deadline is given back by `late`.
            answer = call.answer
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                self._give_back(charges, call.reply)
            raise
        return self._with_standing(found, call.reply) if standing else found

    def _with_standing(self, found: Charged, answer: list[bytes]) -> Charged:
        try:
            told = scripts.standing_told(answer)
        except ValueError:
            self.unreadable += 1
            return found
        return found if told is None else replace(found, standing=told)

    async def _said(self, settlements: Sequence[Settlement]) -> bool:
        return await self.settle(settlements) is not None

    async def _debit(self, charges: Sequence[Charge], now: int | None = None) -> bool:
        try:
            # Were it answered late, it would be given back: so it is said again in any case.
            await self.charge(charges, now)
        except StoreUnavailableError:
            self.backlog.keep(charges)
            return False
        return True

    def _give_back(self, charges: Sequence[Charge], answer: list[bytes]) -> None:
        """Return a charge whose caller was told 'unavailable' before the answer came."""
        try:
            found = scripts.charged(charges, answer)
        except scripts.ClockError:
            return
        back = [
            Settlement(charge, -charge.cost, receipt.mark)
            for charge, receipt in zip(charges, found.receipts, strict=True)
            if receipt.taken and not isinstance(charge.bucket, Distinct)
        ]
        if back:
            self.late += 1
            self.backlog.keep(back)
            if not self.breaker_open:
                self.backlog.resume()

    def _unsaid(self, settlements: Sequence[Settlement], fate: Fate) -> None:
        """Keep what has to be said again.

        A call that is under way may still do its work: its fate is waited for.
        """
        match fate:
            case Fate.UNSENT | Fate.REFUSED:
                self.backlog.keep(settlements)
            case Fate.BROKEN:
                self.backlog.keep_safe(settlements)
            case Fate.SENT | Fate.ANSWERED:
                pass


def _call(
    script: Script, keys: list[str], args: list[str], late: Callable[[Call], None] | None = None
) -> Call:
    return Call(script, keys, args, asyncio.get_running_loop().create_future(), late)


def _whole(answer: list[bytes] | bytes) -> bytes:
    return answer if isinstance(answer, bytes) else answer[0]


def _clock() -> int:
    return time.time_ns() // 1000
