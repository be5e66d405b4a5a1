"""Round the clock, by a pool of workers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, mass, measure, renyi

if TYPE_CHECKING:
    from proxy.watch.profile import Profile

DAY_HOURS = 24.0
FEWEST = 24.0  # exchanges below which hours say nothing


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Score: ln(1 + n/24) x ln(a) / ln 24.

    n exchanges over an effective number of a hours of the day (exp of Renyi-2 entropy).
    State: 24 hours.
    Campaigns: "24/7 use with no idle" (AA26-251A). Honest twin: nightly jobs, CI, products with
    users in all time zones. It multiplies what others say, and says nothing alone.
    """

    name: str = "steadiness"
    family: str = "volume"
    cap: float = 2.0

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        asked = profile["requests"]
        hours = min(DAY_HOURS, max(1.0, renyi(profile.cells("hours"))))
        score = mass(asked / FEWEST) * math.log(hours) / math.log(DAY_HOURS)
        return measure(score, requests=asked, hours=hours)
