"""Levels out of histories of evidence: what an account would have stood at, played but once.

A history is what detectors said of an account at each assessment. What they say does not depend on
levels beyond how much is answered, so that the same words, weighed in another way, tell what other
detectors or tables would have raised. What thieves would have asked then, nobody knows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from proxy.core.standing import Level
from proxy.engine.assessing import CONTAINED_FOR, CONTAINS, PARTS
from proxy.evaluation.results import DAY

if TYPE_CHECKING:
    from proxy.policy.compiled import Rung


class Weighed(Protocol):
    """What findings are worth together, as `evidence.Weight`."""

    @property
    def total(self) -> float:
        """Nats."""
        ...

    @property
    def families(self) -> tuple[str, ...]:
        """Those that speak."""
        ...

    @property
    def certain(self) -> float:
        """Nats of it that are of an invariant."""
        ...


# What detectors said at a moment (microseconds since the epoch): nats, or scores, by detector.
History: TypeAlias = Sequence[tuple[int, Mapping[str, float]]]
Combine: TypeAlias = Callable[[Mapping[str, float]], Weighed]


@dataclass(frozen=True, slots=True)
class Life:
    """An account for who recombines.

    operator: of its campaign, '' for an honest one
    asked:    moments of its requests in their order, microseconds since the epoch
    answers:  of those that its provider answered and that were no cover, in order
    """

    account: str
    operator: str
    archetype: str
    asked: Sequence[int] = field(repr=False)
    answers: Sequence[int] = field(repr=False)
    history: History = field(repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """A level from a moment on and until another one, the latter left out."""

    rank: int
    since: int
    until: int


def standings(history: History, combine: Combine, ladder: Sequence[Rung]) -> list[Held]:
    """Return what an account is raised to, in order; none overlaps the next.

    As `engine.standing_for`: what is held is never lowered, and prolonged when a tenth has passed.
    """
    found: list[Held] = []
    for at, values in history:
        rung = _highest(combine(values), ladder)
        if rung is None:
            continue
        rank, lasts = rung.level.rank, rung.lasts or CONTAINED_FOR
        if found and found[-1].until > at:
            last = found[-1]
            if last.rank > rank:
                continue
            if last.rank == rank:
                if (at + lasts - last.until) * PARTS >= lasts:
                    found[-1] = Held(rank, last.since, at + lasts)
                continue
            found[-1] = Held(last.rank, last.since, at)
        found.append(Held(rank, at, at + lasts))
    return found


def first_at(life: Life, held: Sequence[Held], level: Level) -> int | None:
    """Return the moment of the first request that met a level or above; None for never."""
    for each in held:
        if each.rank >= level.rank:
            place = bisect_left(life.asked, each.since)
            if place < len(life.asked) and life.asked[place] < each.until:
                return life.asked[place]
    return None


def days_at(life: Life, held: Sequence[Held], level: Level) -> int:
    """Return on how many days of UTC a request met a level or above."""
    found: set[int] = set()
    for each in held:
        if each.rank >= level.rank:
            first = bisect_left(life.asked, each.since)
            found.update(
                at // DAY for at in life.asked[first : bisect_left(life.asked, each.until)]
            )
    return len(found)


def race(lives: Sequence[Life], marked: Sequence[int | None]) -> tuple[int | None, int]:
    """Return when accounts as one campaign reached a mark, and their answers before that.

    marked: of each account, the moment at which it first bore the mark
    A campaign has reached it when half of the accounts that it has used so far bear it.
    """
    events = sorted(
        [(life.asked[0], 0) for life in lives if life.asked]
        + [(at, 1) for at in marked if at is not None]
    )
    used = bearing = 0
    reached = None
    for index, (at, kind) in enumerate(events):
        used, bearing = used + (kind == 0), bearing + kind
        last = index + 1 == len(events) or events[index + 1][0] > at
        if last and 2 * bearing >= used:
            reached = at
            break
    if reached is None:
        return None, sum(len(life.answers) for life in lives)
    return reached, sum(bisect_right(life.answers, reached - 1) for life in lives)


def _highest(weight: Weighed, ladder: Sequence[Rung]) -> Rung | None:
    return max(
        (rung for rung in ladder if _reached(rung, weight)),
        key=lambda rung: (rung.level.rank, rung.lasts),
        default=None,
    )


def _reached(rung: Rung, weight: Weighed) -> bool:
    """Return whether evidence is enough for a rung, as `engine.assess` has it."""
    if rung.level is Level.CONTAINED:
        return "invariant" in rung.by and weight.certain >= CONTAINS
    if rung.at is None or weight.total < rung.at:
        return False
    return len(weight.families) >= rung.families or weight.certain >= rung.at
