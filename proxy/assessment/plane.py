"""The watch plane of a process, put together: who notes, who assesses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from proxy.assessment.assessor import Assessor
from proxy.assessment.observer import DeltaObserver

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from proxy.assessment.grounds import Grounds
    from proxy.core.errors import WeirError
    from proxy.metrics import Metrics
    from proxy.ports import Journal, Profiles, Standings
    from proxy.settings import Settings

log = structlog.get_logger("weir")


@dataclass(frozen=True, slots=True)
class Plane:
    """What runs beside the requests; None for what this process does not do."""

    observer: DeltaObserver | None = None
    assessor: Assessor | None = None

    def work(self) -> Iterator[Coroutine[None, None, None]]:
        """Yield what is to run for as long as the process does."""
        if self.observer is not None:
            yield self.observer.run()
        if self.assessor is not None:
            yield self.assessor.run()

    async def finish(self) -> None:
        """Write what was noted, once nothing of `work` runs any more."""
        if self.observer is not None:
            await self.observer.finish()


def plane_of(
    settings: Settings,
    profiles: Profiles,
    standings: Standings,
    journal: Journal,
    metrics: Metrics,
    grounds: Callable[[], Grounds],
) -> Plane:
    """Return the plane of a worker, as the settings have it.

    grounds: returns what is in force
    """

    def not_noted(kind: str) -> None:
        log.error("watch.not_noted", error=kind)

    watch = settings.watch
    if not watch.enabled:
        return Plane()
    observer = DeltaObserver(profiles, metrics, grounds, not_noted, watch.flush / 1e6)
    if not watch.assess:
        return Plane(observer)
    return Plane(observer, assessor_of(profiles, standings, journal, metrics, grounds))


def assessor_of(
    profiles: Profiles,
    standings: Standings,
    journal: Journal,
    metrics: Metrics,
    grounds: Callable[[], Grounds],
) -> Assessor:
    """Return an assessor that logs what goes wrong."""

    def failed(error: WeirError) -> None:
        log.error("watch.store_away", why=str(error))

    def broken(kind: str) -> None:
        log.error("watch.not_assessed", error=kind)

    return Assessor(profiles, standings, grounds, journal, metrics, failed, broken)
