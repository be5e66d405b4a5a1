"""Reading a journal's directory: all slots, rotated and compressed; torn lines are skipped."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from proxy.journal.record import FORGOTTEN, STANDING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHER_KINDS = (STANDING, FORGOTTEN)


@dataclass(slots=True)
class Tally:
    """What a reading could not use.

    lines: torn lines, and lines that are something else
    files: files that ended in the middle of their compression, or could not be opened
    """

    lines: int = 0
    files: int = 0


def files(directory: Path) -> list[Path]:
    """Return the journal's files, the one written last first."""
    found = [*directory.glob("decisions-*.jsonl"), *directory.glob("decisions-*.jsonl.gz")]
    return sorted(found, key=_written, reverse=True)


def lines(path: Path, tally: Tally | None = None) -> Iterator[bytes]:
    """Yield a file's lines, as far as it can be read."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield from file
    except FileNotFoundError:
        return  # turned or deleted since it was listed
    except (OSError, EOFError, zlib.error):
        if tally is not None:
            tally.files += 1


def everything(directory: Path, tally: Tally | None = None) -> Iterator[dict[str, object]]:
    """Yield decisions and what else befell accounts, oldest file first; `tally` counts the rest."""
    for path in reversed(files(directory)):
        for line in lines(path, tally):
            record = parsed(line)
            if record is not None:
                yield record
            elif tally is not None and line.strip():
                tally.lines += 1


def records(directory: Path, tally: Tally | None = None) -> Iterator[dict[str, object]]:
    """Yield all decisions that can be read, oldest file first; `tally` counts what cannot."""
    return (record for record in everything(directory, tally) if "kind" not in record)


def find(directory: Path, decision_id: str) -> dict[str, object] | None:
    """Return the record of a decision, None where there is none; newest files first."""
    mark = decision_id.encode()
    seen: set[Path] = set()
    # A file that is turned meanwhile has a new name: look until no name is new.
    while fresh := [path for path in files(directory) if path not in seen]:
        seen.update(fresh)
        for path in fresh:
            for line in lines(path):
                if mark in line:
                    record = parsed(line)
                    if record is not None and record.get("id") == decision_id:
                        return record
    return None


def parsed(line: bytes) -> dict[str, object] | None:
    """Return a line's record, of whichever kind, None for what is torn or something else."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict):
        return None
    return record if "id" in record or record.get("kind") in OTHER_KINDS else None


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
