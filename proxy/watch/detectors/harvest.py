"""Bare questions, all new, with long answers: the texts of a set, as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import (
    Measure,
    mass,
    measure,
    novelty,
    recent,
    share,
    variety,
    wanted,
    written,
)

if TYPE_CHECKING:
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class Harvest:
    """Score: ln(1 + b d v r) x s x g, where s is the share of bare exchanges among all.

    b exchanges were bare: without system text, conversation, tools or end user, and with a long
    answer. d is the chance that the next prompt is new, v the part of the prompts that are no
    near-duplicates, g the part of the text that the model
    wrote, r the part of it all that is of about the last day.
    State: 16 kinds, counters of prompts and of near-duplicates.
    Campaigns: instruction sets sent as they are; every bare, new, long pair is training data.
    Honest twin: somebody who tries a model by hand (few), translators (segments repeat, answers
    are as long as what is given), contracted synthetic data (`purpose: synthetic-licensed`).
    """

    name: str = "harvest"
    family: str = "content"
    cap: float = 4.5

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        bare = wanted(profile, bare=True)
        fresh, various = novelty(profile), variety(profile)
        collected = bare * fresh * various * recent(profile)
        part = share(bare, profile["asked"])
        own = written(profile)
        score = mass(collected) * part * own
        return measure(score, collected=collected, share=part, novelty=fresh, written=own)
