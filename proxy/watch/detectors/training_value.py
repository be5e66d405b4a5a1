"""The training value of what was given, whatever else was asked beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import (
    Measure,
    mass,
    measure,
    novelty,
    recent,
    variety,
    wanted,
    written,
)

if TYPE_CHECKING:
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class TrainingValue:
    """Score: ln(1 + w d v r) x g.

    w exchanges were like a harvest: alone, for nobody, with a long answer; d is the chance that the
    next prompt is new, v the part of the prompts that are no near-duplicates, r the part of it all
    that is of about the last day, g the part of the text that the model wrote. Unlike `harvest` it
    is no share of what an account asks: honest requests in between take nothing away.
    State: 16 kinds, counters of prompts and of near-duplicates.
    Campaigns: a harvest under a cover of honest requests (5 to 50 % of them), behind one constant
    system text, or for end users who are invented.
    Honest twin: an evaluation on its first pass, which takes as many new, long answers in a day and
    is not told from a harvest of that size (`purpose: eval` tells it).
    """

    name: str = "training_value"
    family: str = "content"
    cap: float = 4.5

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        like, fresh, various = wanted(profile, bare=False), novelty(profile), variety(profile)
        collected, own = like * fresh * various * recent(profile), written(profile)
        return measure(
            mass(collected) * own,
            collected=collected, novelty=fresh, variety=various, written=own,
        )  # fmt: skip
