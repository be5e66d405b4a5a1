"""The marks that detection is held to, and by how much they are missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.standing import Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.evaluation.results import Campaign, Honest, Results

ANSWERS = 150  # full answers that one account has got before it is restricted
# Honest account-days, shares from 0 to 1: of all by their upper bound, of the worst as seen.
POOLED = ((Level.GUARDED, 0.001), (Level.RESTRICTED, 0.0001))
WORST = ((Level.GUARDED, 0.005), (Level.RESTRICTED, 0.0005))


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark.

    most, found: answers, or shares from 0 to 1; on whom: the worst campaign or archetype, '' of all
    seen:        what was observed, where `found` is a bound of it
    of, missed:  of so many campaigns (archetypes) so many miss it; of all honest accounts 1
    """

    name: str
    most: float
    found: float
    worst: str
    of: int
    missed: int
    seen: float

    @property
    def met(self) -> bool:
        """Whether it is met by all."""
        return not self.missed


def single(campaigns: Sequence[Campaign]) -> list[Campaign]:
    """Return the campaigns of one account."""
    return [each for each in campaigns if each.accounts == 1]


def before(campaign: Campaign, level: Level) -> int:
    """Return the full answers that a campaign got before a level; all where it never was there."""
    return next(each.before.answers for each in campaign.levels if each.name == level.value)


def marks(results: Results) -> tuple[Mark, ...]:
    """Return all marks that the traffic can say something of."""
    return tuple(_marks(results))


def _marks(results: Results) -> Iterator[Mark]:
    alone = single(results.campaigns)
    if alone:
        worst = max(alone, key=lambda each: (before(each, Level.RESTRICTED), each.name))
        beyond = sum(before(each, Level.RESTRICTED) > ANSWERS for each in alone)
        got = before(worst, Level.RESTRICTED)
        name = "full answers of a single account before restricted"
        yield Mark(name, ANSWERS, got, worst.name, len(alone), beyond, got)
    if results.pooled is None:
        return
    for level, most in POOLED:
        seen, high = _days(results.pooled, level)
        name = f"honest account-days at {level.value} or above, upper 95 % bound"
        yield Mark(name, most, high, "", 1, int(high > most), seen)
    for level, most in WORST:
        shares = {each.name: _days(each, level)[0] for each in results.archetypes}
        name = max(shares, key=lambda each: (shares[each], each))
        beyond = sum(each > most for each in shares.values())
        told = f"worst archetype's account-days at {level.value} or above, observed"
        which = name if shares[name] else ""
        yield Mark(told, most, shares[name], which, len(shares), beyond, shares[name])


def _days(honest: Honest, level: Level) -> tuple[float, float]:
    """Return the share of account-days at a level or above, and its upper bound."""
    found = next(each.days for each in honest.levels if each.name == level.value)
    return found.value, found.high
