"""Metrics over labelled traffic: what thieves got, what honest people felt.

Labels are read here and nowhere in the engine. What is kept grows with accounts and account-days,
and with answers on their way, never with requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.core.decision import Effect
from proxy.core.standing import Level
from proxy.evaluation.honest import REFUSED, SHAPED, Days
from proxy.evaluation.race import Got, Race
from proxy.evaluation.results import Campaign, Results

if TYPE_CHECKING:
    from proxy.evaluation.ledger import Ledger
    from proxy.evaluation.race import Moment
    from proxy.replay.played import Played
    from proxy.traffic.entry import Label

LEVELS = tuple(level.value for level in Level if level is not Level.CLEAR)
# An account at a level stands at all below it too: bit i is LEVELS[i].
MARKS = {level.value: (1 << level.rank) - 1 for level in Level}
EXTRACTION = "extraction"


@dataclass(slots=True)
class _Campaign:
    race: Race = field(default_factory=lambda: Race(LEVELS))
    archetypes: dict[str, None] = field(default_factory=dict)
    requests: int = 0
    answers: int = 0
    cover: int = 0
    full: int = 0
    tokens: int = 0
    refused: int = 0
    shaped: int = 0
    delayed: int = 0


@dataclass(slots=True)
class Measures:
    """Collects the metrics of a replay; fills `Listener`.

    An account has reached a level from its first request on that was decided at that level or
    above. When a campaign has reached it says `race`. An answer counts as before or after by the
    moment at which it was asked for, not at which it ended.

    ledger: who is told of every account for controls afterwards, None where nobody asks
    """

    ledger: Ledger | None = None
    unlabelled: int = 0
    _campaigns: dict[str, _Campaign] = field(default_factory=dict)
    _days: Days = field(default_factory=lambda: Days(LEVELS))
    _moments: dict[int, Moment] = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        """Whether any request said who sent it."""
        return bool(self._campaigns or self._days.accounts)

    def decided(self, played: Played) -> None:
        """Count a decision."""
        label, account = played.entry.label, played.entry.account
        if label is None:
            self.unlabelled += 1
            return
        decision = played.decision
        level = "clear" if decision is None else decision.level
        effect = None if decision is None else decision.effect
        if self.ledger is not None:
            self.ledger.saw(account, label, played.at, MARKS[level])
        if label.kind != EXTRACTION:
            self._honest(played, label, level, effect)
            return
        campaign = self._campaigns.get(label.operator)
        if campaign is None:
            campaign = self._campaigns[label.operator] = _Campaign()
        campaign.archetypes[label.archetype] = None
        campaign.requests += 1
        campaign.cover += label.cover
        campaign.refused += effect is Effect.REFUSE
        campaign.shaped += effect is Effect.SHAPE
        campaign.delayed += effect is Effect.DELAY
        self._moments[id(played)] = campaign.race.enters(account, played.at, MARKS[level])

    def settled(self, played: Played) -> None:
        """Count what was served."""
        label = played.entry.label
        if label is None:
            return
        served = played.how not in {"refused", "error"}
        full = played.full and not label.cover
        if self.ledger is not None and full:
            self.ledger.got(played.entry.account, played.at)
        if label.kind != EXTRACTION:
            counts = self._days.accounts[played.entry.account].counts
            counts.full += played.full
            counts.tokens += played.spent.output
            return
        campaign, moment = self._campaigns[label.operator], self._moments.pop(id(played))
        campaign.answers += served
        if full:
            tokens = played.spent.output
            campaign.full += 1
            campaign.tokens += tokens
            campaign.race.got(moment, tokens)

    def results(self) -> Results:
        """Return what was measured so far, campaigns and archetypes in the order of their names."""
        archetypes, pooled = self._days.results()
        return Results(
            tuple(_result(name, each) for name, each in sorted(self._campaigns.items())),
            archetypes,
            pooled,
            self.unlabelled,
        )

    def _honest(self, played: Played, label: Label, level: str, effect: Effect | None) -> None:
        refused, shaped = effect is Effect.REFUSE, effect is Effect.SHAPE
        harms = REFUSED * refused + SHAPED * shaped
        counts = self._days.saw(
            played.entry.account, label.archetype, played.at, MARKS[level], harms
        )
        counts.refused += refused
        counts.shaped += shaped
        counts.delayed += effect is Effect.DELAY


def _result(name: str, campaign: _Campaign) -> Campaign:
    return Campaign(
        name=name,
        archetype=", ".join(sorted(filter(None, campaign.archetypes))),
        accounts=len(campaign.race.used),
        requests=campaign.requests,
        answers=campaign.answers,
        cover=campaign.cover,
        full=Got(campaign.full, campaign.tokens),
        refused=campaign.refused,
        shaped=campaign.shaped,
        delayed=campaign.delayed,
        levels=campaign.race.results(),
    )
