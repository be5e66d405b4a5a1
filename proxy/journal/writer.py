"""Writing the journal: a bounded queue, a thread that empties it, files that rotate.

Nobody waits for a disk. What does not fit the queue or cannot be written is dropped and counted.
A process that is killed outright loses what it enqueued in the last 50 ms.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FLUSH_SECONDS = 0.05
CLOSE_SECONDS = 5.0
WARN_SECONDS = 10.0
log = structlog.get_logger("weir")


class Queue:
    """Lines on their way to a sink, at most `most` bytes; emptied by a thread."""

    def __init__(self, sink: Callable[[bytes, int], None], most: int) -> None:
        self._sink = sink
        self._most = most
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._warned = 0.0
        self._stop = threading.Event()
        self.written = self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Enqueue one line, or count it as dropped."""
        if self._bytes + len(line) > self._most:
            self.drop(1, "the queue is full")
            return
        self._bytes += len(line)
        self._lines.append(line)

    def drop(self, lines: int, why: str) -> None:
        """Count lines as lost, and say so now and then."""
        self.dropped += lines
        now = time.monotonic()
        if now - self._warned > WARN_SECONDS:
            self._warned = now
            log.error("journal.dropped", records=self.dropped, why=why)

    def close(self) -> None:
        """Write what is left and end the thread; bounded in time."""
        self._stop.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        count = len(self._lines)
        if not count:
            return
        lines = [self._lines.popleft() for _ in range(count)]
        data = b"".join(lines)
        self._bytes -= len(data)
        try:
            self._sink(data, count)
        except OSError as error:
            self.drop(count, error.strerror or type(error).__name__)
        else:
            self.written += count


class Lines:
    """What structlog hands its finished lines to."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def msg(self, line: bytes) -> None:
        """Take one line."""
        self._queue.put(line + b"\n")

    info = msg


class _Journal:
    """A journal over a queue; fills `ports.Journal`."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._log = structlog.wrap_logger(
            Lines(queue), processors=[_render], wrapper_class=structlog.BoundLoggerBase
        )

    @property
    def dropped(self) -> int:
        """Records lost so far."""
        return self._queue.dropped

    @property
    def written(self) -> int:
        """Records written so far."""
        return self._queue.written

    def write(self, record: Mapping[str, object]) -> None:
        """Enqueue one record; never waits, never raises."""
        self._log._proxy_to_logger("msg", record=record)  # noqa: SLF001 - structlog's extension point

    def close(self) -> None:
        """Write what is left."""
        self._queue.close()


def _render(_logger: object, _name: str, event: Mapping[str, object]) -> str | bytes:
    return orjson.dumps(event["record"])


class StdoutJournal(_Journal):
    """The journal on standard output, for those who collect it there."""

    def __init__(self, *, queue_bytes: int) -> None:
        super().__init__(Queue(lambda data, _: _write_all(1, data), queue_bytes))


class FileJournal(_Journal):
    """The journal in `decisions-<slot>.jsonl`, rotated by size and by day of UTC.

    rotate_bytes: size at which a file is closed; keep_bytes: of all of this slot's files together
    """

    def __init__(
        self, directory: Path, slot: int, *, rotate_bytes: int, keep_bytes: int, queue_bytes: int
    ) -> None:
        self._directory = directory
        self._slot = slot
        self._rotate = rotate_bytes
        self._keep = keep_bytes
        self._file = -1
        self._size = 0
        self._day = ""
        super().__init__(Queue(self._sink, queue_bytes))

    @property
    def path(self) -> Path:
        """The file being written."""
        return self._directory / f"decisions-{self._slot}.jsonl"

    def close(self) -> None:
        """Write what is left and close the file."""
        super().close()
        self._shut()

    def _sink(self, data: bytes, _count: int) -> None:
        today = datetime.now(UTC).strftime("%Y%m%d")
        if self._file >= 0 and (
            self._size + len(data) > self._rotate or self._day != today or not self.path.exists()
        ):
            self._turn()
        if self._file < 0:
            self._begin(today)
        try:
            _write_all(self._file, data)
        except OSError:
            # What is half written is ended by the next opening.
            self._shut()
            raise
        self._size += len(data)

    def _begin(self, today: str) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(file).st_size
        if self._size and os.pread(file, 1, self._size - 1) != b"\n":
            os.write(file, b"\n")  # a crash tore the last line
            self._size += 1
        self._file, self._day = file, today

    def _turn(self) -> None:
        self._shut()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        if self.path.exists():
            self.path.rename(self._directory / f"decisions-{self._slot}-{stamp}.jsonl")
        old = sorted(self._directory.glob(f"decisions-{self._slot}-*.jsonl"), reverse=True)
        kept = 0
        for path in old:
            kept += path.stat().st_size
            if kept > self._keep:
                path.unlink()

    def _shut(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
