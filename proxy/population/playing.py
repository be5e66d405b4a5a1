"""Virtual time: many processes, each asleep until its next request, played in one order.

A process yields an integer (it sleeps until that microsecond), an `Entry` (it sends it now), or
another process (it starts one beside itself). What a process decides it decides at its own moment,
so that accounts that share a pool see it as it is then.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING, TypeAlias, Union

from proxy.traffic.entry import Answer, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

Step: TypeAlias = Union[int, Entry, "Process"]
Process: TypeAlias = Iterator[Step]
Exchange: TypeAlias = Generator[Step, None, tuple[Answer, int]]


def played(processes: Iterable[tuple[int, Process]], end: int) -> Iterator[Entry]:
    """Yield what all processes send, in order of time; what sleeps to `end` or beyond is dropped.

    processes: with the moment at which each begins
    """
    heap = [(begins, serial, process) for serial, (begins, process) in enumerate(processes)]
    heapify(heap)
    serial = len(heap)
    while heap:
        now, own, process = heap[0]
        if now >= end:
            return
        for step in process:
            if step.__class__ is int:
                if step > now:
                    # In place of itself: nothing that it started comes before it at this moment.
                    heapreplace(heap, (step, own, process))
                    break
            elif isinstance(step, Entry):
                assert step.t == now, "a process sends when it wakes"
                yield step
            elif not isinstance(step, int):
                heappush(heap, (now, serial, step))
                serial += 1
        else:
            heappop(heap)
