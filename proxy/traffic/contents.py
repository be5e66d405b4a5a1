"""What is in some traffic, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.traffic.checks import SECOND
from proxy.traffic.reading import WINDOW, Tally, loose, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from proxy.traffic.entry import Entry

MOST_NAMES, LONGEST_SHOWN = 1000, 64
OTHERS, UNKNOWN, UNLABELLED = "(others)", "(not known)", "(none)"


@dataclass(slots=True)
class Contents:
    """Counts of some traffic.

    first, last: moments, microseconds since the epoch; None where there is nothing
    labels:      by kind and archetype; covers: innocent requests of campaigns
    ends:        how answers ended
    unordered:   lines that stand behind later ones of their file; behind: the most, microseconds
    """

    tally: Tally = field(default_factory=Tally)
    files: int = 0
    first: int | None = None
    last: int | None = None
    accounts: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)
    labels: Counter[str] = field(default_factory=Counter)
    covers: int = 0
    models: Counter[str] = field(default_factory=Counter)
    doors: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    without_body: int = 0
    unordered: int = 0
    behind: int = 0

    @property
    def recorded(self) -> bool:
        """What was decided is noted in some of it."""
        return bool(self.effects) and set(self.effects) != {UNKNOWN}

    @property
    def needs_sorting(self) -> bool:
        """Lines are further out of order than a reading puts right."""
        return self.behind > WINDOW

    def note(self, entry: Entry) -> None:
        """Count one entry."""
        self.tally.read += 1
        at = moment(entry)
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)
        self.accounts.add(entry.account)
        self.keys.add(entry.key)
        label = entry.label
        if label is not None:
            self.operators.add(label.operator)
            self.covers += label.cover
        _count(
            self.labels,
            UNLABELLED if label is None else f"{label.kind} {label.archetype}".rstrip(),
        )
        _count(self.models, _model(entry))
        _count(self.doors, f"{entry.method} {_door(entry.path)}")
        self.ends[UNKNOWN if entry.answer is None else entry.answer.end] += 1
        self.effects[entry.effect or UNKNOWN] += 1
        self.without_body += entry.facts is not None

    def as_dict(self) -> dict[str, object]:
        """Return all of it as JSON's values, the most frequent names first."""
        return {
            "files": self.files,
            "read": self.tally.read,
            "unreadable": self.tally.unreadable,
            "first": told(self.first),
            "last": told(self.last),
            "accounts": len(self.accounts),
            "keys": len(self.keys),
            "operators": len(self.operators),
            "labels": _ranked(self.labels),
            "covers": self.covers,
            "models": _ranked(self.models),
            "doors": _ranked(self.doors),
            "answers": _ranked(self.ends),
            "effects": _ranked(self.effects),
            "without_body": self.without_body,
            "unordered": self.unordered,
            "behind_seconds": self.behind / SECOND,
            "needs_sorting": self.needs_sorting,
            "complaints": [
                {"file": each.file, "line": each.line, "why": each.why}
                for each in self.tally.complaints
            ],
        }


def contents(files: Iterable[Path], progress: Callable[[int], None] | None = None) -> Contents:
    """Return what is in some files."""
    found = Contents()
    for file in files:
        found.files += 1
        newest = 0
        for _, _, entry in loose(file, found.tally, progress):
            found.note(entry)
            at = moment(entry)
            if at < newest:
                found.unordered += 1
                found.behind = max(found.behind, newest - at)
            else:
                newest = at
    return found


def told(at: int | None) -> str | None:
    """Return a moment as ISO 8601 in UTC.

    >>> told(1_763_900_000_250_000)
    '2025-11-23T12:13:20.250000Z'
    """
    if at is None:
        return None
    whole = datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=at % SECOND)
    return whole.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _model(entry: Entry) -> str:
    if entry.facts is not None:
        return entry.facts.model or UNKNOWN
    model = entry.body.get("model") if isinstance(entry.body, dict) else None
    if not isinstance(model, str) or not model.isprintable():
        return UNKNOWN
    return model[:LONGEST_SHOWN]


def _door(path: str) -> str:
    """Return a path without what is one object's alone.

    >>> _door("/v1/responses/resp_1/cancel?beta=true"), _door("/v1/responses/input_tokens")
    ('/v1/responses/{id}/cancel', '/v1/responses/input_tokens')
    """
    parts = path.partition("?")[0][:LONGEST_SHOWN].split("/")
    if parts[:3] in (["", "v1", "responses"], ["", "v1", "models"]) and parts[3:]:
        parts[3] = parts[3] if parts[3:] == ["input_tokens"] else "{id}"
    return "/".join(parts)


def _count(names: Counter[str], name: str) -> None:
    names[name if name in names or len(names) < MOST_NAMES else OTHERS] += 1


def _ranked(names: Counter[str]) -> dict[str, int]:
    return dict(sorted(names.items(), key=lambda each: (-each[1], each[0])))
