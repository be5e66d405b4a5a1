"""Raising the levels that limits raise: beside the requests, and not with each of them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy import engine
from proxy.core.errors import StoreUnavailableError
from proxy.engine.raising import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.core.decision import Decision, Raise
    from proxy.core.errors import WeirError
    from proxy.core.standing import Standing
    from proxy.front.chores import Chores
    from proxy.limits.charges import Charged
    from proxy.metrics import Metrics
    from proxy.ports import Standings

MINUTE = 60_000_000
MOST_LATELY = 10_000


@dataclass(slots=True)
class Levels:
    """Writes what decisions raise accounts to. One a worker.

    failed: told of a level that could not be written; its limit tries again within a minute
    lately: when an account was last raised by a limit, microseconds, the oldest first
    """

    standings: Standings
    chores: Chores
    metrics: Metrics
    failed: Callable[[WeirError], None]
    lately: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)

    def note(self, account: str, decision: Decision, charged: Charged) -> None:
        """Start to write what a decision raises, if anything; nobody waits for it."""
        standing = engine.standing_after(decision, charged)
        raised = engine.highest(decision)
        if standing is None or raised is None or not self._is_time(account, standing):
            return
        self.chores.start(self._lift(account, standing, raised))

    async def _lift(self, account: str, standing: Standing, raised: Raise) -> None:
        try:
            changed = await self.standings.lift(account, standing, standing.since)
        except StoreUnavailableError as error:
            self.metrics.raised(raised, "failed")
            self.failed(error)
        else:
            self.metrics.raised(raised, "set" if changed else "kept")

    def _is_time(self, account: str, standing: Standing) -> bool:
        """Return whether this limit has not raised this account lately.

        That is within a minute, or within the part of a level's time after which it is prolonged.
        """
        of = (account, standing.by)
        last = self.lately.get(of)
        pause = min(MINUTE, (standing.until - standing.since) // PARTS)
        if last is not None and 0 <= standing.since - last < pause:
            return False
        self.lately[of] = standing.since
        self.lately.move_to_end(of)
        if len(self.lately) > MOST_LATELY:
            self.lately.popitem(last=False)
        return True
