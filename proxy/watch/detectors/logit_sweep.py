"""A fixed prompt under token biases that change: reading the output layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, largest, mass, measure, share

if TYPE_CHECKING:
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class LogitSweep:
    """Score: ln(1 + b) x c x b / n.

    b of n exchanges had `logit_bias`, c is the largest share of them that had one prompt.
    State: a sum and 32 cells of prompts.
    Campaigns: the projection matrix of a model for less than 20 dollars (arXiv 2403.06634).
    Honest twin: classifiers that bias towards their labels: over many prompts, so c is small.
    """

    name: str = "logit_sweep"
    family: str = "parameters"
    cap: float = 4.5

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        biased = profile["biased"]
        top, total = largest(profile.cells("biased_prompts"))
        repeated, part = share(top, total), share(biased, profile["tuned"])
        return measure(mass(biased) * repeated * part, biased=biased, repeated=repeated, share=part)
