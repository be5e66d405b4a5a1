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

from proxy.core.errors import StoreUnavailableError
from proxy.limits.buckets import Distinct, Lease
from proxy.limits.charges import Settlement
from proxy.store import scripts
from proxy.store.line import Line
from proxy.store.memory import once
from proxy.store.wire import Call, Fate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redis.asyncio.connection import AbstractConnection

    from proxy.limits.charges import Charge, Charged
    from proxy.store.scripts import Script

BACKLOG = 10_000
BATCH = 200
REST = 1.0


class RedisStore:
    """Counters on one server; fills `ports.CounterStore`.

    connect:  makes and connects a connection; raises RedisError or OSError
    deadline: seconds that a call may take
    For metrics: `breaker_open`, `timeouts`, `backlog` (what is still to be said), `late` (charges
    given back because their answer came too late), `lost` (corrections dropped).
    """

    def __init__(
        self, connect: Callable[[], Awaitable[AbstractConnection]], deadline: float
    ) -> None:
        self._line = Line(connect, deadline, self._recovered)
        self._offset = 0
        self._flushing = False
        self._rested = 0.0
        self.backlog: deque[Settlement | Charge] = deque()
        self.late = self.lost = 0

    @property
    def breaker_open(self) -> bool:
        """Whether calls fail at once, because the server did not answer."""
        return self._line.breaker_open

    @property
    def timeouts(self) -> int:
        """Calls that waited for their whole deadline in vain."""
        return self._line.timeouts

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
        if not self._flushing and not self.breaker_open:
            await self._flush()
        await self._line.close()

    async def _say(self, call: Call) -> list[bytes]:
        answer = await self._line.say(call)
        if self.backlog and not self._flushing:
            self._recovered()
        return answer

    async def _charge(self, charges: Sequence[Charge], now: int | None) -> Charged:
        near = _clock() + self._offset if now is None else now
        keys, args = scripts.charge_words(charges, now, near)

        def late(call: Call) -> None:
            if call.fate is Fate.ANSWERED:
                self._give_back(charges, call.reply)

        answer = await self._say(_call(scripts.CHARGE, keys, args, late))
        return scripts.charged(charges, answer)

    async def _debit(self, charges: Sequence[Charge], now: int | None = None) -> bool:
        try:
            # Were it answered late, it would be given back: so it is said again in any case.
            await self.charge(charges, now)
        except StoreUnavailableError:
            self._keep(charges)
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
            self._keep(back)
            self._recovered()

    def _unsaid(self, settlements: Sequence[Settlement], fate: Fate) -> None:
        """Keep what has to be said again.

        A call that is under way may still do its work: its fate is waited for. Where nobody will
        ever know, only what errs on the full side is said again: a refund given twice would let
        more through than the limit.
        """
        match fate:
            case Fate.UNSENT | Fate.REFUSED:
                self._keep(settlements)
            case Fate.BROKEN:
                safe = [one for one in settlements if one.delta >= 0 or _is_lease(one)]
                self.lost += len(settlements) - len(safe)
                self._keep(safe)
            case Fate.SENT | Fate.ANSWERED:
                pass

    def _keep(self, items: Sequence[Settlement] | Sequence[Charge]) -> None:
        self.backlog.extend(items)
        while len(self.backlog) > BACKLOG:
            self.backlog.popleft()
            self.lost += 1

    def _recovered(self) -> None:
        """Say the backlog now, unless the server has just refused it."""
        loop = asyncio.get_running_loop()
        idle = not self._flushing and not self._line.closed and not self.breaker_open
        if self.backlog and idle and loop.time() >= self._rested:
            self._flushing = True
            self._line.start(self._flush())

    async def _flush(self) -> None:
        """Say what could not be said before, oldest first; stop at the first that fails."""
        self._flushing = True
        try:
            while self.backlog and not self.breaker_open:
                if not await self._say_oldest():
                    self._rested = asyncio.get_running_loop().time() + REST
                    return
        finally:
            self._flushing = False

    async def _say_oldest(self) -> bool:
        oldest = self.backlog.popleft()
        if not isinstance(oldest, Settlement):
            return await self._debit([oldest])
        batch = [oldest]
        while self.backlog and len(batch) < BATCH and isinstance(self.backlog[0], Settlement):
            batch.append(self.backlog.popleft())  # type: ignore[arg-type] # looked at above
        return await self.settle(batch) is not None


def _call(
    script: Script, keys: list[str], args: list[str], late: Callable[[Call], None] | None = None
) -> Call:
    return Call(script, keys, args, asyncio.get_running_loop().create_future(), late)


def _is_lease(settlement: Settlement) -> bool:
    return isinstance(settlement.charge.bucket, Lease)


def _whole(answer: list[bytes] | bytes) -> bytes:
    return answer if isinstance(answer, bytes) else answer[0]


def _clock() -> int:
    return time.time_ns() // 1000
