"""What one process remembers of accounts lately: gaps, running answers, what was served.

Bounded, and lost with the process: what is not remembered counts as nothing, never as a sign.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.watch.features import Lens

MOST_ACCOUNTS = 100_000
MOST_SERVED = 4_096  # numbers of an account
MOST_NUMBERS = 4_000_000  # of all accounts
KNOWN_FOR = 3_600_000_000  # microseconds after which it may be said that an answer was not served
SHORTEST = 40  # characters of a turn that is no commonplace
BEGINNING = 400  # characters by which a turn is known again
FEWEST_MARKS = 2  # of a text that it shares with what was served


@dataclass(slots=True)
class _Account:
    """since: when it was first met; last: its last request; running: answers under way."""

    since: int
    last: int | None = None
    running: int = 0
    served: OrderedDict[int, None] = field(default_factory=OrderedDict)


@dataclass(slots=True)
class Remembered:
    """What is remembered, the account that was quiet longest forgotten first."""

    accounts: OrderedDict[str, _Account] = field(default_factory=OrderedDict)
    numbers: int = 0

    def arrives(self, account: str, at: int) -> tuple[int | None, int]:
        """Note a request; return the gap since the one before, and how many answers run.

        at: microseconds since the epoch
        """
        known = self._account(account, at)
        gap = None if known.last is None else max(0, at - known.last)
        running = known.running
        known.last = at if known.last is None else max(known.last, at)
        known.running += 1
        return gap, running

    def ended(self, account: str) -> None:
        """Note that an answer is no longer under way."""
        known = self.accounts.get(account)
        if known is not None and known.running:
            known.running -= 1

    def answered(self, account: str, numbers: Iterable[int]) -> None:
        """Remember what an account was served, by the numbers that `history` and marks are of."""
        known = self.accounts.get(account)
        if known is None:
            return
        for number in numbers:
            self.numbers += number not in known.served
            known.served[number] = None
            known.served.move_to_end(number)
        while len(known.served) > MOST_SERVED:
            known.served.popitem(last=False)
            self.numbers -= 1
        while self.numbers > MOST_NUMBERS and len(self.accounts) > 1:
            self._forget()

    def forgets(self, account: str) -> None:
        """Forget what an account was served, where one of its answers could not be read."""
        known = self.accounts.get(account)
        if known is not None:
            self.numbers -= len(known.served)
            known.served.clear()
            known.since = known.last or known.since

    def unserved(self, account: str, history: Sequence[int], at: int) -> int:
        """Return how many of a history's turns this account was not served, as far as we know.

        0 for an account that was met but lately: what it was served before is not known.
        """
        known = self.accounts.get(account)
        if known is None or at - known.since < KNOWN_FOR:
            return 0
        return sum(number not in known.served for number in history)

    def echoes(self, account: str, marks: Sequence[int]) -> bool:
        """Return whether a text holds what this account was served."""
        known = self.accounts.get(account)
        if known is None or not known.served:
            return False
        return sum(mark in known.served for mark in marks) >= FEWEST_MARKS

    def _account(self, account: str, at: int) -> _Account:
        known = self.accounts.get(account)
        if known is None:
            if len(self.accounts) >= MOST_ACCOUNTS:
                self._forget()
            known = self.accounts[account] = _Account(at)
        else:
            self.accounts.move_to_end(account)
        return known

    def _forget(self) -> None:
        _, gone = self.accounts.popitem(last=False)
        self.numbers -= len(gone.served)


def history_of(turns: Sequence[tuple[str, str]], lens: Lens) -> tuple[int, ...]:
    """Return the numbers of the assistant's turns in a request, commonplaces left out."""
    return tuple(
        turn_number(text, lens)
        for role, text in turns
        if role == "assistant" and len(text) >= SHORTEST
    )


def turn_number(text: str, lens: Lens) -> int:
    """Return the number by which a turn is known again: of its beginning, spaces levelled."""
    return lens.name(" ".join(text[: 2 * BEGINNING].split())[:BEGINNING])
