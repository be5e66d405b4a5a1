"""Prompts that are unlike those of every kind of honest customer, as sums of vectors tell it."""

from __future__ import annotations

from dataclasses import dataclass, field
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
from proxy.watch.distribution import nearest

if TYPE_CHECKING:
    from proxy.watch.distribution import Reference
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class DistributionShift:
    """Score: ln(1 + T s d v r g), T the squared MMD to the nearest honest archetype.

    T is told in deviations of what it is by chance (`watch.distribution`: Hotelling 1931; Gretton
    and others 2012), 0 where it is less. s is the share of the exchanges that are like a harvest
    (alone, for nobody, with a long answer), d the chance that the next prompt is new, v the part of
    the prompts that are no near-duplicates, r the part of it all that is of about the last day, g
    the part of the text that the model wrote.
    State: 128 sums of vectors, 16 kinds, counters. References are turned for a deployment's key by
    `detectors_for`; without any it says nothing.
    Campaigns: one subject or one frame in quantity, as no customer of that size asks it.
    Honest twin: a customer with a subject of its own is as far from all archetypes, but asks it in
    conversations, in short answers or about given texts; where it does not, only how rare that is
    in the operator's own calibration speaks for it.
    """

    references: tuple[Reference, ...] = field(default=(), repr=False)
    name: str = "distribution_shift"
    family: str = "content"
    cap: float = 3.5

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        asked = profile["asked"]
        distance, _ = nearest(self.references, profile.cells("vector"), asked)
        part = share(wanted(profile, bare=False), asked)
        worth = part * novelty(profile) * variety(profile) * recent(profile) * written(profile)
        return measure(mass(distance * worth), distance=distance, worth=worth)
