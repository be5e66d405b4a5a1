"""Hot reload: a directory is looked at, not a file, and its content decides.

A ConfigMap changes by a link to a new folder; inotify on a file sees that once and never again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from proxy.core.errors import PolicyError
from proxy.policy.files import all_files, digest
from proxy.policy.loader import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from proxy.policy.loader import Loaded

INTERVAL_SECONDS = 0.5
THOROUGH_SECONDS = 10.0
SETTLE_SECONDS = 0.05


class PolicyWatcher:
    """Reads a directory again when it has changed; the last good set stays until a better comes.

    take:     called with each new good set, on the event loop
    keep:     called with the mistakes of a bad one, once per content
    interval: seconds between looks at names and times
    in_force: digest of the set that is in force; None for what the directory holds now
    thorough: seconds between looks at the contents, for filesystems whose times say nothing
    """

    def __init__(
        self,
        directory: Path,
        take: Callable[[Loaded], None],
        keep: Callable[[PolicyError], None],
        interval: float = INTERVAL_SECONDS,
        *,
        in_force: str | None = None,
        thorough: float = THOROUGH_SECONDS,
    ) -> None:
        self._directory = directory
        self._take = take
        self._keep = keep
        self._interval = interval
        self._thorough = thorough
        self._signature: tuple[object, ...] = ()
        self._digest = content(directory) if in_force is None else in_force
        self._asked = asyncio.Event()

    def reload(self) -> None:
        """Look now, and tell what is found even when nothing has changed."""
        self._asked.set()

    async def run(self) -> None:
        """Watch until cancelled. Files are read in a thread: running answers do not wait for it."""
        looked = 0.0
        while True:
            asked = self._asked.is_set()
            self._asked.clear()
            signature = await asyncio.to_thread(signature_of, self._directory)
            now = time.monotonic()
            if asked or signature != self._signature or now - looked >= self._thorough:
                looked, self._signature = now, signature
                await self._look(asked=asked)
            try:
                async with asyncio.timeout(self._interval):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def _look(self, *, asked: bool) -> None:
        """Read the directory when its content is another than last time."""
        found = await asyncio.to_thread(content, self._directory)
        if found == self._digest and not asked:
            return
        # An editor may write a file in two goes: what is read has stood still for a moment.
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            again = await asyncio.to_thread(content, self._directory)
            if again == found:
                break
            found = again
        try:
            loaded = await asyncio.to_thread(load, self._directory)
        except PolicyError as error:
            self._digest = found
            self._keep(error)
        else:
            self._digest = loaded.policies.digest
            self._take(loaded)


def signature_of(directory: Path) -> tuple[object, ...]:
    """Return what a directory's files look like from outside; cheap."""
    try:
        return tuple(
            (path.name, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
            for path in all_files(directory)
            for found in [path.stat()]
        )
    except OSError as error:
        return ("unreadable", error.errno, error.filename)


def content(directory: Path) -> str:
    """Return the digest of a directory, or a word in its place while it cannot be read."""
    try:
        return digest(directory)
    except OSError as error:
        return f"unreadable {error.errno} {error.filename}"
