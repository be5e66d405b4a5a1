"""Asking for the reasoning behind answers, under one frame, again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, largest, mass, measure, share

if TYPE_CHECKING:
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class Elicitation:
    """Score: ln(1 + e) x e / n x c.

    e of n exchanges asked for reasoning to be written out, c is the largest share of them that
    came under one template.
    State: a sum and 32 cells.
    Campaigns: trace coercion by one injected block.
    Honest twin: tutors and their pupils ask for steps, under a system text of their product, and
    in part of what they ask; a single such question says nothing.
    """

    name: str = "elicitation"
    family: str = "reasoning"
    cap: float = 4.5

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        found = profile["elicits"]
        top, total = largest(profile.cells("elicited"))
        part, repeated = share(found, profile["sent"]), share(top, total)
        score = mass(found) * part * repeated
        return measure(score, elicits=found, share=part, repeated=repeated)
