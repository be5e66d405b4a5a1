"""Baselines tried on labelled traffic: an alarm flags its account for a day.

Detectors are told account, time and prompt. Labels are read here, to say what their alarms were
worth. No policy acts: what a campaign gets is what it was answered in the traffic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from proxy.dialects.tokens import count
from proxy.evaluation.baselines.windows import LARGE, Windows
from proxy.evaluation.calibrating import text_of
from proxy.evaluation.honest import Days
from proxy.evaluation.ledger import Ledger
from proxy.evaluation.race import Race
from proxy.evaluation.tried import Caught, Trialled, Tried, mix_of, tested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from proxy.evaluation.baselines.embedding import Embedding
    from proxy.evaluation.baselines.judging import Judge
    from proxy.replay.played import Played
    from proxy.traffic.entry import Entry, Label

DAY = 86_400_000_000
FLAGGED = DAY  # microseconds that an account stays flagged after an alarm
ERROR = 400


class Counter(Protocol):
    """A detector that says of every request whether it alarms."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def alarms(self, account: str, at: int, prompt: str) -> bool:
        """Take a request and return whether there is an alarm."""
        ...


@dataclass(slots=True)
class Trial:
    """Tries detectors; fills `Listener`.

    held_out: whether a request is of the calibration part, which is not measured
    textless: requests without a text, which window tests cannot read
    """

    counters: Sequence[Counter]
    judges: Sequence[Judge]
    embedding: Embedding
    held_out: Callable[[str, Label], bool]
    names: tuple[str, ...] = ()
    ledger: Ledger = field(default_factory=lambda: Ledger(()))
    measured: int = 0
    textless: int = 0
    _windows: Windows = field(default_factory=Windows)
    _days: Days = field(default_factory=lambda: Days(()))
    _races: dict[str, Race] = field(default_factory=dict)
    _got: dict[str, list[int]] = field(default_factory=dict)
    _until: dict[str, dict[int, int]] = field(default_factory=dict)
    _attack: dict[str, bytearray] = field(default_factory=dict)
    # (rule's number, archetype or mix, honest) -> alarms, windows
    _tests: dict[tuple[int, str, bool], list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rules = [rule.name for judge in self.judges for rule in judge.rules]
        self.names = (*(counter.name for counter in self.counters), *rules)
        self.ledger, self._days = Ledger(self.names), Days(self.names)

    def decided(self, played: Played) -> None:
        """Show a request to all detectors."""
        entry, facts = played.entry, played.facts
        label = entry.label
        if label is None or facts is None or not facts.metered:
            return
        if self.held_out(entry.account, label):
            return
        self.measured += 1
        alarms = self._alarms(played, facts.prompt, label)
        self.ledger.saw(entry.account, label, entry.t, alarms)
        if label.kind == "extraction":
            self._campaign(entry, label, alarms)
            return
        flags = alarms | self._flags(entry.account, entry.t)
        if alarms:
            until = self._until.setdefault(entry.account, {})
            for which in bits(alarms):
                until[which] = entry.t + FLAGGED
        self._days.saw(entry.account, label.archetype, entry.t, flags, 0)
        if tokens_of(entry) is not None:
            self.ledger.got(entry.account, entry.t)

    def settled(self, played: Played) -> None:
        """Detectors see no answers."""

    def results(self) -> Trialled:
        """Return what each detector did."""
        archetypes, pooled = self._days.results()
        races = [(name, race, race.results()) for name, race in sorted(self._races.items())]
        found = []
        for which, name in enumerate(self.names):
            caught = tuple(
                Caught(campaign, len(race.used), self._got[campaign][0], reached[which])
                for campaign, race, reached in races
            )
            found.append(
                Tried(
                    name,
                    caught,
                    tuple((each.name, each.levels[which]) for each in archetypes),
                    None if pooled is None else pooled.levels[which],
                    tested(self._tests, which, honest=True),
                    tested(self._tests, which, honest=False),
                )
            )
        return Trialled(tuple(found), self.measured, self.textless)

    def _alarms(self, played: Played, prompt: str, label: Label) -> int:
        """Return who alarms at a request (bits)."""
        entry, found = played.entry, 0
        for which, counter in enumerate(self.counters):
            if counter.alarms(entry.account, entry.t, prompt):
                found |= 1 << which
        if self.judges:
            if text_of(played) is None:
                self.textless += 1
            else:
                found |= self._judged(entry.account, prompt, label)
        return found

    def _campaign(self, entry: Entry, label: Label, alarms: int) -> None:
        race = self._races.get(label.operator)
        if race is None:
            race = self._races[label.operator] = Race(self.names)
            self._got[label.operator] = [0]
        moment = race.enters(entry.account, entry.t, alarms)
        tokens = tokens_of(entry)
        if tokens is not None and not label.cover:
            self._got[label.operator][0] += 1
            race.got(moment, tokens)
            self.ledger.got(entry.account, entry.t)

    def _flags(self, account: str, at: int) -> int:
        """Return the detectors by which an account was flagged at some time of this day."""
        until = self._until.get(account)
        if until is None:
            return 0
        begins, found = at - at % DAY, 0
        for which, ends in until.items():
            if ends > begins:
                found |= 1 << which
        return found

    def _judged(self, account: str, prompt: str, label: Label) -> int:
        """Return the alarms of the windows that this prompt fills."""
        thief = label.kind == "extraction"
        if thief:
            rows = self._attack.setdefault(account, bytearray())
            rows.append(not label.cover)
        alarms = 0
        for size, window in self._windows.add(account, self.embedding(prompt)):
            group = mix_of(sum(rows[-size:]) / size) if thief else label.archetype or "(none)"
            which = len(self.counters)
            for judge in self.judges:
                score = judge.score(window) if judge.size == size else 0.0
                for rule in judge.rules:
                    if judge.size == size:
                        fired = rule.alarms(score)
                        alarms |= fired << which
                        counts = self._tests.setdefault((which, group, not thief), [0, 0])
                        counts[0] += fired
                        counts[1] += 1
                    which += 1
        if thief and len(rows) == LARGE:
            rows.clear()
        return alarms


def tokens_of(entry: Entry) -> int | None:
    """Return the output tokens of what a request was answered in the traffic; None for nothing.

    Where nobody noted an answer there was one, of unknown length.
    """
    answer = entry.answer
    if answer is None:
        return 0
    usage = answer.usage
    tokens = usage.relayed if usage.reported_output is None else usage.reported_output
    billed = answer.billed
    if billed is None:
        billed = answer.status < ERROR or usage.relayed > 0
    if not billed or answer.end == "error":
        return None
    return tokens or count(answer.text, "chars")


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, from low to high.

    >>> list(bits(0b101001))
    [0, 3, 5]
    """
    which = 0
    while mask >> which:
        if mask >> which & 1:
            yield which
        which += 1
