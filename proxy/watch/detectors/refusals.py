"""The provider's own refusals: probing for what works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, mass, measure, share

if TYPE_CHECKING:
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class Refusals:
    """Score: ln(1 + r) x r / n x (1 + q) / 2.

    The provider declined r of n exchanges; q is the share that asked for reasoning.
    State: three sums.
    Campaigns: the probing phase before a campaign scales, most of whose attempts are declined.
    Honest twin: safety researchers, moderation products whose texts are declined.
    """

    name: str = "refusals"
    family: str = "reasoning"
    cap: float = 3.5

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        declined, sent = profile["declined"], profile["sent"]
        part, asking = share(declined, sent), share(profile["elicits"], sent)
        score = mass(declined) * part * (1.0 + asking) / 2.0
        return measure(score, declined=declined, share=part, elicits=asking)
