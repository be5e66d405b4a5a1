"""Traffic of many files as one stream in the order of time, in constant memory.

Each file may be out of order by ten minutes, or by 24 MB of lines where these are fewer: gateways
write a line when its answer has ended. A file is opened when the stream comes near its first line,
so that a month of daily files takes the memory of those that overlap.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from proxy.core.errors import TrafficError
from proxy.journal.sentences import printable
from proxy.traffic.checks import EARLIEST, SECOND
from proxy.traffic.files import DamagedError, lines, size, traffic_files
from proxy.traffic.parsing import LONGEST, entry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from proxy.traffic.entry import Entry

__all__ = ["Complaint", "Tally", "entries", "loose", "moment", "order", "size"]

WINDOW = 600 * SECOND
# Bytes of lines that are held back: of one file, and of all that are open together.
BUFFER, TOGETHER = 24_000_000, 96_000_000
MOST_COMPLAINTS = 100
TOO_MANY = (errno.EMFILE, errno.ENFILE)

LATE = (
    "comes more than ten minutes (or 24 MB of lines) after later ones, and is left out"
    " (`weir traffic sort` puts traffic in order)"
)
# What orders traffic. Of equal lines it does not matter which comes first.
Order = tuple[int, str, str, str, bytes]
Ordered = tuple[Order, "Entry"]


@dataclass(frozen=True, slots=True)
class Complaint:
    """What could not be used: a line of a file, from 1, and a sentence that says why."""

    file: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.why}"


@dataclass(slots=True)
class Tally:
    """What a reading has met so far.

    read:       entries handed on
    unreadable: lines that say nothing that can be used, and files that are torn or damaged
    late:       lines left out, as the stream had passed their time when they came
    complaints: of both, the first 100
    """

    read: int = 0
    unreadable: int = 0
    late: int = 0
    complaints: list[Complaint] = field(default_factory=list)

    def complain(self, file: Path, line: int, why: str) -> None:
        """Keep a complaint, if there is room."""
        if len(self.complaints) < MOST_COMPLAINTS:
            self.complaints.append(Complaint(printable(str(file)), line, why))


def moment(entry: Entry) -> int:
    """Return when a request counts: when it was charged, else when it arrived; microseconds."""
    return entry.t if entry.charged_at is None else entry.charged_at


def order(entry: Entry, line: bytes) -> Order:
    """Return what orders an entry among others, whichever file it stands in.

    At one moment it is the account, the key, the id, then the line itself.
    """
    at = entry.t if entry.charged_at is None else entry.charged_at
    return at, entry.account, entry.key, entry.id, line


def loose(
    path: Path, tally: Tally, progress: Callable[[int], None] | None = None
) -> Iterator[tuple[int, bytes, Entry]]:
    """Yield a file's readable lines as they stand, each with its number, text and entry.

    What cannot be read is counted and told in `tally`, a file that is gone or forbidden too;
    `tally.read` is not touched. Raises TrafficError where too many files are open.
    """
    number = 0
    try:
        for line in lines(path, LONGEST, progress):
            number = line.number
            text = line.text
            if text is None:
                tally.unreadable += 1
                tally.complain(path, number, f"is longer than {LONGEST // 2**20} MB")
                continue
            try:
                entry = entry_of(text)
            except TrafficError as error:
                tally.unreadable += 1
                tally.complain(path, number, str(error))
                continue
            yield number, text, entry
    except DamagedError as error:
        tally.unreadable += 1
        tally.complain(path, number + 1, str(error))
    except OSError as error:
        # It was there when the files were listed: a recording's oldest file may go at any moment.
        if error.errno in TOO_MANY:
            raise TrafficError(
                f"{path}: more files overlap in time than this system lets be open at once:"
                " make one of them (`weir traffic sort`), or raise the limit (`ulimit -n`)"
            ) from None
        tally.unreadable += 1
        tally.complain(
            path, number + 1, f"cannot be read: {error.strerror or 'input/output error'}"
        )


def entries(
    paths: Sequence[Path], tally: Tally, progress: Callable[[int], None] | None = None
) -> Iterator[Entry]:
    """Yield the entries of all files in the order of their moments.

    paths:    files, directories that mean all traffic files in them, `-` for standard input
    progress: told of the bytes of the files that were consumed since the last call
    The order is the same however files and equal moments are arranged. What is further out of
    order than a file may be is left out, counted and told. Raises TrafficError for a directory
    without traffic, OSError for what is not there.
    """
    streams = _Streams()
    # Files by when they must be open; then open ones by their next entry.
    waiting: list[tuple[int, int, Path]] = []
    ready: list[tuple[Order, int, Entry, Iterator[Ordered]]] = []
    for number, path in enumerate(traffic_files(paths)):
        heappush(waiting, (_begins(path), number, path))
    while waiting or ready:
        if waiting and (not ready or waiting[0][0] <= ready[0][0][0]):
            _, number, path = heappop(waiting)
            stream = streams.ordered(path, tally, progress)
        else:
            _, number, entry, stream = heappop(ready)
            tally.read += 1
            yield entry
        following = next(stream, None)
        if following is not None:
            heappush(ready, (following[0], number, following[1], stream))


@dataclass(slots=True)
class _Streams:
    """The files that are open; they share what may be held back."""

    number: int = 0

    def ordered(
        self, path: Path, tally: Tally, progress: Callable[[int], None] | None
    ) -> Iterator[Ordered]:
        """Yield a file's entries in order, each with its place."""
        self.number += 1
        held: list[tuple[Order, int, Entry]] = []
        size_, newest, passed = 0, EARLIEST, EARLIEST
        for number, line, entry in loose(path, tally, progress):
            place = order(entry, line)
            at = place[0]
            if at < newest - WINDOW or at < passed:
                tally.late += 1
                tally.complain(path, number, LATE)
                continue
            newest = max(newest, at)
            heappush(held, (place, number, entry))
            size_ += len(line)
            # A line that is larger than all that may be held back leaves nothing behind.
            while held and (held[0][0][0] < newest - WINDOW or size_ > self.room()):
                first, _, its = heappop(held)
                size_ -= len(first[4])
                passed = first[0]
                yield first, its
        while held:
            first, _, its = heappop(held)
            yield first, its
        self.number -= 1

    def room(self) -> int:
        """Return the bytes that one file may hold back."""
        return min(BUFFER, TOGETHER // self.number)


def _begins(path: Path) -> int:
    """Return a moment before which a file has nothing but what is too late."""
    if not path.is_file():
        return EARLIEST  # what comes through a pipe can be read only once
    unheard = Tally()
    first = next(loose(path, unheard), None)
    return EARLIEST if first is None else moment(first[2]) - WINDOW
