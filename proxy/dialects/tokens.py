"""How text is counted when nobody else has said.

`words`: one whitespace-separated word is one token, as the stand-in model counts.
`chars`: an estimate by script class, in twelfths of a token a character, from what today's
byte-pair vocabularies (100,000 to 200,000 entries) do to ordinary prose:

| UTF-8 length | scripts | characters a token | twelfths |
|---|---|---|---|
| 1 byte | ASCII: English, code | 4 | 3 |
| 2 bytes | other Latin, Greek, Cyrillic, Hebrew, Arabic | 2 | 6 |
| 3 bytes | CJK, Kana, Hangul, Indic, Thai, typographic marks | 1.5 | 8 |
| 4 bytes | emoji, rare ideographs | 0.5 | 24 |

Both are additive: text may be cut between any two characters without changing the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

TWELFTHS = 12
# Characters that are split into words at once: the words of a long text weigh far more than it.
SLICE = 64 * 1024


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a dialect needs to know of a model. Mirrors `policy.compiled.Model`.

    counter:               'words' or 'chars'
    max_output_tokens:     the most that the model can produce in one choice
    reserve_output_tokens: what a request without a cap of its own reserves
    """

    counter: str = "chars"
    max_output_tokens: int = 4096
    reserve_output_tokens: int = 4096


RulesOf = Callable[[str], TokenRules]

_ALL = bytes(range(256))
_NOT_LEADING_2 = _ALL.translate(None, bytes(range(0xC0, 0xE0)))
_NOT_LEADING_3 = _ALL.translate(None, bytes(range(0xE0, 0xF0)))
_NOT_LEADING_4 = _ALL.translate(None, bytes(range(0xF0, 0x100)))


def count_words(text: str) -> int:
    """Return the number of whitespace-separated words, whitespace as in `str.split`."""
    if len(text) <= SLICE:
        return len(text.split())
    words, inside = 0, False
    for start in range(0, len(text), SLICE):
        piece = text[start : start + SLICE]
        words += len(piece.split()) - (inside and not piece[0].isspace())
        inside = not piece[-1].isspace()
    return words


def twelfths(text: str) -> int:
    """Return the estimate for a text in twelfths of a token."""
    if text.isascii():
        return 3 * len(text)
    # Half a surrogate pair may stand in a chunk of an answer: encode it rather than fail.
    raw = text.encode("utf-8", "surrogatepass")
    two = len(raw.translate(None, _NOT_LEADING_2))
    three = len(raw.translate(None, _NOT_LEADING_3))
    four = len(raw.translate(None, _NOT_LEADING_4))
    return 3 * (len(text) - two - three - four) + 6 * two + 8 * three + 24 * four


def whole(parts: int) -> int:
    """Return twelfths as tokens, rounded up."""
    return -(-parts // TWELFTHS)


def count(text: str, counter: str) -> int:
    """Return the tokens of a text by a counter.

    >>> count("to be or not", "words"), count("to be or not", "chars"), count("你好吗", "chars")
    (4, 3, 2)
    """
    return count_words(text) if counter == "words" else whole(twelfths(text))


class Tally:
    """Counts text that comes in pieces, each piece into a named thread.

    A word cut between two pieces of one thread is one word.

    >>> tally = Tally("words")
    >>> tally.add("a", "to b"), tally.add("b", "x"), tally.add("a", "e or")
    (None, None, None)
    >>> tally.tokens
    4
    """

    __slots__ = ("_inside", "_sum", "_words")

    def __init__(self, counter: str) -> None:
        self._words = counter == "words"
        self._sum = 0
        # Threads whose last character so far was part of a word.
        self._inside: set[object] = set()

    @property
    def threads(self) -> int:
        """How many threads are being remembered."""
        return len(self._inside)

    @property
    def tokens(self) -> int:
        """The sum of all threads."""
        return self._sum if self._words else whole(self._sum)

    @property
    def parts(self) -> int:
        """The sum in twelfths of a token; in words, where those are counted."""
        return self._sum

    def joins(self, thread: object, text: str) -> bool:
        """Return whether a piece would go on with a word of its thread."""
        return thread in self._inside and not text[:1].isspace()

    def add(self, thread: object, text: str) -> None:
        """Count one more piece."""
        if not text:
            return
        if not self._words:
            self._sum += twelfths(text)
            return
        inside = self._inside
        self._sum += len(text.split()) if len(text) <= SLICE else count_words(text)
        if thread in inside:
            if not text[0].isspace():
                self._sum -= 1
            if text[-1].isspace():
                inside.discard(thread)
        elif not text[-1].isspace():
            inside.add(thread)
