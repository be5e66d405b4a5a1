"""The supervisor: owns the embedded store, the stand-in and the operator's port; keeps workers up.

It serves no developer. Everything that it starts ends with it, also when it is killed: workers and
stand-in see their standard input close, the embedded store is told by the kernel.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
import structlog

from proxy.core.errors import SettingsError, StoreUnavailableError
from proxy.core.quantities import format_duration
from proxy.front.admin import Admin, Readiness, open_admin
from proxy.runner import Boot, bound
from proxy.settings.values import host_and_port
from proxy.store.embedded import start_embedded
from proxy.store.open import open_store

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable
    from pathlib import Path

    from proxy.ports import CounterStore
    from proxy.settings import Settings
    from proxy.store.embedded import EmbeddedServer

READY_SECONDS = 30.0
RESTART_SECONDS = 0.5
RESTART_MOST = 8.0
log = structlog.get_logger("weir")


@dataclass(slots=True)
class Slot:
    """One worker's place: the process in it now and what it said of itself."""

    number: int
    process: Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    store_up: bool = True
    digest: str = ""
    mistakes: list[str] = field(default_factory=list)


class Supervisor:
    """Starts everything, keeps it running, takes it down in order."""

    def __init__(
        self,
        settings: Settings,
        file: Path | None,
        flags: dict[str, object],
        said: Callable[[str, int], None],
    ) -> None:
        """Take the settings and where they came from.

        said: called with host and port once all workers are ready
        """
        self._settings = settings
        self._file = "" if file is None else str(file.absolute())
        self._flags = flags
        self._said = said
        self._slots = [Slot(number) for number in range(settings.workers)]
        self._metrics = settings.home / "metrics"
        self._stopping = asyncio.Event()
        self._embedded: EmbeddedServer | None = None
        self._standin: Process | None = None
        self._store: CounterStore | None = None

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM. Raises SettingsError where it cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        settings = self._settings
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(self._metrics, ignore_errors=True)
        self._metrics.mkdir(mode=0o700)
        self._warn()
        holder = _reserve(*host_and_port(settings.listen))
        try:
            store_url = self._start_store()
            standin = await self._start_standin() if settings.needs_standin else ""
            host, port = holder.getsockname()[:2]
            if store_url != "memory":
                self._store = open_store(store_url, deadline_us=settings.store.deadline)
            admin = Admin(self._readiness, self._reload, self._metrics)
            try:
                door = await open_admin(admin, *host_and_port(settings.admin))
            except OSError as error:
                raise SettingsError(f"--admin {settings.admin}: {error.strerror}") from None
            try:
                await self._keep_workers(store_url, standin, (host, port))
            finally:
                await door.cleanup()
        finally:
            holder.close()
            await self._end()

    def _warn(self) -> None:
        """Say aloud that traffic is recorded, where it is: people should not find out later."""
        record = self._settings.record
        if record.on:
            log.warning(
                "recording.on",
                what="PROMPTS AND ANSWERS ARE KEPT IN THE CLEAR",
                directory=str(record.directory),
                keep=format_duration(record.keep),
                keep_bytes=record.keep_bytes,
            )

    async def _keep_workers(self, store: str, standin: str, listen: tuple[str, int]) -> None:
        async with asyncio.TaskGroup() as tasks:
            keepers = [
                tasks.create_task(self._keep(slot, store, standin, listen)) for slot in self._slots
            ]
            keepers.append(tasks.create_task(self._keep_store()))
            keepers.append(tasks.create_task(self._announce(listen)))
            await self._stopping.wait()
            await self._drain()
            for task in keepers:
                task.cancel()

    async def _announce(self, listen: tuple[str, int]) -> None:
        for slot in self._slots:
            await slot.ready.wait()
        self._said(*listen)

    async def _keep(self, slot: Slot, store: str, standin: str, listen: tuple[str, int]) -> None:
        """Keep one slot filled; a worker that dies is followed by another."""
        pause = RESTART_SECONDS
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            await self._one_life(slot, store, standin, listen)
            if self._stopping.is_set():
                return
            lived = asyncio.get_running_loop().time() - began
            pause = RESTART_SECONDS if lived > RESTART_MOST else min(pause * 2, RESTART_MOST)
            code = slot.process.returncode if slot.process else None
            log.error("worker.died", worker=slot.number, code=code, again_in=pause)
            await asyncio.sleep(pause)

    async def _one_life(
        self, slot: Slot, store: str, standin: str, listen: tuple[str, int]
    ) -> None:
        read, write = os.pipe()
        boot = Boot(
            slot.number, self._file, self._flags, store, standin, listen,
            str(self._metrics), write,
        )  # fmt: skip
        slot.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy.cli", "worker",
            stdin=asyncio.subprocess.PIPE, pass_fds=(write,), start_new_session=True,
        )  # fmt: skip
        os.close(write)
        assert slot.process.stdin is not None
        slot.process.stdin.write(boot.line())
        status = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(status), os.fdopen(read, "rb")
        )
        try:
            while line := await status.readline():
                self._hear(slot, orjson.loads(line))
            await slot.process.wait()
        finally:
            slot.ready.clear()
            transport.close()

    def _hear(self, slot: Slot, told: dict[str, object]) -> None:
        match told:
            case {"event": "ready", "policies": str(digest)}:
                slot.digest = digest
                slot.ready.set()
            case {"event": "policies", "digest": str(digest), "mistakes": list(mistakes)}:
                slot.digest, slot.mistakes = digest, [str(each) for each in mistakes]
            case {"event": "store", "up": bool(up)}:
                slot.store_up = up

    async def _readiness(self) -> Readiness:
        checks: dict[str, str] = {}
        ready = True
        missing = [slot.number for slot in self._slots if not slot.ready.is_set()]
        checks["workers"] = f"{len(self._slots) - len(missing)} of {len(self._slots)} ready"
        ready &= not missing and not self._stopping.is_set()
        try:
            if self._store is not None:
                await self._store.ping()
            down = [slot.number for slot in self._slots if not slot.store_up]
            checks["store"] = f"away for workers {down}" if down else "answers"
            ready &= not down
        except StoreUnavailableError:
            checks["store"] = "does not answer"
            ready = False
        mistakes = max((slot.mistakes for slot in self._slots), key=len)
        digests = sorted({slot.digest for slot in self._slots})
        # A broken edit is no reason to stop serving: the last good set is in force.
        checks["policies"] = f"in force: {', '.join(digests)}" + (
            f"; the files on disk have {len(mistakes)} mistakes" if mistakes else ""
        )
        return Readiness(ready, checks)

    def _reload(self) -> int:
        alive = [slot.process for slot in self._slots if slot.ready.is_set() and slot.process]
        for process in alive:
            process.send_signal(signal.SIGHUP)
        return len(alive)

    def _start_store(self) -> str:
        store = self._settings.store
        if store.kind != "embedded":
            return store.url.get_secret_value()
        self._embedded = start_embedded(self._settings.home)
        return self._embedded.url

    async def _keep_store(self) -> None:
        """Start the embedded server again when it died."""
        while self._embedded is not None:
            await asyncio.sleep(RESTART_SECONDS)
            if self._embedded.poll() is not None:
                log.error("store.died", again=True)
                try:
                    # On this thread: the kernel ties the server to the thread that starts it.
                    self._embedded.restart()
                except SettingsError as error:
                    log.error("store.not_restarted", why=str(error))  # noqa: TRY400 - it says all

    async def _start_standin(self) -> str:
        self._standin = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy.cli", "standin", "--listen", "127.0.0.1:0",
            "--until-eof",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert self._standin.stdout is not None
        line = await asyncio.wait_for(self._standin.stdout.readline(), READY_SECONDS)
        if not line:
            raise SettingsError("the stand-in model did not start")
        return line.decode().split()[-1]

    async def _drain(self) -> None:
        grace = self._settings.shutdown.grace / 1e6 + 8
        workers = [slot.process for slot in self._slots if slot.process is not None]
        await _stop(workers, grace)

    async def _end(self) -> None:
        if self._store is not None:
            await self._store.close()
        if self._standin is not None:
            await _stop([self._standin], 3)
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)


async def _stop(processes: list[Process], grace: float) -> None:
    """End processes: SIGTERM, and SIGKILL for those that are still there after `grace` seconds."""
    alive = [process for process in processes if process.returncode is None]
    for process in alive:
        process.terminate()
    waiting = [asyncio.ensure_future(process.wait()) for process in alive]
    if waiting:
        _, late = await asyncio.wait(waiting, timeout=grace)
        for process in alive:
            if process.returncode is None:
                process.kill()
        if late:
            await asyncio.wait(late)


def _reserve(host: str, port: int) -> socket.socket:
    """Hold the developers' port for the workers, after making sure that nobody else has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # SO_REUSEPORT would let two Weirs share a port without noticing.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        return bound(host, port)
    except OSError as error:
        raise SettingsError(
            f"--listen {host}:{port}: {error.strerror} (another port, or stop what listens there)"
        ) from None
