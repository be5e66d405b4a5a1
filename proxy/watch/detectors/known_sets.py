"""Items of public sets: the seeds of distillation, and of evaluations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, mass, measure, novelty, recent, share

if TYPE_CHECKING:
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class KnownSets:
    """Score: ln(1 + k d r) x k / n, of n exchanges k that held an item of a public set.

    r is the part of it all that is of about the last day.
    d is the chance that the next prompt is new: who asks the same items of each model has a
    falling one.
    State: two sums, counters of prompts.
    Honest twin: evaluations, exactly, until their second pass; `purpose: eval` eases it.
    """

    name: str = "known_sets"
    family: str = "content"
    cap: float = 3.5

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        known, fresh = profile["known"], novelty(profile)
        part = share(known, profile["asked"])
        return measure(
            mass(known * fresh * recent(profile)) * part, known=known, share=part, novelty=fresh
        )
