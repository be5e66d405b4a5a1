"""Account-days of honest accounts, counted as they pass: one day of each account is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.evaluation.bounds import share
from proxy.evaluation.results import DAY, Honest, Reaching

REFUSED, SHAPED = 1, 2


@dataclass(slots=True)
class Counts:
    """What is counted of one archetype; `levels` and `held` by mark: account-days and accounts."""

    marks: int
    accounts: int = 0
    days: int = 0
    requests: int = 0
    refused: int = 0
    shaped: int = 0
    delayed: int = 0
    refused_days: int = 0
    shaped_days: int = 0
    full: int = 0
    tokens: int = 0
    levels: list[int] = field(default_factory=list)
    held: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.levels, self.held = [0] * self.marks, [0] * self.marks

    def add(self, other: Counts) -> None:
        """Take in another's."""
        self.accounts += other.accounts
        self.days += other.days
        self.requests += other.requests
        self.refused += other.refused
        self.shaped += other.shaped
        self.delayed += other.delayed
        self.refused_days += other.refused_days
        self.shaped_days += other.shaped_days
        self.full += other.full
        self.tokens += other.tokens
        for which in range(self.marks):
            self.levels[which] += other.levels[which]
            self.held[which] += other.held[which]

    def result(self, name: str, marks: tuple[str, ...]) -> Honest:
        """Return them with their bounds."""
        return Honest(
            name=name,
            accounts=self.accounts,
            days=self.days,
            requests=self.requests,
            refused=self.refused,
            shaped=self.shaped,
            delayed=self.delayed,
            refused_days=share(self.refused_days, self.days),
            shaped_days=share(self.shaped_days, self.days),
            full=self.full,
            tokens=self.tokens,
            levels=tuple(
                Reaching(
                    mark,
                    share(self.levels[which], self.days),
                    share(self.held[which], self.accounts),
                )
                for which, mark in enumerate(marks)
            ),
        )


@dataclass(slots=True)
class Today:
    """One account's last day: number of the day since the epoch, marks and harms of it (bits)."""

    counts: Counts
    day: int = -1
    marks: int = 0
    ever: int = 0
    harms: int = 0


@dataclass(slots=True)
class Days:
    """Honest account-days by archetype. An account's archetype is that of its first request."""

    names: tuple[str, ...]
    archetypes: dict[str, Counts] = field(default_factory=dict)
    accounts: dict[str, Today] = field(default_factory=dict)

    def saw(self, account: str, archetype: str, at: int, marks: int, harms: int) -> Counts:
        """Count a request.

        at:    microseconds since the epoch
        marks: bits of the marks that the account bears now
        harms: REFUSED, SHAPED or 0
        """
        today = self.accounts.get(account)
        if today is None:
            counts = self.archetypes.get(archetype)
            if counts is None:
                counts = self.archetypes[archetype] = Counts(len(self.names))
            today = self.accounts[account] = Today(counts)
            counts.accounts += 1
        counts = today.counts
        counts.requests += 1
        day = at // DAY
        if day != today.day:
            today.day, today.marks, today.harms = day, 0, 0
            counts.days += 1
        new = marks & ~today.marks
        if new:
            self._mark(today, new)
        new = harms & ~today.harms
        if new:
            today.harms |= new
            counts.refused_days += bool(new & REFUSED)
            counts.shaped_days += bool(new & SHAPED)
        return counts

    def results(self) -> tuple[tuple[Honest, ...], Honest | None]:
        """Return what was counted by archetype, and of all."""
        found = tuple(
            counts.result(name or "(none)", self.names)
            for name, counts in sorted(self.archetypes.items())
        )
        if not found:
            return (), None
        pooled = Counts(len(self.names))
        for counts in self.archetypes.values():
            pooled.add(counts)
        return found, pooled.result("all honest", self.names)

    def _mark(self, today: Today, new: int) -> None:
        today.marks |= new
        counts = today.counts
        for which in range(len(self.names)):
            if new >> which & 1:
                counts.levels[which] += 1
                counts.held[which] += not today.ever >> which & 1
        today.ever |= new
