"""One frame, filled again and again, with long answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import (
    Measure,
    largest,
    mass,
    measure,
    novelty,
    recent,
    share,
    wanted,
    written,
)
from proxy.watch.layout import VIEWS

if TYPE_CHECKING:
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class TemplateConcentration:
    """Score: ln(1 + m) x c² x g, where m = n h d r.

    n exchanges, of which the share h were asked alone, for no end user, with a long answer; d is
    the chance that the next prompt is new; c is the share of the most frequent frame in the view
    (system text, head, tail) where it is largest, above what chance puts into one of 48 cells; g
    is the part of the text that the model wrote, r the part of it all that is of about the last
    day.
    State: three histograms of 48 cells, 16 kinds, prompts' counters.
    Campaigns: a fixed block in every request over many prompts, grids of a template.
    Honest twin: batch jobs (their answers are short, h is near 0), retrieval (its context is
    long, g is small) and products with a system text (their users are named or come back in
    conversations).
    """

    name: str = "template_concentration"
    family: str = "content"
    cap: float = 4.5

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        asked = profile["asked"]
        concentration = 0.0
        for view in VIEWS:
            cells = profile.cells(f"view_{view}")
            top, total = largest(cells)
            by_chance = (total - top) / max(1, len(cells) - 1)
            concentration = max(concentration, share(top - by_chance, asked))
        fresh, like, own = novelty(profile), wanted(profile, bare=False), written(profile)
        collected = like * fresh * recent(profile)
        score = mass(collected) * concentration**2 * own
        return measure(
            score, asked=asked, collected=collected, concentration=concentration, written=own
        )
