"""Progress of long work: on a terminal a bar with rate and time left, elsewhere nothing."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Task
    from rich.text import Text

EVERY = 50_000  # bytes or steps between two looks at the bar


@dataclass(frozen=True, slots=True)
class Counted:
    """What a rate is told of where the steps are another thing: a word, and how many so far."""

    word: str
    so_far: Callable[[], int]


@contextmanager
def bar(
    title: str, total: int | None, counted: Counted | None = None
) -> Iterator[Callable[[int], None]]:
    """Show how far work is; yields what takes the steps (or bytes) done since the last call.

    total:   of all steps; None where nobody knows
    counted: what the rate is of, where it is not of steps
    """
    if not sys.stderr.isatty():
        yield lambda _steps: None
        return
    from rich.console import Console  # noqa: PLC0415 - a terminal alone needs it
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        ProgressColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text  # noqa: PLC0415

    class Rate(ProgressColumn):
        """Steps a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            word = ""
            if counted is not None:
                speed, word = counted.so_far() / (task.elapsed or 1), f" {counted.word}"
            return Text("" if speed is None else f"{_short(speed)}{word}/s")

    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    waiting = 0
    with shown:
        task = shown.add_task(title, total=total)

        def advance(steps: int) -> None:
            nonlocal waiting
            waiting += steps
            if waiting >= EVERY or (total is not None and waiting >= total / 500):
                shown.advance(task, waiting)
                waiting = 0

        yield advance
        shown.advance(task, waiting)


def _short(amount: float) -> str:
    """Return an amount for people.

    >>> _short(950), _short(12_345), _short(3_400_000)
    ('950', '12.3 k', '3.4 M')
    """
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if amount >= size:
            return f"{amount / size:.1f} {unit}"
    return f"{amount:.0f}"
