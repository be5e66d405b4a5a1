"""Sending on time: arrivals wait for their moment and for nobody's answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.replay.live.exchange import MICRO, Exchange
from proxy.replay.live.seen import Seen
from proxy.replay.live.sending import Request
from proxy.traffic.reading import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from aiohttp import ClientSession

    from proxy.dialects.tokens import RulesOf
    from proxy.replay.live.options import Options
    from proxy.replay.live.sending import Envelope
    from proxy.traffic.entry import Entry

ALL, TIME, COUNT, INTERRUPTED = "all sent", "time", "count", "interrupted"


@dataclass(slots=True)
class Sender:
    """Sends traffic through a client.

    stop:     set to end at once; what is on its way is left
    heard:    told of each request when it is over
    left_out: told why an entry is not sent
    reads:    answers are read for their tokens
    held:     requests that waited since too many were on their way
    """

    options: Options
    client: ClientSession
    envelope: Envelope
    rules_of: RulesOf
    stop: asyncio.Event
    heard: Callable[[Seen], None]
    left_out: Callable[[str], None]
    reads: bool = True
    held: int = 0
    _began: int = 0
    _epoch: int = 0
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, entries: Iterable[Entry]) -> str:
        """Send all, and return why sending ended; every request that was sent is over then."""
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(self._stopped())
            ended = await self._send(entries, group, stopping)
            await self._drain()
            stopping.cancel()
        return INTERRUPTED if self.stop.is_set() else ended

    async def _send(
        self, entries: Iterable[Entry], group: asyncio.TaskGroup, stopping: asyncio.Task[None]
    ) -> str:
        """Start each request at its moment."""
        options, sent, origin = self.options, 0, 0
        self._begin()
        for at, entry in paced(entries, options.speed):
            if self.stop.is_set() or self._now() >= options.lasts:
                return TIME
            request = self.envelope.request(entry)
            if not isinstance(request, Request):
                self.left_out(request)
                await asyncio.sleep(0)
                continue
            if sent >= options.most:
                return COUNT
            if not sent:
                # Time begins with the first that is sent.
                origin = at
                self._begin()
            offset = at - origin
            await self._until(offset, stopping)
            if not await self._room():
                return TIME
            if request.facts is not None and request.facts.references:
                # The answer that it builds on may have come while it waited.
                request = self.envelope.renamed(request)
            now = self._now()
            scheduled = now if options.speed is None else offset
            seen = Seen(request, scheduled, now, self._epoch + now)
            task = group.create_task(self._exchange(seen))
            self._running.add(task)
            task.add_done_callback(self._over)
            sent += 1
            if options.speed is None:
                # The request goes out before the next is made.
                await asyncio.sleep(0)
        return ALL

    async def _stopped(self) -> None:
        await self.stop.wait()
        self._changed.set()

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._changed.set()

    async def _exchange(self, seen: Seen) -> None:
        exchange = Exchange(self.client, seen, self.rules_of, self.reads)
        try:
            await exchange.play()
        finally:
            answer = seen.request.entry.answer
            if seen.object and answer is not None and answer.object:
                self.envelope.made(answer.object, seen.object)
            self.heard(seen)

    async def _until(self, offset: int, stopping: asyncio.Task[None]) -> None:
        """Wait for a moment, or for the end."""
        if self.options.speed is None:
            return
        left = min(offset, self.options.lasts) - self._now()
        if left > 0:
            await asyncio.wait({stopping}, timeout=left / MICRO)
        else:
            # Late already; answers must be heard all the same.
            await asyncio.sleep(0)

    async def _room(self) -> bool:
        """Wait until one more may be on its way; False where the end comes first."""
        end = self.options.lasts
        if len(self._running) >= self.options.together and self.options.speed is not None:
            self.held += 1
        while len(self._running) >= self.options.together:
            if not await self._change(end):
                return False
        return not self.stop.is_set() and self._now() < end

    async def _drain(self) -> None:
        """Give the answers on their way their time; leave what is not there by then."""
        end = self._now() + self.options.grace
        while self._running and await self._change(end):
            pass
        for task in tuple(self._running):
            task.cancel()

    async def _change(self, end: int) -> bool:
        """Wait until an answer is over; False where a moment or the stop comes first."""
        left = end - self._now()
        if left <= 0 or self.stop.is_set():
            return False
        self._changed.clear()
        try:
            async with asyncio.timeout(left / MICRO):
                await self._changed.wait()
        except TimeoutError:
            return False
        return not self.stop.is_set()

    def _begin(self) -> None:
        self._began = time.perf_counter_ns() // 1000
        self._epoch = time.time_ns() // 1000

    def _now(self) -> int:
        """Return the microseconds since the beginning."""
        return time.perf_counter_ns() // 1000 - self._began


def paced(entries: Iterable[Entry], speed: float | None) -> Iterator[tuple[int, Entry]]:
    """Yield each entry with its moment, microseconds after the first's; 0 where nothing paces.

    >>> from proxy.traffic.entry import Entry
    >>> [at for at, _ in paced([Entry(7_000, "k", "a", "o"), Entry(9_000, "k", "a", "o")], 4.0)]
    [0, 500]
    """
    first: int | None = None
    for entry in entries:
        at = moment(entry)
        if first is None:
            first = at
        yield 0 if speed is None else max(0, round((at - first) / speed)), entry
