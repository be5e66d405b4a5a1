"""Ablation: what is left of detection without a family, or without one detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.standing import Level
from proxy.evaluation.bounds import share
from proxy.evaluation.recombining import days_at, first_at, race, standings
from proxy.evaluation.results import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from proxy.evaluation.bounds import Share
    from proxy.evaluation.recombining import Combine, Held, Life
    from proxy.policy.compiled import Rung

WHOLE = "all detectors"


@dataclass(frozen=True, slots=True)
class Fell:
    """A campaign under some detectors.

    answers: before half of its accounts were restricted; of what never was, all
    of:      answers that it asked for in all
    """

    name: str
    accounts: int
    reached: bool
    answers: int
    of: int


@dataclass(frozen=True, slots=True)
class Met:
    """Honest account-days at a level or above: of all, and of the archetype with the most."""

    days: Share
    worst: str
    worst_days: Share


@dataclass(frozen=True, slots=True)
class Ablated:
    """What some detectors do. name: what was left out, WHOLE for nothing."""

    name: str
    campaigns: tuple[Fell, ...]
    guarded: Met
    restricted: Met

    @property
    def single(self) -> tuple[Fell, ...]:
        """The campaigns of one account."""
        return tuple(each for each in self.campaigns if each.accounts == 1)


def ablations(
    lives: Sequence[Life], combine: Combine, ladder: Sequence[Rung], families: Mapping[str, str]
) -> tuple[Ablated, ...]:
    """Return what all detectors do, all without each family, and all without each detector.

    lives:    with histories of nats by detector
    combine:  nats by detector -> what they are worth together; leaving out may only lower it
    families: of each detector
    """
    lowest = min((rung.at for rung in ladder if rung.at is not None), default=0.0)
    # What does not reach the lowest rung with everything reaches none without something.
    lives = [_spoken(life, combine, lowest) for life in lives]

    def tried(name: str, weigh: Combine) -> Ablated:
        return judged(name, [(life, standings(life.history, weigh, ladder)) for life in lives])

    found = [tried(WHOLE, combine)]
    for family in dict.fromkeys(families.values()):
        gone = frozenset(name for name, each in families.items() if each == family)
        found.append(tried(f"without {family}", _lacking(combine, gone)))
    # A family of one detector has been left out already.
    many = list(families.values())
    for detector, family in families.items():
        if many.count(family) > 1:
            gone = frozenset((detector,))
            found.append(tried(f"without {detector}", _lacking(combine, gone)))
    return tuple(found)


def judged(name: str, raised: Iterable[tuple[Life, list[Held]]]) -> Ablated:
    """Return what standings do to campaigns and to honest accounts."""
    campaigns: dict[str, list[tuple[Life, list[Held]]]] = {}
    honest = []
    for pair in raised:
        if pair[0].operator:
            campaigns.setdefault(pair[0].operator, []).append(pair)
        else:
            honest.append(pair)
    return Ablated(
        name,
        tuple(_fell(each, campaigns[each]) for each in sorted(campaigns)),
        _met(honest, Level.GUARDED),
        _met(honest, Level.RESTRICTED),
    )


def _fell(name: str, pairs: Sequence[tuple[Life, list[Held]]]) -> Fell:
    lives = [life for life, _ in pairs]
    marked = [first_at(life, held, Level.RESTRICTED) for life, held in pairs]
    reached, answers = race(lives, marked)
    of = sum(len(life.answers) for life in lives)
    return Fell(name, len(lives), reached is not None, answers, of)


def _met(honest: Sequence[tuple[Life, list[Held]]], level: Level) -> Met:
    counts: dict[str, list[int]] = {}
    for life, held in honest:
        count = counts.setdefault(life.archetype, [0, 0])
        count[0] += days_at(life, held, level)
        count[1] += len({at // DAY for at in life.asked})
    shares = {name: share(*count) for name, count in sorted(counts.items())}
    found = sum(count[0] for count in counts.values())
    of = sum(count[1] for count in counts.values())
    worst = max(shares, key=lambda name: shares[name].value, default="")
    nobody = share(0, 0)
    if not worst or not shares[worst].found:
        return Met(share(found, of), "", nobody)
    return Met(share(found, of), worst, shares[worst])


def _spoken(life: Life, combine: Combine, lowest: float) -> Life:
    history = [
        (at, values)
        for at, values in life.history
        if (weight := combine(values)).total >= lowest or weight.certain > 0.0
    ]
    return type(life)(
        life.account, life.operator, life.archetype, life.asked, life.answers, history
    )


def _lacking(combine: Combine, gone: frozenset[str]) -> Combine:
    return lambda values: combine({k: v for k, v in values.items() if k not in gone})
