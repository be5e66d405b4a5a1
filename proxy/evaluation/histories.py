"""Histories of evidence, kept while traffic is played."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.core.standing import Level
from proxy.evaluation.measuring import EXTRACTION
from proxy.evaluation.recombining import Life
from proxy.watch.detectors import DETECTORS

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from proxy.engine import Assessment
    from proxy.replay.played import Played
    from proxy.traffic.entry import Label
    from proxy.watch.profile import Profile

NAMES = tuple(each.name for each in DETECTORS)
SIZE = len(NAMES)
PLACES = {name: place for place, name in enumerate(NAMES)}


@dataclass(slots=True)
class Kept:
    """What is kept of an account. nats, scores: a row an assessment, in the order of NAMES."""

    operator: str
    archetype: str
    purpose: str
    asked: array[int] = field(default_factory=lambda: array("q"))
    answers: array[int] = field(default_factory=lambda: array("q"))
    at: array[int] = field(default_factory=lambda: array("q"))
    nats: array[float] = field(default_factory=lambda: array("f"))
    scores: array[float] = field(default_factory=lambda: array("f"))


@dataclass(slots=True)
class Histories:
    """Keeps what is said of labelled accounts; fills `Listener` and `watching.Hears`.

    An answer counts that the provider gave and that is no cover, unless a limit refused or changed
    it: what a level did to it does not count, since another weighing would not have set the level.
    """

    accounts: dict[str, Kept] = field(default_factory=dict)

    def decided(self, played: Played) -> None:
        """Note a request."""
        entry = played.entry
        if entry.label is not None and played.decision is not None:
            self._kept(entry.account, entry.label, entry.purpose).asked.append(played.at)

    def settled(self, played: Played) -> None:
        """Note an answer."""
        label, decision = played.entry.label, played.decision
        if label is None or decision is None or label.cover:
            return
        if decision.level == Level.CONTAINED and played.how == "refused":
            answer = played.entry.answer
            given = answer is not None and answer.end != "error"
        else:
            whole = played.full or decision.level != Level.CLEAR
            given = played.how not in {"refused", "error"} and whole
        if given:
            self.accounts[played.entry.account].answers.append(played.at)

    def assessed(self, played: Played, profile: Profile, assessment: Assessment) -> None:  # noqa: ARG002 - as all are told
        """Keep what detectors said."""
        entry = played.entry
        if entry.label is None:
            return
        kept = self._kept(entry.account, entry.label, entry.purpose)
        nats, scores = array("f", bytes(4 * SIZE)), array("f", bytes(4 * SIZE))
        for found in assessment.findings:
            place = PLACES[found.detector]
            nats[place], scores[place] = found.llr, found.score
        kept.at.append(assessment.at)
        kept.nats.extend(nats)
        kept.scores.extend(scores)

    def lives(
        self, among: Container[str] | None = None, *, scores: bool = False
    ) -> Iterator[tuple[Life, str]]:
        """Yield accounts with the purposes that they declare, in the order of their names.

        among:  those alone; scores: histories of scores, and not of nats
        """
        for account, kept in sorted(self.accounts.items()):
            if among is None or account in among:
                rows = kept.scores if scores else kept.nats
                life = Life(
                    account,
                    kept.operator,
                    kept.archetype or "(none)",
                    kept.asked,
                    sorted(kept.answers),
                    list(_history(kept.at, rows)),
                )
                yield life, kept.purpose

    def _kept(self, account: str, label: Label, purpose: str) -> Kept:
        kept = self.accounts.get(account)
        if kept is None:
            operator = label.operator if label.kind == EXTRACTION else ""
            kept = self.accounts[account] = Kept(operator, label.archetype, purpose)
        return kept


def _history(at: array[int], rows: array[float]) -> Iterator[tuple[int, dict[str, float]]]:
    for number, moment in enumerate(at):
        row = rows[number * SIZE : (number + 1) * SIZE]
        yield moment, {name: value for name, value in zip(NAMES, row, strict=True) if value > 0.0}
