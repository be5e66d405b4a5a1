"""Sealed reasoning that was never this account's and conversation's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, measure

if TYPE_CHECKING:
    from proxy.watch.profile import Profile

EACH = 2.5


@dataclass(frozen=True, slots=True)
class ForeignReasoning:
    """Score: 2.5 f nats, f sealed items in requests that their binding did not let through.

    An item of another organisation's account counts whole, one of another conversation of this
    account a third (a client may have edited the turn before it), one that was never wrapped a
    twentieth (it may be older than the gateway).
    An invariant: no honest client needs it, so it is not calibrated. State: one sum.
    Campaigns: a reasoning signature saved, and replayed in a new session to be read out.
    Honest twin: one customer with several accounts; its organisation is not foreign.
    """

    name: str = "foreign_reasoning"
    family: str = "invariant"
    cap: float = 8.0

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        return measure(EACH * profile["foreign"], foreign=profile["foreign"])
