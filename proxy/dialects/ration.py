"""How much of an answer may still be given, where a shape truncates it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proxy.dialects.tokens import TWELFTHS, Tally, count_words, twelfths

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORD = re.compile(r"\S+")


class Ration:
    """Counts text as a `Tally` does, and cuts it where the tokens run out.

    most: tokens that may be given in all; None: no end

    >>> ration = Ration(3, "words")
    >>> ration.take("a", "to be"), ration.take("a", " or not"), ration.spent, ration.tokens
    ('to be', ' or', True, 3)
    """

    __slots__ = ("_counter", "_most", "_spent", "_tally")

    def __init__(self, most: int | None, counter: str) -> None:
        self._most = most
        self._counter = counter
        self._tally = Tally(counter)
        self._spent = False

    @property
    def spent(self) -> bool:
        """More was to be given than the ration: something has been cut."""
        return self._spent

    @property
    def tokens(self) -> int:
        """What has been given."""
        return self._tally.tokens

    @property
    def threads(self) -> int:
        """How many threads are being remembered."""
        return self._tally.threads

    def take(self, thread: object, text: str) -> str:
        """Count a piece of a thread; return the part of it that may be given, from its start."""
        if self._spent:
            return ""
        if self._most is None or not text:
            self._tally.add(thread, text)
            return text
        given = self._words(thread, text) if self._counter == "words" else self._characters(text)
        self._tally.add(thread, given)
        self._spent = len(given) < len(text)
        return given

    def take_whole(self, pieces: Iterable[tuple[object, str]]) -> bool:
        """Count pieces that go together if all of them may be given; else the ration is spent.

        For what must not be cut: tool calls, signed thinking.
        """
        found = list(pieces)
        if self._spent:
            return False
        if self._most is not None:
            measure = count_words if self._counter == "words" else twelfths
            if sum(measure(text) for _, text in found) > self._room():
                self._spent = True
                return False
        for thread, text in found:
            self._tally.add(thread, text)
        return True

    def would_fit(self, tokens: int) -> bool:
        """Return whether so many tokens more may still be given."""
        return not self._spent and (self._most is None or tokens <= self._most - self._tally.tokens)

    def spend(self) -> None:
        """Give nothing any more."""
        self._spent = True

    def _room(self) -> int:
        """Return what is left: in words, or in twelfths of a token."""
        assert self._most is not None
        most = self._most if self._counter == "words" else self._most * TWELFTHS
        return most - self._tally.parts

    def _words(self, thread: object, text: str) -> str:
        # The rest of a word that has begun costs nothing: the word is counted already.
        room = self._room() + self._tally.joins(thread, text)
        for number, word in enumerate(_WORD.finditer(text)):
            if number == room:
                return text[: word.start()].rstrip()
        return text

    def _characters(self, text: str) -> str:
        room = self._room()
        if twelfths(text) <= room:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if twelfths(text[:middle]) <= room:
                low = middle
            else:
                high = middle - 1
        return text[:low]
