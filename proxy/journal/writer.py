"""Writing the journal, through structlog and orjson, to files or to standard output.

A process that is killed outright loses what it enqueued in the last 50 ms.
"""

from __future__ import annotations

import select
import sys
import time
from typing import TYPE_CHECKING

import orjson
import structlog

from proxy.journal.queue import CLOSE_SECONDS, LineQueue, Outcome, write_all
from proxy.journal.rotation import RotatingFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from proxy.settings.schema import JournalSettings

INTEGERS = range(-(2**63), 2**64)


class FileJournal:
    """The journal in files; `RotatingFile` says which. Fills `ports.Journal`.

    queue_bytes: what may wait for the disk; what does not fit is dropped and counted
    """

    def __init__(
        self,
        directory: Path,
        slot: int,
        *,
        rotate_bytes: int = 128_000_000,
        keep_bytes: int = 1_000_000_000,
        queue_bytes: int = 16_000_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = RotatingFile(
            directory, slot, rotate_bytes=rotate_bytes, keep_bytes=keep_bytes, clock=clock
        )
        self._queue = LineQueue(self._file.append, queue_bytes)
        self._log = _logger(self._queue)

    @property
    def path(self) -> Path:
        """The file being written."""
        return self._file.path

    @property
    def written(self) -> int:
        """Records written so far."""
        return self._queue.written

    @property
    def dropped(self) -> int:
        """Records lost so far."""
        return self._queue.dropped

    def write(self, record: Mapping[str, object]) -> None:
        """Enqueue one record; never waits, never raises."""
        self._log._proxy_to_logger("msg", record=record)  # noqa: SLF001 - structlog's extension point

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Write what is left, for at most `timeout` seconds, and close the file."""
        if self._queue.close(timeout):  # else a stuck thread still holds the descriptor
            self._file.close()


class StdoutJournal:
    """The journal on standard output, for those who collect it there. Fills `ports.Journal`.

    Several workers share a pipe: lines of up to PIPE_BUF bytes (4096 on Linux) never mix.
    """

    def __init__(self, *, queue_bytes: int = 16_000_000, file: int = 1) -> None:
        self._queue = LineQueue(Stream(file).append, queue_bytes)
        self._log = _logger(self._queue)

    @property
    def written(self) -> int:
        """Records written so far."""
        return self._queue.written

    @property
    def dropped(self) -> int:
        """Records lost so far."""
        return self._queue.dropped

    def write(self, record: Mapping[str, object]) -> None:
        """Enqueue one record; never waits, never raises."""
        self._log._proxy_to_logger("msg", record=record)  # noqa: SLF001 - structlog's extension point

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Write what is left, for at most `timeout` seconds."""
        self._queue.close(timeout)


class Stream:
    """A descriptor that takes lines and that others may write to as well."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._torn = False

    def append(self, data: bytes) -> Outcome:
        """Write a batch of whole lines in pieces that a pipe takes as one."""
        lines = 0
        for piece in _pieces(data):
            # A line that a failure cut is ended first: it is lost, its successor is not.
            start = b"\n" if self._torn else b""
            done, why = write_all(self._file, start + piece)
            reached = (start + piece)[:done]
            if reached:
                self._torn = not reached.endswith(b"\n")
            lines += reached.count(b"\n", len(start))
            if why:
                return Outcome(lines, why)
        return Outcome(lines)


class Lines:
    """What structlog hands its finished lines to."""

    def __init__(self, queue: LineQueue) -> None:
        self._put = queue.put

    def msg(self, line: bytes) -> None:
        """Take one line."""
        self._put(line)


def journal_of(settings: JournalSettings, slot: int) -> FileJournal | StdoutJournal:
    """Return the journal of a worker's slot."""
    if settings.to == "stdout":
        return StdoutJournal(queue_bytes=settings.queue_bytes)
    return FileJournal(
        settings.directory,
        slot,
        rotate_bytes=settings.rotate_bytes,
        keep_bytes=settings.keep_bytes,
        queue_bytes=settings.queue_bytes,
    )


def _logger(queue: LineQueue) -> structlog.BoundLoggerBase:
    return structlog.BoundLoggerBase(Lines(queue), [_render], {})


def _render(_logger: object, _name: str, event: Mapping[str, object]) -> bytes:
    try:
        return orjson.dumps(event["record"], option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        # A lone surrogate or a giant number that somebody sent is no reason to lose the record.
        return orjson.dumps(_plain(event["record"]), option=orjson.OPT_APPEND_NEWLINE)


def _plain(value: object) -> object:
    """Return a value that JSON can carry; what it has no word for becomes the name of its type."""
    match value:
        case None | bool() | float():
            return value
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case int():
            return value if value in INTEGERS else sys.maxsize if value > 0 else -sys.maxsize
        case dict():
            return {str(_plain(str(name))): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return type(value).__name__


def _pieces(data: bytes) -> Iterator[bytes]:
    """Yield whole lines together, PIPE_BUF bytes at most unless one line alone is longer."""
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + select.PIPE_BUF) + 1
        if end <= start:
            end = data.index(b"\n", start) + 1
        yield data[start:end]
        start = end
