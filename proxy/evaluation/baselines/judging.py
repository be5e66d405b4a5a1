"""A judge scores a full window once; its rules say at which scores there is an alarm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.evaluation.baselines.embedding import Floats

ONE_SIDED, TWO_SIDED = 95.0, (2.5, 97.5)  # percentiles of honest scores: 5 % lie outside
FEWEST = 20  # honest windows without which nothing is said of a percentile


@dataclass(frozen=True, slots=True)
class Rule:
    """There is an alarm at a score below `low` or above `high`."""

    name: str
    low: float = -math.inf
    high: float = math.inf

    def alarms(self, score: float) -> bool:
        """Return whether a score is one for an alarm; one that is no number never is."""
        return score < self.low or score > self.high


@dataclass(frozen=True, slots=True)
class Judge:
    """A test of windows of one size.

    score: what a window is; NaN where it says nothing
    rules: what is made of that
    """

    size: int
    score: Callable[[Floats], float]
    rules: tuple[Rule, ...]


def above(name: str, honest: Sequence[float]) -> Rule | None:
    """Return the one-sided rule of honest scores; None where there are too few."""
    scores = _numbers(honest)
    if len(scores) < FEWEST:
        return None
    return Rule(name, high=float(np.percentile(scores, ONE_SIDED)))


def outside(name: str, honest: Sequence[float]) -> Rule | None:
    """Return the two-sided rule of honest scores; None where there are too few."""
    scores = _numbers(honest)
    if len(scores) < FEWEST:
        return None
    low, high = np.percentile(scores, TWO_SIDED)
    return Rule(name, float(low), float(high))


def _numbers(scores: Sequence[float]) -> list[float]:
    return [score for score in scores if not math.isnan(score)]
