"""A curve from scores to nats, as calibration tables hold it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Curve:
    """Steps: from each score on, so many nats. Both rise; below the first score it is 0.

    >>> Curve((1.0, 2.0), (0.5, 3.0))(1.9), Curve((1.0, 2.0), (0.5, 3.0))(9), Curve()(9)
    (0.5, 3.0, 0.0)
    """

    scores: tuple[float, ...] = ()
    nats: tuple[float, ...] = ()

    def __call__(self, score: float) -> float:
        """Return the nats of a score."""
        place = bisect_right(self.scores, score)
        return self.nats[place - 1] if place else 0.0

    def score_for(self, nats: float) -> float | None:
        """Return the least score that gives so many nats; None where none does."""
        for score, given in zip(self.scores, self.nats, strict=True):
            if given >= nats:
                return score
        return None
