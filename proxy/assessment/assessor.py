"""Assessing accounts that have changed, and raising those that the evidence speaks against.

Any number of assessors may run: an account that one has claimed is nobody else's until its lease
ends. What an assessor that died had claimed comes back by itself.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy import engine
from proxy.assessment.observer import MISTAKES
from proxy.assessment.records import standing_record
from proxy.core.errors import StoreUnavailableError
from proxy.core.standing import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.assessment.grounds import Grounds
    from proxy.core.errors import WeirError
    from proxy.metrics import Metrics
    from proxy.ports import Journal, Profiles, Standings
    from proxy.watch.profile import Profile

BATCH = 64
LEASE = 30_000_000  # microseconds
IDLE_SECONDS = 0.25  # between two looks where nothing was due
AWAY_SECONDS = 1.0  # where the store did not answer


@dataclass(slots=True)
class Assessor:
    """Assesses what is due. One a worker, or one a `weir watch`.

    grounds:  returns what is in force
    failed:   told of a store that does not answer, once until it does; away: it does not now
    broken:   told the kind of an error that an assessment ended with: a mistake of ours; the
              account is assessed again with its next request
    clock:    microseconds since the epoch
    """

    profiles: Profiles
    standings: Standings
    grounds: Callable[[], Grounds]
    journal: Journal
    metrics: Metrics
    failed: Callable[[WeirError], None]
    broken: Callable[[str], None]
    clock: Callable[[], int] = field(default=lambda: time.time_ns() // 1000)
    away: bool = False

    async def run(self) -> None:
        """Assess for ever."""
        while True:
            found = await self.turn()
            if found is None:
                await asyncio.sleep(AWAY_SECONDS)
            elif found < BATCH:
                await asyncio.sleep(IDLE_SECONDS)

    async def turn(self) -> int | None:
        """Assess what is due, at most BATCH accounts; return how many, None for a store away."""
        try:
            accounts = await self.profiles.due(BATCH, LEASE)
            if accounts:
                await self._assess(accounts)
        except StoreUnavailableError as error:
            self._tell(error)
            return None
        except MISTAKES as error:
            self.broken(type(error).__name__)
            return None
        self.away = False
        return len(accounts)

    async def _assess(self, accounts: Sequence[str]) -> None:
        """Assess claimed accounts, one by one: requests come first."""
        done = []
        for account, profile in zip(accounts, await self.profiles.find(accounts), strict=True):
            if profile is None or await self._assessed(account, profile):
                done.append(account)
            await asyncio.sleep(0)
        await self.profiles.done(done)

    def _tell(self, error: StoreUnavailableError) -> None:
        if not self.away:
            self.failed(error)
        self.away = True

    async def _assessed(self, account: str, profile: Profile) -> bool:
        """Assess an account; False where it must be done again, as the store did not answer."""
        now = max(self.clock(), profile.at)
        self.metrics.watch_lag_seconds.observe((now - profile.at) / 1e6)
        grounds = self.grounds()
        profile.half_lives = grounds.half_lives
        try:
            found = grounds.assess(profile, now, account)
        except MISTAKES as error:
            self.metrics.assessed("failed")
            self.broken(type(error).__name__)
            return True
        if found.level is Level.CLEAR:
            self.metrics.assessed("clear")
            return True
        try:
            held = await self.standings.find(account, now)
            standing = engine.standing_for(found, held)
            changed = standing is not None and await self.standings.lift(account, standing, now)
        except StoreUnavailableError as error:
            self.metrics.assessed("failed")
            self._tell(error)
            return False
        if standing is None or not changed:
            self.metrics.assessed("kept")
            return True
        self.metrics.assessed("raised")
        if held is None or held.level is not standing.level:
            self.metrics.levelled(standing.level.value)
        org = "" if profile.subject is None else profile.subject.org
        self.journal.write(
            standing_record(found, org, held, standing, grounds.policies.digest, grounds.tables)
        )
        return True
