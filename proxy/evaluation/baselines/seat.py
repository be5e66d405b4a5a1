"""SEAT: an extraction asks what is almost the same, over and over.

Zhang, Chen and Wagner, "SEAT: Similarity Encoder by Adversarial Training for Detecting Model
Extraction Attack Queries", AISec 2021: an account is closed when so many pairs of its prompts are
closer than tau. The published encoder is trained against an attacker; ours is hashed 3-grams, and
tau and the count come from honest accounts. Two-sided, an account without a near pair is as
suspicious as one of many: a sweep repeats less than people do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from proxy.evaluation.baselines.embedding import squared_distances
from proxy.evaluation.baselines.judging import Judge, above, outside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.evaluation.baselines.embedding import Floats

NEAR = 5.0  # percentile of the distances between honest prompts of an account that is tau


@dataclass(frozen=True, slots=True)
class Nearness:
    """Scores a window by the share of its pairs of prompts, 0 to 1, that are closer than tau."""

    tau: float

    def __call__(self, window: Floats) -> float:
        """Return a window's score."""
        near = squared_distances(window, window) < self.tau * self.tau
        count = len(window)
        # Each pair is there twice; the diagonal is not a pair.
        return float((near.sum() - np.trace(near)) / (count * (count - 1)))


def judge(size: int, honest: Sequence[Floats]) -> tuple[Judge, bool]:
    """Return SEAT for windows of a size; the second value says whether it could be calibrated."""
    score = Nearness(tau(honest))
    scores = [score(each) for each in honest]
    rules = (above(f"seat-{size}", scores), outside(f"seat-{size}-two-sided", scores))
    return Judge(size, score, tuple(rule for rule in rules if rule)), None not in rules


def tau(honest: Sequence[Floats]) -> float:
    """Return the distance below which two prompts are a near pair; 0 without honest windows."""
    found = []
    for window in honest:
        between = squared_distances(window, window)
        found.append(between[np.triu_indices(len(window), 1)])
    return float(np.sqrt(np.percentile(np.concatenate(found), NEAR))) if found else 0.0
