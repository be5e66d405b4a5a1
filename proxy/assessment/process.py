"""`weir watch`: an assessor in a process of its own."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING

import structlog

from proxy import metrics
from proxy.assessment.grounds import grounds_of
from proxy.assessment.plane import assessor_of
from proxy.assessment.tasks import ended
from proxy.auth.pepper import load_pepper
from proxy.core.errors import SettingsError
from proxy.journal.writer import journal_of
from proxy.policy.loader import load
from proxy.policy.watcher import PolicyWatcher
from proxy.store.embedded import embedded_url
from proxy.store.open import open_profiles, open_standings
from proxy.watch.detectors import detectors_for
from proxy.watch.features import Lens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from proxy.assessment.assessor import Assessor
    from proxy.core.errors import PolicyError
    from proxy.policy.loader import Loaded
    from proxy.ports import Journal
    from proxy.settings import Settings

FIRST_SLOT, MOST_SLOTS = 1000, 256  # after those of workers
log = structlog.get_logger("weir")


class Heard:
    """A journal that also tells what is written to it; fills `ports.Journal`."""

    def __init__(self, journal: Journal, tell: Callable[[Mapping[str, object]], None]) -> None:
        self._journal = journal
        self._tell = tell
        self.raised = 0

    @property
    def dropped(self) -> int:
        """Records lost so far."""
        return self._journal.dropped

    def write(self, record: Mapping[str, object]) -> None:
        """Enqueue one record, and tell of it."""
        self._journal.write(record)
        self.raised += 1
        self._tell(record)


class InForce:
    """The policies and the calibration in force; a bad edit keeps the last good ones."""

    def __init__(self, directory: Path, pepper: bytes) -> None:
        self._detectors = detectors_for(Lens(pepper).projection)
        self.grounds = grounds_of(load(directory), self._detectors)
        self.watcher = PolicyWatcher(
            directory, self._take, self._keep, in_force=self.grounds.policies.digest
        )

    def _take(self, loaded: Loaded) -> None:
        self.grounds = grounds_of(loaded, self._detectors)
        log.info("policies.taken", digest=loaded.policies.digest)

    def _keep(self, error: PolicyError) -> None:
        for mistake in str(error).splitlines():
            log.error("policies.kept", mistake=mistake)


async def watch(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    once: bool,
    ready: Callable[[str], None],
    tell: Callable[[Mapping[str, object]], None],
) -> int:
    """Assess until the signal to stop comes; return how many levels were changed.

    once:  only what is due now
    ready: told, when it begins, what is watched
    tell:  told each change of a standing, as the journal has it
    SettingsError where it cannot begin, PolicyError for bad policies.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    url = url_of(settings)
    async with AsyncExitStack() as stack:
        standings = open_standings(url, settings.store.environment)
        stack.push_async_callback(standings.close)
        pepper = pepper_of(settings, environ)
        slot = slot_of(settings.home, stack)
        (settings.home / "metrics").mkdir(mode=0o700, exist_ok=True)
        metrics.use_slot(settings.home / "metrics", slot)
        profiles = open_profiles(url, settings.store.environment, pepper, keep=settings.watch.keep)
        stack.push_async_callback(profiles.close)
        written = journal_of(settings.journal, slot)
        stack.callback(written.close)
        journal = Heard(written, tell)
        in_force = InForce(settings.policies, pepper)
        assessor = assessor_of(
            profiles, standings, journal, metrics.Metrics(), lambda: in_force.grounds
        )
        loop.add_signal_handler(signal.SIGHUP, in_force.watcher.reload)
        if once:
            ready(settings.store.shown)
            await _all(assessor, stopping)
        else:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(in_force.watcher.run()),
                    tasks.create_task(assessor.run()),
                ]
                ready(settings.store.shown)
                await stopping.wait()
                await ended(running)
        return journal.raised


def url_of(settings: Settings) -> str:
    """Return the URL of the store; for the embedded one, of the server that `weir serve` runs."""
    if settings.store.kind == "embedded":
        return embedded_url(settings.home)
    return settings.store.url.get_secret_value()


def pepper_of(settings: Settings, environ: Mapping[str, str]) -> bytes:
    """Return the pepper under which profiles are sealed; SettingsError where there is none."""
    pepper = load_pepper(settings.home, environ)
    if pepper is None:
        raise SettingsError(
            f"{settings.home}/pepper: is missing, and profiles are sealed under the gateways'"
            " (WEIR_PEPPER, or the same --home, would do)"
        )
    return pepper


async def _all(assessor: Assessor, stopping: asyncio.Event) -> None:
    """Assess until nothing is due; SettingsError where the store does not answer."""
    while not stopping.is_set() and (found := await assessor.turn()) != 0:
        if found is not None:
            continue
        raise SettingsError("the store does not answer (start it, or mend its URL)")


def slot_of(home: Path, stack: AsyncExitStack | ExitStack) -> int:
    """Return a number for a journal and metrics that no other process of this home has.

    The lock goes with the process, however that ends.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(MOST_SLOTS):
        descriptor = os.open(home / f"watch-{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        stack.callback(os.close, descriptor)
        return FIRST_SLOT + number
    raise SettingsError(f"{MOST_SLOTS} processes watch from {home} already")
