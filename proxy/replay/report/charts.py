"""Plots as numbers: paths, ticks and heights. The template draws them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import log1p
from typing import TYPE_CHECKING

from proxy.replay.report import words
from proxy.replay.summary import BINS, EFFECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.replay.timeline import Timeline

WIDE, HIGH = 1000, 100  # of every plot, in its own units
MOST_TICKS = 7
GAPS_BELOW = 150  # bars: of more the gaps would be thinner than a point
FEWEST = 12
SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
STEPS = tuple(
    [MINUTE * each for each in (1, 2, 5, 10, 15, 30)]
    + [HOUR * each for each in (1, 2, 3, 6, 12)]
    + [DAY * each for each in (1, 2, 5, 7, 14, 28, 56, 91, 182, 365, 730, 1825, 3650)]
)
# From the ground up: what was limited stands on the ground, where it is seen.
STACK = ("refuse", "shape", "delay", "error", "free", "allow")
STRIPS = ("refuse", "shape", "delay", "error")
TOLD = {
    "allow": "allowed",
    "shape": "shaped",
    "delay": "delayed",
    "refuse": "refused",
    "free": "not metered",
    "error": "no valid request",
}


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the axis of time: where, in per cent and in plot units, and what stands there."""

    percent: str
    at: str
    label: str
    below: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Spot:
    """What is told where somebody points."""

    at: str
    width: str
    told: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot over time. paths: what it shows (a class of the style sheet) and its path."""

    anchor: str
    title: str
    about: str
    paths: tuple[tuple[str, str], ...]
    spots: tuple[Spot, ...]
    tall: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Decisions over time. legend: effects that are there, with how they are called."""

    panels: tuple[Panel, ...]
    ticks: tuple[Tick, ...]
    legend: tuple[tuple[str, str], ...]
    width: int
    slots: tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Requests by what was left of a limit, from nothing on the left to all on the right.

    bars: (at, top, height, tone) in plot units; heights are logarithms, or the few would be lost
    """

    title: str
    about: str
    bars: tuple[tuple[str, str, str, str], ...]
    shadow: bool


def chart(timeline: Timeline) -> Chart | None:
    """Return decisions over time; None where nothing was decided."""
    slots = [(at, tuple(counts)) for at, counts in timeline.whole()]
    if not slots:
        return None
    # A bar as wide as the page says nothing: a short replay stands at the beginning of its plot.
    slots += [
        (slots[-1][0] + timeline.width * (more + 1), (0,) * len(EFFECTS))
        for more in range(FEWEST - len(slots))
    ]
    totals = {each: sum(counts[index] for _, counts in slots) for index, each in enumerate(EFFECTS)}
    panels = [_all(slots, totals)]
    panels += [_strip(slots, each, totals) for each in STRIPS if totals[each]]
    legend = tuple((each, TOLD[each]) for each in reversed(STACK) if totals[each])
    ticks = tuple(_ticks(slots[0][0], timeline.width, len(slots)))
    return Chart(tuple(panels), ticks, legend, timeline.width, tuple(slots))


def _all(slots: Sequence[tuple[int, tuple[int, ...]]], totals: dict[str, int]) -> Panel:
    most = max(sum(counts) for _, counts in slots)
    ground = [0.0] * len(slots)
    paths = []
    for effect in STACK:
        if not totals[effect]:
            continue
        index = EFFECTS.index(effect)
        heights = [HIGH * counts[index] / most for _, counts in slots]
        paths.append((effect, _path(heights, ground)))
        ground = [low + height for low, height in zip(ground, heights, strict=True)]
    spots = _spots(slots, [_spelled(counts) for _, counts in slots])
    at = next(at for at, counts in slots if sum(counts) == most)
    about = f"At most {words.count(most, 'request')} in one bar, {words.moment(at)}."
    return Panel("all", "All requests", about, tuple(paths), spots, tall=True)


def _strip(
    slots: Sequence[tuple[int, tuple[int, ...]]], effect: str, totals: dict[str, int]
) -> Panel:
    index = EFFECTS.index(effect)
    counts = [each[index] for _, each in slots]
    most, all_of_them = max(counts), sum(totals.values())
    heights = [max(HIGH * each / most, 3.0) if each else 0.0 for each in counts]
    told = [f"{each:,} {TOLD[effect]}" if each else "" for each in counts]
    about = (
        f"{words.count(totals[effect], 'request')}, {words.share(totals[effect], all_of_them)}"
        f" of all; at most {most:,} in one bar, {words.moment(slots[counts.index(most)][0])}."
    )
    path = (effect, _path(heights, [0.0] * len(slots)))
    return Panel(effect, TOLD[effect].capitalize(), about, (path,), _spots(slots, told))


def _spelled(counts: Sequence[int]) -> str:
    found = [f"{n:,} {TOLD[each]}" for each, n in zip(EFFECTS, counts, strict=True) if n]
    return ", ".join(found)


def _spots(slots: Sequence[tuple[int, tuple[int, ...]]], told: Sequence[str]) -> tuple[Spot, ...]:
    wide = WIDE / len(slots)
    return tuple(
        Spot(_short(index * wide), _short(wide), f"{words.moment(at)}: {text}")
        for index, ((at, _), text) in enumerate(zip(slots, told, strict=True))
        if text
    )


def _path(heights: Sequence[float], ground: Sequence[float]) -> str:
    step = WIDE / len(heights)
    gap = 0.14 * step if len(heights) < GAPS_BELOW else 0.0
    wide = _short(step - gap)
    return "".join(
        f"M{_short(index * step + gap / 2)} {_short(HIGH - low - height)}"
        f"h{wide}v{_short(height)}h-{wide}z"
        for index, (height, low) in enumerate(zip(heights, ground, strict=True))
        if height
    )


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _ticks(first: int, width: int, slots: int) -> list[Tick]:
    """Return marks at round moments, a day under the first of each day and a year likewise."""
    whole = width * slots
    step = next((each for each in STEPS if whole <= each * MOST_TICKS), STEPS[-1])
    moments = list(range(-(-first // step) * step, first + whole, step)) or [first]
    found = []
    for before, at in zip([None, *moments], moments, strict=False):
        then = datetime.fromtimestamp(at // SECOND, UTC)
        last = None if before is None else datetime.fromtimestamp(before // SECOND, UTC)
        day = f"{then.day} {words.MONTHS[then.month - 1]}"
        if step < DAY:
            label, below = f"{then:%H:%M}", day
            new = last is None or last.date() != then.date()
        else:
            label, below = day, str(then.year)
            new = last is None or last.year != then.year
        place = (at - first) / whole
        anchor = "start" if place < 0.04 else "end" if place > 0.96 else "middle"  # noqa: PLR2004 - at an edge
        found.append(
            Tick(_short(100 * place), _short(WIDE * place), label, below if new else "", anchor)
        )
    return found


def histogram(title: str, counts: Sequence[int], *, shadow: bool) -> Histogram:
    """Return requests by what was left of a limit."""
    most = log1p(max(counts))
    wide = WIDE / BINS
    bars = []
    for index, each in enumerate(counts):
        if each:
            height = max(HIGH * log1p(each) / most, 4.0)
            tone = "scarce" if not index else "near" if index < BINS // 4 else "roomy"
            bars.append((_short(index * wide), _short(HIGH - height), _short(height), tone))
    spelled = [f"{bin_told(index)} left: {n:,}" for index, n in enumerate(counts) if n]
    about = "Requests by what was left of the limit. " + "; ".join(spelled) + "."
    return Histogram(title, about, tuple(bars), shadow)


def bin_told(index: int) -> str:
    """Return the share that a bin of a headroom histogram stands for.

    >>> bin_told(0).replace(words.DASH, " to ").replace(words.SPACE, " ")
    '0 to 5 %'
    """
    each = 100 // BINS
    return f"{index * each}{words.DASH}{(index + 1) * each}{words.SPACE}%"
