"""The composition root of a worker: everything is made here and handed to those who need it."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import logging
import os
import signal
import socket
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import structlog

from proxy import metrics
from proxy.assessment.grounds import Grounds, grounds_of
from proxy.assessment.plane import Plane, plane_of
from proxy.assessment.tasks import ended
from proxy.auth.authenticator import HeaderAuthenticator
from proxy.auth.keyindex import KeyIndex
from proxy.auth.mirror import KeyMirror, follow
from proxy.auth.pepper import ensure_pepper
from proxy.auth.tokens import verifier_of
from proxy.core.errors import StoreUnavailableError
from proxy.core.sealing import Sealing
from proxy.engine import Context
from proxy.front.admission import Admission, Rules
from proxy.front.app import open_door
from proxy.front.chores import Chores
from proxy.front.handler import Handler
from proxy.front.observing import Watch
from proxy.front.ownership import Ownership
from proxy.front.raising import Levels
from proxy.front.recording import Recording
from proxy.front.sealed import Seals
from proxy.front.service import Service
from proxy.front.waiting import WaitingRoom
from proxy.journal.writer import journal_of
from proxy.policy.loader import load
from proxy.policy.watcher import PolicyWatcher
from proxy.settings import load_settings
from proxy.store.memory import MemoryStore
from proxy.store.open import (
    open_client,
    open_objects,
    open_store,
    profiles_beside,
    standings_beside,
)
from proxy.traffic.recorder import recorder_of
from proxy.upstream.routes import upstreams
from proxy.watch.detectors import detectors_for
from proxy.watch.features import Lens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxy.core.errors import PolicyError, WeirError
    from proxy.policy.loader import Loaded
    from proxy.settings import Settings
    from proxy.traffic.recorder import FileRecorder
    from proxy.watch.detectors.measuring import Detector

GAUGE_SECONDS = 1.0
log = structlog.get_logger("weir")


@dataclass(frozen=True, slots=True)
class Boot:
    """What the supervisor tells a worker on its standard input, as one line of JSON.

    slot:     stable number of the worker, 0 and up
    file, flags: where the settings come from, as the supervisor had them
    store:    URL of the counters ('memory', or what the embedded server listens on)
    standin:  base URL of the stand-in model, '' where none runs
    listen:   host and port, both settled
    metrics:  directory of the metric files
    status:   descriptor to which the worker writes what it becomes, a line of JSON each
    """

    slot: int
    file: str
    flags: dict[str, object]
    store: str
    standin: str
    listen: tuple[str, int]
    metrics: str
    status: int

    def line(self) -> bytes:
        """Return the line."""
        return orjson.dumps(asdict(self)) + b"\n"


def boot_of(line: bytes) -> Boot:
    """Read the line of a supervisor."""
    told = orjson.loads(line)
    host, port = told.pop("listen")
    return Boot(listen=(host, port), **told)


def bound(host: str, port: int) -> socket.socket:
    """Return a socket bound with SO_REUSEPORT, not yet listening."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    listening.bind((host, port))
    return listening


def fingerprinter(secret: bytes) -> Callable[[str], str]:
    """Return the keyed hash of texts, 16 hex digits; nobody without the key can confirm a text."""
    key = hmac.digest(secret, b"weir fingerprints", "sha256")

    def fingerprint(text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=8, key=key).hexdigest()

    return fingerprint


async def work(boot: Boot, environ: Mapping[str, str]) -> None:
    """Serve until the signal to stop comes or the supervisor is gone; then drain."""
    settings = load_settings(Path(boot.file) if boot.file else None, environ, boot.flags)
    configure_log(settings.log.level)
    metrics.use_slot(Path(boot.metrics), boot.slot)
    async with AsyncExitStack() as stack:
        worker = await Worker.make(settings, boot, environ, stack)
        await worker.run()


