"""Reading a journal's directory: all slots, rotated and compressed; torn lines are skipped."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def files(directory: Path) -> list[Path]:
    """Return the journal's files, the one written last first."""
    found = [*directory.glob("decisions-*.jsonl"), *directory.glob("decisions-*.jsonl.gz")]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def lines(path: Path) -> Iterator[bytes]:
    """Yield a file's lines."""
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as packed:
            yield from packed
    else:
        with path.open("rb") as file:
            yield from file


def records(directory: Path) -> Iterator[dict[str, object]]:
    """Yield all records that can be read, oldest file first."""
    for path in reversed(files(directory)):
        for line in lines(path):
            record = parsed(line)
            if record is not None:
                yield record


def find(directory: Path, decision_id: str) -> dict[str, object] | None:
    """Return the record of a decision, None where there is none."""
    mark = decision_id.encode()
    for path in files(directory):
        for line in lines(path):
            if mark in line:
                record = parsed(line)
                if record is not None and record.get("id") == decision_id:
                    return record
    return None


def parsed(line: bytes) -> dict[str, object] | None:
    """Return a line's record, None for one that is torn or something else."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and "id" in record else None
