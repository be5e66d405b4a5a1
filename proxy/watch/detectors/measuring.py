"""What detectors are, and what they measure with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from proxy.watch.counting import distinct, missing_mass
from proxy.watch.layout import ALONE, BARE, KINDS, LONG, NAMELESS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from proxy.watch.profile import Profile

TOKENS_A_WORD = 4.0 / 3.0
MOST = 20.0  # no score is above it
GOES_ON = 0.5  # share of requests within conversations from which named end users are believed
_KINDS = np.arange(KINDS)
_NAMED, _TALKS = _KINDS & NAMELESS == 0, _KINDS & ALONE == 0


@dataclass(frozen=True, slots=True)
class Measure:
    """What a detector says of a profile.

    score:   0 (nothing) to MOST, more for more evidence; no probability: calibration makes it one
    numbers: what it was made of, for people
    """

    score: float
    numbers: Mapping[str, float]


class Detector(Protocol):
    """A pure function of a profile: monotone in its evidence, bounded, with no memory of its own.

    cap: the most nats of evidence that it may give
    """

    @property
    def name(self) -> str:
        """Its name in policies and records."""
        ...

    @property
    def family(self) -> str:
        """The kind of evidence that it belongs to."""
        ...

    @property
    def cap(self) -> float:
        """The most nats that it may say."""
        ...

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        ...


def measure(score: float, **numbers: float) -> Measure:
    """Return a measure within its bounds, its numbers rounded for people."""
    kept = {name: round(number, 4) for name, number in numbers.items()}
    return Measure(min(MOST, max(0.0, score)) if math.isfinite(score) else 0.0, kept)


def share(part: float, of: float) -> float:
    """Return a part of a whole, 0 to 1; 0 of nothing."""
    return min(1.0, max(0.0, part / of)) if of > 0 else 0.0


def mass(count: float) -> float:
    """Return a count on a scale of magnitudes, in nats: 0 for none, 5 for about 150."""
    return math.log1p(max(0.0, count))


def novelty(profile: Profile) -> float:
    """Return the chance that the next prompt is a new one (Good-Turing), 0 to 1."""
    return missing_mass(profile.sets.prompts.total())


def variety(profile: Profile) -> float:
    """Return how many of the differing prompts are no near-duplicates of each other, 0 to 1."""
    prompts = distinct(profile.sets.prompts.total())
    return share(distinct(profile.sets.near.total()), prompts)


def largest(cells: NDArray[np.float32]) -> tuple[float, float]:
    """Return the largest cell and the sum of all."""
    return float(cells.max()), float(cells.sum())


def wanted(profile: Profile, *, bare: bool) -> float:
    """Return how many exchanges were like a harvest: alone, for nobody, with a long answer.

    bare: only those without a system text
    That an end user was named costs a word, so it is believed as far as conversations go on: in
    full from where each second request of named users is part of one.
    """
    kinds = profile.cells("kinds")
    return _lone(kinds, NAMELESS, bare=bare) + _lone(kinds, 0, bare=bare) * (1.0 - _going_on(kinds))


def _lone(kinds: NDArray[np.float32], name: int, *, bare: bool) -> float:
    """Return the exchanges that were alone and had a long answer, with a name (0) or without."""
    found = float(kinds[ALONE | BARE | LONG | name])
    return found if bare else found + float(kinds[ALONE | LONG | name])


def _going_on(kinds: NDArray[np.float32]) -> float:
    """Return how far conversations of named end users go on, 0 to 1."""
    named = kinds[_NAMED]
    return min(1.0, share(float(kinds[_NAMED & _TALKS].sum()), float(named.sum())) / GOES_ON)


def recent(profile: Profile) -> float:
    """Return which part of what was asked is of about the last day, 0 to 1.

    What is asked in a week is many a customer's habit; as much in a day is few ones'.
    """
    return share(profile["lately_asked"], profile["asked"])


def written(profile: Profile) -> float:
    """Return which part of an exchange's text the model wrote, 0 to 1.

    Answers about a given text (its translation, its summary, a question to a long context) teach
    less than answers out of the model's own knowledge. A word is taken for 4/3 tokens.
    """
    output = profile["output"]
    return share(output, output + TOKENS_A_WORD * profile["words"])


def renyi(cells: NDArray[np.float32]) -> float:
    """Return how many equally frequent cells would collide as often (exp of Renyi-2 entropy).

    n(n-1) / sum c(c-1), the unbiased form for counts; 0 before two.
    """
    total = float(cells.sum())
    pairs = total * (total - 1.0)
    if pairs <= 0:
        return 0.0
    counts = cells.astype(np.float64)
    same = float((counts * (counts - 1.0)).clip(min=0.0).sum())
    return min(float(len(cells)) * 2.0, pairs / same) if same > 0 else float(len(cells))