class Worker:
    """One process that serves: the handler and the tasks around it."""

    def __init__(self, settings: Settings, boot: Boot, handler: Handler) -> None:
        self.settings = settings
        self.boot = boot
        self.handler = handler
        self.stopping = asyncio.Event()
        self.watcher: PolicyWatcher
        self.keys: KeyIndex
        self.mirror: KeyMirror | None = None
        self.recorder: FileRecorder | None = None
        self.plane = Plane()
        self.grounds: Grounds
        self.detectors: Sequence[Detector]

    @classmethod
    async def make(
        cls, settings: Settings, boot: Boot, environ: Mapping[str, str], stack: AsyncExitStack
    ) -> Worker:
        """Compose a worker; the stack takes down in reverse what was put up."""
        pepper = ensure_pepper(settings.home, environ, settings.keys)
        keys = KeyIndex(settings.keys, pepper, _told("keys.kept"))
        keys.load()
        told = settings.auth.jwt
        tokens = verifier_of(told, stack, _unfetched) if told else None
        loaded = load(settings.policies)
        journal = journal_of(settings.journal, boot.slot)
        stack.callback(journal.close)
        recorder = recorder_of(settings.record, boot.slot)
        if recorder is not None:
            stack.callback(recorder.close)
        store = open_store(boot.store, deadline_us=settings.store.deadline)
        stack.push_async_callback(store.close)
        apis = upstreams(settings.upstreams, boot.standin or None)
        stack.push_async_callback(apis.close)
        instruments = metrics.Metrics()
        fingerprint = fingerprinter(pepper)
        chores = Chores()
        standings = standings_beside(store, boot.store, settings.store.environment)
        stack.push_async_callback(standings.close)
        admission = Admission(
            store=store,
            local=MemoryStore(),
            context=Context(settings.store.environment, fingerprint),
            metrics=instruments,
            replicas=settings.store.replicas * settings.workers,
            levels=Levels(standings, chores, instruments, _told("level.not_raised")),
        )
        objects = open_objects(boot.store, settings.store.environment, settings.store.deadline)
        stack.push_async_callback(objects.close)
        profiles = profiles_beside(
            store, boot.store, settings.store.environment, pepper, keep=settings.watch.keep
        )
        stack.push_async_callback(profiles.close)
        plane = plane_of(
            settings, profiles, standings, journal, instruments, lambda: worker.grounds
        )
        lens = Lens(pepper)
        handler = Handler(
            authenticator=HeaderAuthenticator(keys if settings.auth.keys else None, tokens),
            admission=admission,
            service=Service(admission, Ownership(objects, admission, instruments), chores),
            waiting=WaitingRoom(settings.answers.most_waiting),
            rules=Rules(loaded.policies, loaded.models),
            upstreams=apis,
            journal=journal,
            metrics=instruments,
            fingerprint=fingerprint,
            seals=Seals(Sealing(pepper)),
            watch=Watch(lens, plane.observer),
            trusted=settings.trusted_networks,
            body_limit=settings.limits.body,
            body_timeout=settings.limits.body_timeout / 1e6,
            tell=settings.answers.tell,
            recording=None if recorder is None else Recording(recorder, fingerprint),
        )
        instruments.recording.set(recorder is not None)
        worker = cls(settings, boot, handler)
        worker.keys = keys
        worker.plane = plane
        worker.detectors = detectors_for(lens.projection)
        worker.grounds = grounds_of(loaded, worker.detectors)
        worker.recorder = recorder
        client = open_client(boot.store)
        if client is not None:
            stack.push_async_callback(client.aclose)
            worker.mirror = KeyMirror(client, settings.store.environment)
        worker.watcher = PolicyWatcher(
            settings.policies, worker.take, worker.keep, in_force=loaded.policies.digest
        )
        return worker

    async def run(self) -> None:
        """Serve, watch, and drain in the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.watcher.reload)
        grace = self.settings.shutdown.grace / 1e6
        with suppress(StoreUnavailableError):
            # Connected before the first burst of requests, which would make it wait.
            await self.handler.admission.store.ping()
        # All that was imported stays: to walk it again and again would stop the loop for 0.1 s.
        gc.collect()
        gc.freeze()
        listening = bound(*self.boot.listen)
        door = await open_door(self.handler, listening, self.settings.limits, grace)
        self._tell(event="ready", policies=self.handler.rules.policies.digest)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(self.watcher.run()),
                tasks.create_task(self.keys.watch()),
                tasks.create_task(self.handler.admission.renew()),
                tasks.create_task(self._gauge()),
                tasks.create_task(self._parent()),
            ]
            if self.mirror is not None:
                told = _told("keys.mirror_away")
                running.append(tasks.create_task(follow(self.mirror, self.keys, told)))
            if self.recorder is not None:
                running.append(tasks.create_task(self.recorder.keep_tidy()))
            running += [tasks.create_task(work) for work in self.plane.work()]
            await self.stopping.wait()
            await door.cleanup()
            await self.handler.service.chores.drain(5)
            await ended(running)
            await self.plane.finish()

    def take(self, loaded: Loaded) -> None:
        """Put a new policy set into force: the next request is decided by it."""
        self.handler.rules = Rules(loaded.policies, loaded.models)
        self.grounds = grounds_of(loaded, self.detectors)
        self.handler.metrics.policy_good.set(1)
        self.handler.metrics.policy_reloads.labels("taken").inc()
        log.info("policies.taken", digest=loaded.policies.digest, worker=self.boot.slot)
        self._tell(event="policies", digest=loaded.policies.digest, mistakes=[])

    def keep(self, error: PolicyError) -> None:
        """Keep the set in force and say what is wrong with the files."""
        mistakes = str(error).splitlines()
        self.handler.metrics.policy_good.set(0)
        self.handler.metrics.policy_reloads.labels("turned_down").inc()
        if self.boot.slot == 0:
            for mistake in mistakes:
                log.error("policies.kept", mistake=mistake)
        digest = self.handler.rules.policies.digest
        self._tell(event="policies", digest=digest, mistakes=mistakes)

    async def _gauge(self) -> None:
        """Show the store's and the journal's state in the metrics and to the supervisor."""
        store, instruments = self.handler.admission.store, self.handler.metrics
        told: bool | None = None
        while True:
            up = not store.breaker_open
            instruments.store_up.set(up)
            instruments.store_backlog.set(len(store.backlog))
            instruments.store_unreadable.set(store.unreadable)
            instruments.journal_dropped.set(self.handler.journal.dropped)
            if self.recorder is not None:
                instruments.recording_dropped.set(self.recorder.dropped)
            if up is not told:
                told = up
                self._tell(event="store", up=up)
            await asyncio.sleep(GAUGE_SECONDS)

    async def _parent(self) -> None:
        """Stop when the supervisor is gone: its end of our standard input closes."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(0), "rb")
        )
        await reader.read()
        self.stopping.set()

    def _tell(self, **what: object) -> None:
        try:
            os.write(self.boot.status, orjson.dumps(what) + b"\n")
        except (BrokenPipeError, BlockingIOError):
            self.stopping.set()


def _unfetched(why: str) -> None:
    log.error("jwks.failed", why=why)


def _told(event: str) -> Callable[[WeirError], None]:
    def tell(error: WeirError) -> None:
        log.error(event, why=str(error))

    return tell


def configure_log(level: str) -> None:
    """Send what Weir tells of itself to stderr, a line each; the journal is another thing."""
    number = getattr(logging, level.upper())
    logging.basicConfig(level=number, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=os.fdopen(os.dup(2), "w")),
        cache_logger_on_first_use=True,
    )
    logging.Formatter.converter = time.gmtime
