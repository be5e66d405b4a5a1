"""What could not be said to a store, kept until it can be: corrections, and debits of the blind.

Bounded: the oldest is dropped, and counted, when there are too many.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from proxy.limits.buckets import Lease
from proxy.limits.charges import Charge, Settlement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

MOST = 10_000
BATCH = 200
REST = 1.0


class Backlog:
    """Settlements and charges to be said again, oldest first.

    settle: says corrections; False when they had to be kept (it has kept them itself)
    debit:  says a charge; likewise
    lost:   how many were dropped
    """

    def __init__(
        self,
        settle: Callable[[Sequence[Settlement]], Awaitable[bool]],
        debit: Callable[[Sequence[Charge]], Awaitable[bool]],
    ) -> None:
        self._settle = settle
        self._debit = debit
        self._items: deque[Settlement | Charge] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._rested = 0.0
        self.lost = 0

    def __len__(self) -> int:
        return len(self._items)

    def keep(self, items: Iterable[Settlement] | Iterable[Charge]) -> None:
        """Keep what has to be said again."""
        self._items.extend(items)
        while len(self._items) > MOST:
            self._items.popleft()
            self.lost += 1

    def keep_safe(self, settlements: Sequence[Settlement]) -> None:
        """Keep, of corrections that may have been made already, what errs on the full side.

        A refund given twice would let more through than the limit; a lease given back twice is
        given back once.
        """
        safe = [
            one for one in settlements if one.delta >= 0 or isinstance(one.charge.bucket, Lease)
        ]
        self.lost += len(settlements) - len(safe)
        self.keep(safe)

    def resume(self, *, at_once: bool = False) -> None:
        """Say it all in the background; at once, or unless that failed a moment ago."""
        if self._items and self._flushing is None:
            loop = asyncio.get_running_loop()
            if at_once or loop.time() >= self._rested:
                self._flushing = loop.create_task(self._flush())
                self._flushing.add_done_callback(self._flushed)

    async def close(self) -> None:
        """Say what can be said and end."""
        self.resume(at_once=True)
        if self._flushing is not None:
            await asyncio.wait({self._flushing})

    def _flushed(self, _: asyncio.Task[None]) -> None:
        self._flushing = None

    async def _flush(self) -> None:
        while self._items:
            if not await self._say_oldest():
                self._rested = asyncio.get_running_loop().time() + REST
                return

    async def _say_oldest(self) -> bool:
        oldest = self._items.popleft()
        if isinstance(oldest, Charge):
            return await self._debit([oldest])
        batch = [oldest]
        while self._items and len(batch) < BATCH:
            following = self._items[0]
            if isinstance(following, Charge):
                break
            batch.append(following)
            self._items.popleft()
        return await self._settle(batch)
