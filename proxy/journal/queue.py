"""Lines on their way to a sink: a bounded queue and the thread that empties it.

Nobody waits for a disk. What does not fit the queue or cannot be written is dropped and counted.
"""

from __future__ import annotations

import os
import select
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

FLUSH_SECONDS = 0.05
CLOSE_SECONDS = 5.0
WARN_SECONDS = 10.0
STUCK_MILLISECONDS = 1000
log = structlog.get_logger("weir")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch.

    lines: how many lines were written whole, counted from the first
    why:   what kept the others from it, '' where there are none
    """

    lines: int
    why: str = ""


def write_all(file: int, data: bytes) -> tuple[int, str]:
    """Write bytes to a descriptor; return how many went, and why not all ('' where all did).

    A descriptor that does not block is waited for, a second at a time, until that brings nothing.
    """
    view = memoryview(data)
    done = 0
    while done < len(view):
        try:
            done += os.write(file, view[done:])
        except BlockingIOError:
            poll = select.poll()
            poll.register(file, select.POLLOUT)
            if not poll.poll(STUCK_MILLISECONDS):
                return done, "nobody reads it"
        except OSError as error:
            return done, error.strerror or type(error).__name__
    return done, ""


class LineQueue:
    """At most `most` bytes of lines, those being written included.

    sink: writes a batch of whole lines on the queue's own thread; never raises
    name: of the thread and, with '.dropped', of what is said of lost lines
    """

    def __init__(self, sink: Callable[[bytes], Outcome], most: int, name: str = "journal") -> None:
        self._sink = sink
        self._most = most
        self._lock = threading.Lock()  # held for a few instructions, never while writing
        self._lines: list[bytes] = []
        self._bytes = 0
        self._closed = False
        self._why = ""
        self._event = f"{name}.dropped"
        self._told = 0
        self._told_at = -WARN_SECONDS
        self._stop = threading.Event()
        self.written = self.dropped = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Enqueue one line with its newline, or count it as dropped."""
        with self._lock:
            if self._closed or self._bytes + len(line) > self._most:
                self.dropped += 1
                self._why = "it is closed" if self._closed else "its queue is full"
                return
            self._bytes += len(line)
            self._lines.append(line)

    def close(self, timeout: float) -> bool:
        """Write what is left and end the thread; return whether that was done in `timeout` seconds.

        What could not be written in time counts as dropped.
        """
        with self._lock:
            self._closed = True
        self._stop.set()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            return True
        with self._lock:
            self.dropped += len(self._lines)
            self._lines = []
        return False

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self._flush()
        self._flush(last=True)

    def _flush(self, *, last: bool = False) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        if lines:
            data = b"".join(lines)
            outcome = self._sink(data)
            with self._lock:
                self._bytes -= len(data)
                self.written += outcome.lines
                self.dropped += len(lines) - outcome.lines
                self._why = outcome.why or self._why
        # Told from here: the log is a pipe that may be full, and `put` waits for nobody.
        now = time.monotonic()
        if self.dropped > self._told and (last or now - self._told_at >= WARN_SECONDS):
            log.error(self._event, records=self.dropped - self._told, why=self._why)
            self._told, self._told_at = self.dropped, now
