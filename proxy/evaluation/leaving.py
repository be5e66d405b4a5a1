"""Leave one source of texts out: tables made of who never asks of it, tried on who does.

A detector that has learnt a source takes its texts for the deed, or for innocence. Here the tables
of scores are made anew of the honest accounts that have nothing of a source, and honest accounts
and campaigns that have it are judged by them. Nothing is replayed a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.evaluation.ablation import judged
from proxy.evaluation.recombining import standings
from proxy.replay.calibrating import Scores
from proxy.watch.detectors import DETECTORS
from proxy.watch.evidence import EASED, MOST_EASED, Finding, nats, weigh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxy.evaluation.ablation import Ablated
    from proxy.evaluation.histories import Histories
    from proxy.policy.compiled import Rung
    from proxy.watch.calibration import Calibration
    from proxy.watch.evidence import Weight

FEWEST = 30  # honest accounts that tables can be made of


@dataclass(frozen=True, slots=True)
class Left:
    """One source.

    accounts: honest ones without it, of whom the tables were made; most: nats that these can give
    judged:   honest accounts with it
    found:    what those tables do to who has it, campaigns and honest accounts; None where too few
              are without it
    """

    source: str
    accounts: int
    judged: int
    most: float
    found: Ablated | None


def left_out(
    histories: Histories,
    scores: Scores,
    sources: Mapping[str, Sequence[str]],
    ladder: Sequence[Rung],
) -> tuple[Left, ...]:
    """Return what is left of detection for each source, in the order of their names.

    scores:  of the honest accounts in the same replay
    sources: what each account asks of; who is not there asks of nothing
    """
    names = sorted({name for each in sources.values() for name in each})
    return tuple(_left(name, histories, scores, sources, ladder) for name in names)


def weighing(calibration: Calibration, purpose: str) -> Callable[[Mapping[str, float]], Weight]:
    """Return what weighs scores by some tables, eased by a declared purpose."""
    eased = EASED.get(purpose, {})

    def combine(scores: Mapping[str, float]) -> Weight:
        found = []
        for each in DETECTORS:
            score = scores.get(each.name, 0.0)
            if score > 0.0:
                said = min(each.cap, nats(each.name, each.family, score, calibration))
                said = max(0.0, said - min(MOST_EASED, eased.get(each.name, 0.0)))
                found.append(Finding(each.name, each.family, score, said, {}))
        return weigh(found, calibration)

    return combine


def _left(
    source: str,
    histories: Histories,
    scores: Scores,
    sources: Mapping[str, Sequence[str]],
    ladder: Sequence[Rung],
) -> Left:
    without = {
        account: kept
        for account, kept in scores.accounts.items()
        if source not in sources.get(account, ())
    }
    asking = {account for account, each in sources.items() if source in each}
    honest = sum(
        not histories.accounts[each].operator for each in asking & histories.accounts.keys()
    )
    if len(without) < FEWEST:
        return Left(source, len(without), honest, 0.0, None)
    calibration = Scores(without, first=scores.first, last=scores.last).calibration()
    raised = [
        (life, standings(life.history, weighing(calibration, purpose), ladder))
        for life, purpose in histories.lives(asking, scores=True)
    ]
    return Left(source, len(without), honest, calibration.most, judged(f"without {source}", raised))
