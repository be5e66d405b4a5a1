"""A new account at its maximum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, mass, measure

if TYPE_CHECKING:
    from proxy.watch.profile import Profile

NEW = 3 * 86_400_000_000  # microseconds in which half of being new is gone


@dataclass(frozen=True, slots=True)
class Ramp:
    """Score: ln(1 + l) x 2^(-age / 3 d), of l exchanges in about the last day.

    Age is the time since the first exchange that the profile remembers.
    State: a sum and a moment.
    Campaigns: a subscription at its maximum from the first day. Honest twin: a key or product that
    moves to a new account. It multiplies what others say, and says nothing alone.
    """

    name: str = "ramp"
    family: str = "volume"
    cap: float = 2.0

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        age = max(0, profile.at - profile.first) if profile.first else 0
        lately = profile["lately"]
        score = mass(lately) * 2.0 ** -(age / NEW)
        return measure(score, lately=lately, days=age / 86_400_000_000)
