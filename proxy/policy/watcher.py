"""Hot reload: a directory is looked at, not a file, and its content decides.

A ConfigMap changes by a link to a new folder; inotify on a file sees that once and never again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from proxy.core.errors import PolicyError
from proxy.policy.loader import digest, files, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from proxy.policy.loader import Loaded

INTERVAL = 0.5
THOROUGH = 10.0


class PolicyWatcher:
    """Reads a directory again when it has changed; the last good set stays until a better comes.

    take: called with each new good set; keep: with the mistakes of a bad one, once per content
    interval: seconds between looks at names and times; contents are compared every ten
    """

    def __init__(
        self,
        directory: Path,
        take: Callable[[Loaded], None],
        keep: Callable[[PolicyError], None],
        interval: float = INTERVAL,
    ) -> None:
        self._directory = directory
        self._take = take
        self._keep = keep
        self._interval = interval
        self._seen = self._signature()
        self._digest = self._content()
        self._asked = asyncio.Event()

    def reload(self) -> None:
        """Look now, whatever the times say."""
        self._asked.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        thorough = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(self._interval):
                    await self._asked.wait()
                asked = True
            except TimeoutError:
                asked = False
            self._asked.clear()
            signature = self._signature()
            due = time.monotonic() - thorough > THOROUGH
            if asked or due or signature != self._seen:
                thorough = time.monotonic()
                self._seen = signature
                self.look()

    def look(self) -> None:
        """Read the directory when its content is another than last time."""
        content = self._content()
        if content == self._digest:
            return
        try:
            loaded = load(self._directory)
        except PolicyError as error:
            self._digest = content
            self._keep(error)
        else:
            self._digest = loaded.policies.digest
            self._take(loaded)

    def _signature(self) -> tuple[object, ...]:
        try:
            return tuple(
                (path.name, found.st_ino, found.st_mtime_ns, found.st_size)
                for path in files(self._directory)
                for found in [path.stat()]
            )
        except OSError:
            return ()

    def _content(self) -> str:
        try:
            return digest(self._directory)
        except OSError as error:
            return f"unreadable: {error.errno}"
