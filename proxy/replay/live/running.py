"""A live replay from its beginning to its result."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from proxy.policy.models import Models
from proxy.replay.live.comparing import compared
from proxy.replay.live.exchange import session
from proxy.replay.live.measured import Measured
from proxy.replay.live.result import Result
from proxy.replay.live.sender import Sender
from proxy.replay.live.sending import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from proxy.policy.loader import Loaded
    from proxy.replay.live.keys import Keys
    from proxy.replay.live.options import Options
    from proxy.replay.live.seen import Seen
    from proxy.traffic.entry import Entry

PORTS = {"http": 80, "https": 443}
ENDINGS = (signal.SIGINT, signal.SIGTERM)


async def run(
    options: Options,
    entries: Iterable[Entry],
    keys: Keys,
    rules: Loaded | None = None,
    progress: Callable[[int], None] | None = None,
) -> Result:
    """Send traffic to a gateway, and return what it decided and how fast.

    entries:  in the order of time
    rules:    policies that it should decide by; None compares nothing
    progress: told of requests that are over, since the last call
    Ctrl-C and SIGTERM end it with what was measured so far; a second one ends the program.
    """
    rules_of = (Models() if rules is None else rules.models).rules
    measured = Measured()
    kept: list[Seen] = []

    def heard(seen: Seen) -> None:
        measured.take(seen)
        if rules is not None:
            kept.append(seen)
        if progress is not None:
            progress(1)

    def left_out(why: str) -> None:
        measured.left_out[why] += 1

    envelope = Envelope(options, keys, rules_of, await own_address(options))
    stop = asyncio.Event()
    async with session(options) as client:
        sender = Sender(
            options, client, envelope, rules_of, stop, heard, left_out, reads=rules is not None
        )
        with _ending(stop):
            ended = await sender.send(entries)
    measured.held, measured.shared = sender.held, len(envelope.shared)
    comparison = None if rules is None else compared(kept, rules)
    return Result(options, measured, comparison, ended)


async def own_address(options: Options) -> str:
    """Return the address that we reach the gateway from, '' where nobody knows; sends nothing."""
    target = options.target
    port = target.port or PORTS[target.scheme]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            target.host, port, type=socket.SOCK_DGRAM
        )
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return ""


@contextmanager
def _ending(stop: asyncio.Event) -> Iterator[None]:
    """Let the first signal to end set `stop`; the second does what it always does."""
    loop = asyncio.get_running_loop()

    def end(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    held = []
    for number in ENDINGS:
        try:
            loop.add_signal_handler(number, end, number)
        except (ValueError, RuntimeError, NotImplementedError):
            continue  # not in the main thread: who runs it there ends it there
        held.append(number)
    try:
        yield
    finally:
        for number in held:
            loop.remove_signal_handler(number)
