"""Conversations that begin with a history that nobody here has served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, mass, measure, share

if TYPE_CHECKING:
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class ForeignHistory:
    """Score: ln(1 + f) x f / n x u.

    f of n exchanges brought a history of two turns or more of which no answer was this account's;
    u is the share of all brought turns that were not.
    State: three sums; what was served is remembered by the process and by 512 bits.
    Campaigns: replays of whole foreign sessions, conversations handed from account to account.
    Honest twin: a product that moves here from another provider, for a few days; clients that
    shorten or rewrite their history.
    """

    name: str = "foreign_history"
    family: str = "reasoning"
    cap: float = 3.5

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        starts, brought = profile["foreign_starts"], profile["history"]
        unserved = share(profile["unserved"], brought)
        part = share(starts, profile["sent"])
        return measure(mass(starts) * part * unserved, starts=starts, share=part, unserved=unserved)
