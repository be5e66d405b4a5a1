"""As many tokens as the model can write, every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, mass, measure, share, wanted

if TYPE_CHECKING:
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class AtCap:
    """Score: ln(1 + a) x a / n x h / 2.

    a of n exchanges asked for the model's most tokens; h is the share that was like a harvest.
    State: a sum and 16 kinds.
    Honest twin: SDKs and agents that always set it, which is why it says little.
    """

    name: str = "at_cap"
    family: str = "parameters"
    cap: float = 2.0

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        capped = profile["at_cap"]
        part = share(capped, profile["tuned"])
        like = share(wanted(profile, bare=False), profile["asked"])
        return measure(mass(capped) * part * like / 2.0, capped=capped, share=part, like=like)
