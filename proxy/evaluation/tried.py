"""What baselines did, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.evaluation.bounds import share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.evaluation.bounds import Share
    from proxy.evaluation.race import Reached
    from proxy.evaluation.results import Reaching

# Windows of a campaign by the share of what is extraction in them: name, and from which share on.
MIXES = (
    ("pure", 0.75),
    ("50 %", 0.375),
    ("25 %", 0.175),
    ("10 %", 0.075),
    ("5 %", 1e-9),
    ("0 %", 0),
)


@dataclass(frozen=True, slots=True)
class Caught:
    """One campaign under one detector; `answers` is all that it was answered, cover left out."""

    name: str
    accounts: int
    answers: int
    reached: Reached


@dataclass(frozen=True, slots=True)
class Tested:
    """Windows of one kind, and those on which a test alarmed."""

    name: str
    alarms: Share


@dataclass(frozen=True, slots=True)
class Tried:
    """One detector.

    archetypes, pooled: honest account-days and accounts that were flagged
    honest, thieves: window by window, as papers count: by archetype (`all` first) and by mix
    """

    name: str
    campaigns: tuple[Caught, ...]
    archetypes: tuple[tuple[str, Reaching], ...]
    pooled: Reaching | None
    honest: tuple[Tested, ...]
    thieves: tuple[Tested, ...]


@dataclass(frozen=True, slots=True)
class Trialled:
    """All detectors on one traffic; requests that were measured, and those without a text."""

    detectors: tuple[Tried, ...]
    measured: int
    textless: int


def mix_of(part: float) -> str:
    """Return the mix that a window with this share of extraction is counted to.

    >>> mix_of(1.0), mix_of(0.4), mix_of(0.1), mix_of(0.02), mix_of(0.0)
    ('pure', '50 %', '10 %', '5 %', '0 %')
    """
    return next(name for name, least in MIXES if part >= least)


def tested(
    tests: Mapping[tuple[int, str, bool], Sequence[int]], which: int, *, honest: bool
) -> tuple[Tested, ...]:
    """Return one rule's windows, of honest accounts or of thieves; nothing where it has none."""
    groups = {
        name: counts
        for (rule, name, good), counts in tests.items()
        if (rule, good) == (which, honest)
    }
    order = sorted(groups) if honest else [name for name, _ in MIXES if name in groups]
    found = tuple(Tested(name, share(*groups[name])) for name in order)
    if not honest or not found:
        return found
    alarms, windows = (sum(each[place] for each in groups.values()) for place in (0, 1))
    return (Tested("all", share(alarms, windows)), *found)
