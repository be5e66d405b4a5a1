"""What controls need of every account: when it was first seen and marked, and what it got when."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.traffic.entry import Label

HOUR = 3_600_000_000


@dataclass(slots=True)
class Diary:
    """One account.

    operator: of the campaign that it belongs to, '' for an honest one
    first:    moment of its first request, microseconds since the epoch
    marks:    moment at which it first bore each mark, by the mark's number
    hours, answers: answers by hour since the epoch; an hour may be there more than once
    """

    operator: str
    first: int
    requests: int = 0
    known: int = 0
    marks: dict[int, int] = field(default_factory=dict)
    hours: array[int] = field(default_factory=lambda: array("I"))
    answers: array[int] = field(default_factory=lambda: array("I"))

    def until(self, at: int | None) -> int:
        """Return its answers up to the end of the hour of a moment; all for None."""
        if at is None:
            return sum(self.answers)
        last = at // HOUR
        if not self.hours or self.hours[0] > last:
            return 0
        return sum(
            count for hour, count in zip(self.hours, self.answers, strict=True) if hour <= last
        )


@dataclass(slots=True)
class Ledger:
    """Diaries of all accounts that are labelled; `names` are the marks."""

    names: tuple[str, ...]
    accounts: dict[str, Diary] = field(default_factory=dict)

    def saw(self, account: str, label: Label, at: int, marks: int) -> None:
        """Note a request, and the marks that its account bears now (bits)."""
        diary = self.accounts.get(account)
        if diary is None:
            operator = label.operator if label.kind == "extraction" else ""
            diary = self.accounts[account] = Diary(operator, at)
        diary.requests += 1
        new = marks & ~diary.known
        if new:
            diary.known |= new
            for which in range(len(self.names)):
                if new >> which & 1:
                    diary.marks[which] = at

    def got(self, account: str, at: int) -> None:
        """Note an answer at full fidelity."""
        diary, hour = self.accounts[account], at // HOUR
        if diary.hours and diary.hours[-1] == hour:
            diary.answers[-1] += 1
        else:
            diary.hours.append(hour)
            diary.answers.append(1)
