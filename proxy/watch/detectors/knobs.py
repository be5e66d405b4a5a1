"""Soft labels: log-probabilities and many answers to one question."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, mass, measure, novelty, share

if TYPE_CHECKING:
    from proxy.watch.profile import Profile

PLAIN = 0.25  # of log-probabilities of the chosen token alone


@dataclass(frozen=True, slots=True)
class Knobs:
    """Score: ln(1 + k d) x k / n, with k = t + l/4 + m log2(1 + c) / 4 + m x o / n / 4.

    Of n exchanges t had the probabilities of other tokens (`top_logprobs`), l only those of the
    chosen one, m more answers than one, of c choices on average; o were at temperature 1 or above.
    d is the chance that the next prompt is new.
    State: six sums, counters of prompts.
    Campaigns: soft labels, best-of-n harvesting, the output layer from log-probabilities.
    Honest twin: classifiers with confidences, researchers: on few different prompts, or with
    answers of one token; `purpose: eval` eases it.
    """

    name: str = "knobs"
    family: str = "parameters"
    cap: float = 4.0

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        tuned = profile["tuned"]
        top, plain = profile["top_logprobs"], profile["logprobs"]
        many, hot = profile["many"], share(profile["hot"], tuned)
        choices = profile["choices"] / tuned if tuned > 0 else 1.0
        answers = many * (math.log2(1.0 + max(1.0, choices)) + hot) * PLAIN
        weighed = top + PLAIN * max(0.0, plain - top) + answers
        part, fresh = share(weighed, tuned), novelty(profile)
        score = mass(weighed * fresh) * part
        return measure(score, top_logprobs=top, logprobs=plain, many=many, share=part)
