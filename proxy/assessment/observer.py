"""Noting what accounts collect: one delta an account, written to the store again and again.

What has been noted and not yet written is lost with the process: a crash loses no more than the
flush's interval. A batch whose fate is not known (the store did not answer) is kept as it is and
sent again under its number, so that it counts once.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from proxy.ports import Batch
from proxy.watch.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.assessment.grounds import Grounds
    from proxy.metrics import Metrics
    from proxy.ports import Profiles
    from proxy.watch.observation import Observation

MOST_ACCOUNTS = 10_000  # some 8 kB of memory each
MOST_AT_ONCE = 256  # accounts of a batch
MISTAKES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
LAST_SECONDS = 3.0  # for what is left when a process stops


@dataclass(slots=True)
class DeltaObserver:
    """Keeps the deltas of a process; fills `ports.Observer`.

    grounds: returns what is in force, which says how fast profiles forget
    broken: told the kind of an error with which a write ended: a mistake of ours, what was to be
            written is dropped; requests are served all the same
    flush:  seconds between two writes
    most:   accounts that may wait to be written; exchanges of others are dropped meanwhile
    writer: name of this process among all that write profiles, 8 random bytes
    """

    profiles: Profiles
    metrics: Metrics
    grounds: Callable[[], Grounds]
    broken: Callable[[str], None]
    flush: float = 2.0
    most: int = MOST_ACCOUNTS
    writer: bytes = field(default_factory=lambda: secrets.token_bytes(8))
    dropped: int = 0
    _number: int = 0
    _deltas: dict[str, Profile] = field(default_factory=dict)
    _unsure: list[Batch] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Deltas that are not known to be in the store."""
        return len(self._deltas) + sum(len(batch.deltas) for batch in self._unsure)

    def observe(self, seen: Observation) -> None:
        """Note one exchange; never waits, never raises."""
        account = seen.subject.account
        delta = self._deltas.get(account)
        if delta is None:
            if self.waiting >= self.most:
                self.dropped += 1
                self.metrics.watch_dropped.inc()
                return
            delta = self._deltas[account] = Profile(seen.at, self.grounds().half_lives)
        delta.observe(seen)
        self.metrics.watch_observed.inc()

    async def run(self) -> None:
        """Write what was noted, for ever."""
        while True:
            await asyncio.sleep(self.flush)
            await self.write()

    async def write(self) -> None:
        """Write what was noted; what could not be written stays, to be written the next time."""
        began = time.perf_counter()
        sent = bool(self._deltas or self._unsure)
        unsure, self._unsure = self._unsure, []
        for place, batch in enumerate(unsure):
            try:
                await self._add(batch)
            except asyncio.CancelledError:
                self._unsure += unsure[place + 1 :]
                raise
        held = {account for batch in self._unsure for account in batch.deltas}
        ready = [account for account in self._deltas if account not in held]
        for start in range(0, len(ready), MOST_AT_ONCE):
            self._number += 1
            accounts = ready[start : start + MOST_AT_ONCE]
            deltas = {account: self._deltas.pop(account) for account in accounts}
            await self._add(Batch(self.writer, self._number, deltas))
        if sent:
            self.metrics.watch_flush_seconds.observe(time.perf_counter() - began)
        self.metrics.watch_waiting.set(self.waiting)

    async def finish(self) -> None:
        """Write what is left, for at most LAST_SECONDS."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self.write()
        except TimeoutError:
            pass

    async def _add(self, batch: Batch) -> None:
        """Send a batch; what of it is not known to be stored is kept as it is."""
        try:
            left = await self.profiles.add(batch)
        except asyncio.CancelledError:
            self._unsure.append(batch)
            raise
        except MISTAKES as error:
            self.dropped += len(batch.deltas)
            self.metrics.watch_dropped.inc(len(batch.deltas))
            self.broken(type(error).__name__)
            return
        if left:
            deltas = {account: batch.deltas[account] for account in left}
            self._unsure.append(replace(batch, deltas=deltas))
