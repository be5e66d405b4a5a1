"""Our own answers come back, to be graded or cleaned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, mass, measure, share

if TYPE_CHECKING:
    from proxy.watch.profile import Profile

PLAIN = 0.25


@dataclass(frozen=True, slots=True)
class Echo:
    """Score: ln(1 + g + e/4) x (g + e/4) / n.

    Of n exchanges e held, outside of their history, an answer that this account was given; of
    them g asked for a mark or a cleaning.
    State: two sums and a set of marks (512 bits a fortnight).
    Campaigns: reasoning cleaners, rubric and critique loops.
    Honest twin: graders of their own product's answers; `purpose: eval` eases it. Code agents
    quote what they were given inside of a conversation, which is history and not counted.
    """

    name: str = "echo"
    family: str = "reasoning"
    cap: float = 4.0

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        graded, echoed = profile["echo_graded"], profile["echoed"]
        weighed = graded + PLAIN * (echoed - graded)
        part = share(weighed, profile["sent"])
        return measure(mass(weighed) * part, echoed=echoed, graded=graded, share=part)
