"""Much of what is served is reasoning, and it is asked to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, mass, measure, share, wanted

if TYPE_CHECKING:
    from proxy.watch.profile import Profile

THOUSAND = 1_000.0


@dataclass(frozen=True, slots=True)
class ReasoningShare:
    """Score: ln(1 + k) x r x s x h.

    k thousand tokens of reasoning, r their share of all output tokens, s the share of exchanges
    that have reasoning shown or sealed for keeping, h the share that was like a harvest (alone,
    for nobody, long).
    State: four sums and 16 kinds.
    Honest twin: people who use reasoning models for hard problems; agents keep sealed reasoning,
    inside of conversations and with tools.
    """

    name: str = "reasoning_share"
    family: str = "reasoning"
    cap: float = 3.0

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        thought, sent = profile["thought"], profile["sent"]
        part = share(thought, profile["said"])
        shown = share(profile["shows"] + profile["seals"], sent)
        like = share(wanted(profile, bare=False), profile["asked"])
        score = mass(thought / THOUSAND) * part * shown * like
        return measure(score, tokens=thought, share=part, shown=shown, like=like)
