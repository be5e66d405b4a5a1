"""How much was collected: answers that differ, and their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, mass, measure, novelty

if TYPE_CHECKING:
    from proxy.watch.profile import Profile

HUNDRED = 100.0


@dataclass(frozen=True, slots=True)
class Collected:
    """Score: (ln(1 + l d) + ln(1 + k d)) / 2.

    l answers in about the last day and k hundred tokens of them (both halve in a day); d is the
    chance that the next prompt is new.
    State: two sums, counters of prompts.
    Honest twin: every heavy customer. It multiplies what others say, and says nothing alone.
    """

    name: str = "collected"
    family: str = "volume"
    cap: float = 4.0

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        answers, tokens, fresh = profile["lately_asked"], profile["lately_tokens"], novelty(profile)
        score = (mass(answers * fresh) + mass(tokens * fresh / HUNDRED)) / 2.0
        return measure(score, answers=answers, tokens=tokens, novelty=fresh)
