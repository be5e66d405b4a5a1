"""The stand-in as a server: for tests inside a process, and for the command line."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from proxy.standin.handler import Standin
from proxy.standin.recording import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BACKLOG = 4096
# aiohttp may take twice this; answers still being written are cut.
SHUTDOWN_SECONDS = 0.2

Ready = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Running:
    """A stand-in that answers at `url` ('http://127.0.0.1:8090', without a path)."""

    url: str
    recorder: Recorder


async def start(
    host: str = "127.0.0.1", port: int = 0, *, require_key: str = "", record: bool = False
) -> tuple[web.ServerRunner, str, Recorder]:
    """Serve until the runner's `cleanup`; the URL has no path. OSError: no such address to be had.

    Set the recorder's `stopping` before the cleanup, or what still runs counts as 'aborted'.
    port:        0 lets the system choose
    require_key: the only bearer credential that is let in; '' lets all in
    record:      keep header values and bodies in `recorded`
    """
    recorder = Recorder(record=record)
    standin = Standin(recorder, require_key)
    server = web.Server(standin.handle, handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
    bound = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    return runner, f"http://{shown}:{bound}", recorder


@asynccontextmanager
async def running(
    host: str = "127.0.0.1", port: int = 0, *, require_key: str = "", record: bool = False
) -> AsyncIterator[Running]:
    """Serve as `start` does, while the context lasts."""
    runner, url, recorder = await start(host, port, require_key=require_key, record=record)
    try:
        yield Running(url, recorder)
    finally:
        recorder.stopping = True
        await runner.cleanup()


async def serve(
    host: str,
    port: int,
    *,
    require_key: str = "",
    record: bool = False,
    ready: Ready | None = None,
) -> None:
    """Serve until cancelled; `ready` is called with the URL once connections are taken."""
    async with running(host, port, require_key=require_key, record=record) as standin:
        if ready is not None:
            ready(standin.url)
        await asyncio.Event().wait()


def announce(url: str) -> None:
    """Say on standard output where we listen."""
    sys.stdout.write(f"listening on {url}\n")
    sys.stdout.flush()


def run(host: str, port: int, ready: Ready = announce, *, until_eof: bool = False) -> None:
    """Serve until SIGTERM or SIGINT, on uvloop where there is one.

    until_eof: also end when standard input, a pipe, is closed: whoever started us is gone
    """
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415 - not on every platform

        new_loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_until_told(host, port, ready, until_eof=until_eof))


async def _until_told(host: str, port: int, ready: Ready, *, until_eof: bool) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with running(host, port) as standin:
        ready(standin.url)
        if not until_eof:
            await told.wait()
            return
        pipe = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(pipe), sys.stdin
        )
        try:
            ends = {asyncio.ensure_future(told.wait()), asyncio.ensure_future(_end_of(pipe))}
            _, left = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
        finally:
            transport.close()


async def _end_of(pipe: asyncio.StreamReader) -> None:
    while await pipe.read(4096):
        pass
