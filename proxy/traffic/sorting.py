"""Traffic of any order put in order, in bounded memory: sorted runs on disk, then merged."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.traffic.reading import Tally, loose, order
from proxy.traffic.writing import open_traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from proxy.traffic.reading import Order

RUN = 48_000_000  # bytes of lines that are sorted in memory
FAN_IN = 64  # runs that are merged at once, each of them an open file
NEWLINE = b"\n"


def sorted_lines(
    files: Iterable[Path],
    tally: Tally,
    folder: Path,
    progress: Callable[[int], None] | None = None,
    run: int = RUN,
) -> Iterator[bytes]:
    """Yield all readable lines of some files in the order of `reading.order`, as they are written.

    folder: an empty one for what does not fit in memory; its files are the caller's to remove
    tally:  its `read` is the number of lines from the first one that is yielded on
    """
    runs = _Runs(folder)
    held: list[Order] = []
    size = 0
    for file in files:
        for _, line, entry in loose(file, tally, progress):
            tally.read += 1
            held.append(order(entry, line.strip()))
            size += len(line)
            if size >= run:
                held.sort()
                runs.add(held, 0)
                held, size = [], 0
    held.sort()
    for place in heapq.merge(held, *map(_places, runs.paths)):
        yield place[4] + NEWLINE


@dataclass(slots=True)
class _Runs:
    """Sorted files. Where FAN_IN of one level are together they are merged into one of the next.

    levels: how often each was merged, none lower than the next
    """

    folder: Path
    paths: list[Path] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    made: int = 0

    def add(self, places: Iterable[Order], level: int) -> None:
        """Write a run."""
        path = self.folder / f"{self.made}.jsonl.zst"
        self.made += 1
        with open_traffic(path) as run:
            for place in places:
                run.write_line(place[4] + NEWLINE)
        self.paths.append(path)
        self.levels.append(level)
        if self.levels[-FAN_IN:] == [level] * FAN_IN:
            together = self.paths[-FAN_IN:]
            del self.paths[-FAN_IN:], self.levels[-FAN_IN:]
            self.add(heapq.merge(*map(_places, together)), level + 1)
            for each in together:
                each.unlink()


def _places(run: Path) -> Iterator[Order]:
    return (order(entry, line) for _, line, entry in loose(run, Tally()))
