"""How a connection to a host is made: its name looked up, its addresses tried side by side."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from proxy.upstream.connection import Connection

    Attempt = Callable[[], Coroutine[None, None, Connection]]

REMEMBERED_SECONDS = 30.0
STAGGER_SECONDS = 0.25  # RFC 8305, section 5


class Dialer:
    """Makes connections to one host.

    host: a name or a numeric address, an IPv6 one without brackets
    tls:  what its certificate is verified by; None connects without TLS
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._known: list[str] = []
        self._until = 0.0
        self._asking: asyncio.Future[list[str]] | None = None

    async def dial(self, made: Callable[[], Connection]) -> Connection:
        """Connect, with what `made` makes as protocol.

        Raises UpstreamUnreachableError, and TimeoutError where the system gave up waiting.
        """
        try:
            addresses = self._numeric() or await self._addresses()
        except (OSError, UnicodeError):
            raise UpstreamUnreachableError("the model API's name is not known") from None
        try:
            return await first([partial(self._attempt, made, each) for each in addresses])
        except TimeoutError:
            self._known = []
            raise
        except ssl.SSLError:
            raise UpstreamUnreachableError("the model API could not be trusted (TLS)") from None
        except (OSError, RuntimeError):  # uvloop tells some failures of a socket as RuntimeError
            self._known = []
            raise UpstreamUnreachableError("the model API took no connection") from None

    async def _attempt(self, made: Callable[[], Connection], address: str) -> Connection:
        loop = asyncio.get_running_loop()
        if self._tls is None:
            _, connection = await loop.create_connection(made, address, self._port)
        else:
            name = self._host.rstrip(".")
            _, connection = await loop.create_connection(
                made, address, self._port, ssl=self._tls, server_hostname=name
            )
        return connection

    def _numeric(self) -> list[str]:
        """Return the host itself where it needs no looking up."""
        try:
            return lookup(self._host, self._port, socket.AI_NUMERICHOST)
        except OSError:
            return []

    async def _addresses(self) -> list[str]:
        """Return the host's addresses; one look-up serves all who wait for it."""
        loop = asyncio.get_running_loop()
        if self._known and loop.time() < self._until:
            return self._known
        if self._asking is None:
            self._asking = loop.run_in_executor(None, lookup, self._host, self._port)
            self._asking.add_done_callback(self._learn)
        return await asyncio.shield(self._asking)

    def _learn(self, answer: asyncio.Future[list[str]]) -> None:
        self._asking = None
        if not answer.cancelled() and answer.exception() is None:
            self._known = answer.result()
            self._until = answer.get_loop().time() + REMEMBERED_SECONDS


def lookup(host: str, port: int, flags: int = 0) -> list[str]:
    """Return the numeric addresses of a host, families in turn. OSError when there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    families: dict[int, list[str]] = {}
    for family, _, _, _, place in found:
        families.setdefault(family, []).append(str(place[0]))
    queues = list(families.values())
    longest = max(map(len, queues))
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


async def first(attempts: Sequence[Attempt]) -> Connection:
    """Return the first connection that is made; a new attempt begins when one fails or dawdles.

    Raises what the attempts raised: a TLS error before others, as it came farthest.
    """
    if len(attempts) == 1:
        return await attempts[0]()
    failures: list[BaseException] = []
    begun: list[asyncio.Task[Connection]] = []
    running: set[asyncio.Task[Connection]] = set()
    winner: asyncio.Task[Connection] | None = None
    try:
        while winner is None and (running or len(begun) < len(attempts)):
            more = len(begun) < len(attempts)
            if more:
                begun.append(asyncio.create_task(attempts[len(begun)]()))
                running.add(begun[-1])
                more = len(begun) < len(attempts)
            done, running = await asyncio.wait(
                running,
                timeout=STAGGER_SECONDS if more else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                failure = task.exception()
                if failure is not None:
                    failures.append(failure)
                elif winner is None:
                    winner = task
    finally:
        for task in begun:
            if task is not winner:
                task.cancel()
                task.add_done_callback(unwanted)
    if winner is not None:
        return winner.result()
    raise next((each for each in failures if isinstance(each, ssl.SSLError)), failures[-1])


def unwanted(task: asyncio.Task[Connection]) -> None:
    """Close what an attempt that lost has made all the same."""
    if not task.cancelled() and task.exception() is None:
        task.result().abort()
