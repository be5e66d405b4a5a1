"""Too broad and too new, or too narrow: two-sided breadth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import (
    Measure,
    mass,
    measure,
    novelty,
    renyi,
    share,
    variety,
    wanted,
    written,
)
from proxy.watch.layout import TOPICS

if TYPE_CHECKING:
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class Breadth:
    """Score: the larger of a sweep and a grid.

    sweep: ln(1 + w d) x ln(t) / ln(T) x h x g; w exchanges like a harvest (alone, for nobody,
    long answer), the share h of all, d the chance that the next prompt is new (Good-Turing), t the
    effective number of topics (exp of Renyi-2 entropy, at most T = 128 cells).
    grid: ln(1 + w d) x (1 - v) x h x g, v the part of the prompts that are no near-duplicates, g
    the part of the text that the model wrote.
    One-sided tests of breadth find a third of what two-sided ones do (published marks).
    State: 128 topic cells, 16 kinds, counters of prompts and of near-duplicates.
    Honest twin: gateways and chat products are as broad, but their end users are named and their
    conversations go on; researchers make grids, of few items.
    """

    name: str = "breadth"
    family: str = "content"
    cap: float = 4.5

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        topics = max(1.0, renyi(profile.cells("topics")))
        fresh, various = novelty(profile), variety(profile)
        like = wanted(profile, bare=False)
        collected = mass(like * fresh) * written(profile)
        part = share(like, profile["asked"])
        sweep = collected * part * min(1.0, math.log(topics) / math.log(TOPICS))
        grid = collected * part * (1.0 - various)
        return measure(max(sweep, grid), topics=topics, novelty=fresh, variety=various, share=part)
