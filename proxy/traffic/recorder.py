"""Recording full traffic, prompts and answers in the clear, in files that only we can read."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from proxy.journal.queue import CLOSE_SECONDS, LineQueue
from proxy.journal.rotation import RotatingFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from proxy.settings.schema import RecordSettings

NAME = "traffic"
TIDY_SECONDS = 3600.0
log = structlog.get_logger("weir")


class FileRecorder:
    """Writes `traffic-<slot>.jsonl` and what becomes of it. Fills `ports.Recorder`.

    keep_seconds: after its last line a file is deleted, as it is beyond keep_bytes of all together
    queue_bytes:  what may wait for the disk; what does not fit is dropped, counted and told
    clock:        seconds since the epoch
    """

    def __init__(
        self,
        directory: Path,
        slot: int,
        *,
        rotate_bytes: int,
        keep_bytes: int,
        keep_seconds: float,
        queue_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._file = RotatingFile(
            directory,
            slot,
            rotate_bytes=rotate_bytes,
            keep_bytes=keep_bytes,
            keep_seconds=keep_seconds,
            name=NAME,
            clock=clock,
        )
        self.tidy()
        self._queue = LineQueue(self._file.append, queue_bytes, "recording")

    @property
    def written(self) -> int:
        """Lines written so far."""
        return self._queue.written

    @property
    def dropped(self) -> int:
        """Lines lost so far."""
        return self._queue.dropped

    def record(self, line: bytes) -> None:
        """Enqueue one line; never waits, never raises."""
        self._queue.put(line)

    def tidy(self) -> None:
        """Delete what is too old or too much, and tell what stays: it is tried again in an hour."""
        why = ""
        why = ""
        try:
            self._file.thin()
        except OSError as error:
            why = error.strerror or type(error).__name__
        if why:
            log.error("recording.kept_too_long", directory=str(self._directory), why=why)

    async def keep_tidy(self) -> None:
        """Tidy once an hour, also where nothing comes any more; a worker runs it all its life."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            await asyncio.to_thread(self.tidy)

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Write what is left, for at most `timeout` seconds, and close the file."""
        if self._queue.close(timeout):  # else a stuck thread still holds the descriptor
            self._file.close()


def recorder_of(settings: RecordSettings, slot: int) -> FileRecorder | None:
    """Return the recorder of a worker's slot; None where traffic is not recorded."""
    if not settings.on:
        return None
    return FileRecorder(
        settings.directory,
        slot,
        rotate_bytes=settings.rotate_bytes,
        keep_bytes=settings.keep_bytes,
        keep_seconds=settings.keep / 1e6,
        queue_bytes=settings.queue_bytes,
    )
