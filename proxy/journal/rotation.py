"""A slot's file of lines: turned by size and by day of UTC, the oldest files deleted."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from stat import S_ISREG
from typing import TYPE_CHECKING

from proxy.journal.queue import Outcome, write_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TURNED = re.compile(r"-\d+-(\d{8}T\d{12}Z)\.jsonl(?:\.gz)?", re.ASCII)
OTHERS = 0o077


class RotatingFile:
    """`<name>-<slot>.jsonl` in a directory; turned files carry their moment in their name.

    rotate_bytes: size at which a file is turned
    keep_bytes:   size of the files of that name together, those of all slots; beyond it the oldest
                  turned ones are deleted
    keep_seconds: after its last line a file is deleted, whoever's it is; None for never
    clock:        seconds since the epoch
    """

    def __init__(
        self,
        directory: Path,
        slot: int,
        *,
        rotate_bytes: int,
        keep_bytes: int,
        keep_seconds: float | None = None,
        name: str = "decisions",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = directory / f"{name}-{slot}.jsonl"
        self._name = name
        self._directory = directory
        self._slot = slot
        self._rotate = rotate_bytes
        self._keep = keep_bytes
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._file = -1
        self._size = 0
        self._day = ""

    def append(self, data: bytes) -> Outcome:
        """Write a batch of whole lines; the file never keeps a part of one that we know of."""
        try:
            self._prepare(len(data))
        except OSError as error:
            self.close()
            return Outcome(0, error.strerror or type(error).__name__)
        done, why = write_all(self._file, data)
        if not why:
            self._size += done
            return Outcome(data.count(b"\n"))
        whole = data.rfind(b"\n", 0, done) + 1
        with suppress(OSError):  # else the next opening ends the torn line
            os.ftruncate(self._file, os.fstat(self._file).st_size - (done - whole))
        self.close()
        return Outcome(data.count(b"\n", 0, whole), why)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def thin(self) -> None:
        """Delete the files that are too old, and the oldest turned ones beyond the bytes to keep.

        Any thread may do it at any time. OSError where one could not be deleted; the others are.
        """
        stats = {
            path: stat
            for path in self._directory.glob(f"{self._name}-*.jsonl*")
            if (stat := _stat(path)) is not None and S_ISREG(stat.st_mode)
        }
        kept: OSError | None = None
        if self._keep_seconds is not None:
            oldest = self._clock() - self._keep_seconds
            for path in [path for path, stat in stats.items() if stat.st_mtime < oldest]:
                # One that is being written is begun anew.
                kept = _delete(path) or kept
                del stats[path]
        total = sum(stat.st_size for stat in stats.values())
        for path in sorted(filter(self._moment, stats), key=self._moment):
            if total <= self._keep:
                break
            kept = _delete(path) or kept
            total -= stats[path].st_size
        if kept is not None:
            raise kept

    def _prepare(self, length: int) -> None:
        moment = datetime.fromtimestamp(self._clock(), UTC)
        if self._file >= 0 and self._moved():
            self.close()
        if self._file < 0:
            self._open(moment)
        full = self._size + length > self._rotate
        if self._size and (full or self._day != _day(moment)):
            self._turn(moment)
            self._open(moment)

    def _moved(self) -> bool:
        """Return whether somebody took the file away under us."""
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._file))
        except FileNotFoundError:
            return True

    def _open(self, moment: datetime) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        found = os.fstat(self._file)
        if (
            S_ISREG(found.st_mode) and found.st_mode & OTHERS
        ):  # it was there already: brought back from a backup, say
            with suppress(OSError):
                os.fchmod(self._file, 0o600)
        self._size = found.st_size
        self._day = _day(datetime.fromtimestamp(found.st_mtime, UTC) if self._size else moment)
        if self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
            os.write(self._file, b"\n")  # a crash tore the last line
            self._size += 1

    def _turn(self, moment: datetime) -> None:
        self.close()
        while (turned := self._turned(moment)).exists():
            moment += timedelta(microseconds=1)
        self.path.rename(turned)
        with suppress(OSError):  # somebody else tidies up too; it is tried again at the next turn
            self.thin()

    def _turned(self, moment: datetime) -> Path:
        return self._directory / f"{self._name}-{self._slot}-{moment:%Y%m%dT%H%M%S%fZ}.jsonl"

    def _moment(self, path: Path) -> str:
        """Return when a file was turned, as its name says; '' for one that is being written."""
        found = TURNED.fullmatch(path.name.removeprefix(self._name))
        return found[1] if found else ""


def _day(moment: datetime) -> str:
    return f"{moment:%Y%m%d}"


def _delete(path: Path) -> OSError | None:
    """Delete a file; return why it is still there, None where it is gone."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        return error
    return None


def _stat(path: Path) -> os.stat_result | None:
    """Return what is known of a file; None where it has just gone."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
