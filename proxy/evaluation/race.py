"""A race: what a campaign gets before so many of its accounts are marked.

A mark is anything that an account can come to: a level of standing, an alarm of a detector. An
account bears a mark from the first request on at which it did. **A campaign has reached a mark when
at least half of the accounts that it has used so far bear it**; for one account that is the
account. Two counts are kept of what it got:

- *before*: until the first moment at which it had reached the mark. Of what never reached it, all.
- *while below*: at all moments at which fewer than half bore it. A campaign that goes on with new
  accounts falls below again, and this count goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Got:
    """Answers and their output tokens."""

    answers: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reached:
    """How a campaign came to one mark.

    accounts: that bear it in the end
    after:    microseconds from the campaign's first request until it had reached the mark, None
              where it never has
    before:   what it got before that; below: what it got while fewer than half bore the mark
    """

    name: str
    accounts: int
    after: int | None
    before: Got
    below: Got


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a race stood when a request came: bit i is set while mark i was not reached.

    never: not reached before; below: not reached just then
    """

    never: int
    below: int


@dataclass(slots=True)
class Race:
    """One campaign and several marks; names say what the marks are.

    used:  accounts so far
    bears: accounts by mark
    """

    names: tuple[str, ...]
    used: set[str] = field(default_factory=set)
    bears: list[set[str]] = field(default_factory=list)
    first: int = 0
    at: list[int | None] = field(default_factory=list)
    now: Moment = Moment(0, 0)
    _before: list[list[int]] = field(default_factory=list)
    _below: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bears = [set() for _ in self.names]
        self.at = [None] * len(self.names)
        self._before = [[0, 0] for _ in self.names]
        self._below = [[0, 0] for _ in self.names]
        self.now = Moment((1 << len(self.names)) - 1, (1 << len(self.names)) - 1)

    def enters(self, account: str, at: int, marks: int) -> Moment:
        """Hear of a request: its account bears from now on the marks whose bits are set.

        at: microseconds since the epoch. Returns where the race stands, this request counted.
        """
        changed = account not in self.used
        if changed:
            if not self.used:
                self.first = at
            self.used.add(account)
        which = 0
        while marks >> which:
            if marks >> which & 1 and account not in self.bears[which]:
                self.bears[which].add(account)
                changed = True
            which += 1
        if changed:
            self._look(at)
        return self.now

    def got(self, moment: Moment, tokens: int) -> None:
        """Count an answer, to the moment at which it was asked for."""
        for bits, counts in ((moment.never, self._before), (moment.below, self._below)):
            which = 0
            while bits >> which:
                if bits >> which & 1:
                    counts[which][0] += 1
                    counts[which][1] += tokens
                which += 1

    def results(self) -> tuple[Reached, ...]:
        """Return how it came to each mark."""
        return tuple(
            Reached(
                name,
                len(self.bears[which]),
                _since(self.at[which], self.first),
                Got(*self._before[which]),
                Got(*self._below[which]),
            )
            for which, name in enumerate(self.names)
        )

    def _look(self, at: int) -> None:
        never, below = self.now.never, 0
        for which, bearing in enumerate(self.bears):
            bit = 1 << which
            if 2 * len(bearing) < len(self.used):
                below |= bit
            elif never & bit:
                never &= ~bit
                self.at[which] = at
        self.now = Moment(never, below)


def _since(at: int | None, first: int) -> int | None:
    return None if at is None else at - first
