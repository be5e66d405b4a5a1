"""Keyed features of what is asked: all that is ever kept of a prompt's words comes from here.

Without the key nobody can compute them for a guess. They are read once a request, on its path; of
long prompts the beginning and the end.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from rensa import RMinHash

from proxy.watch.known import KNOWN
from proxy.watch.marks import LOWER, MOST_ASKED, marked, marks, windows
from proxy.watch.phrases import elicits, grades, instructs
from proxy.watch.vector import Projection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from proxy.core.facts import RequestFacts
    from proxy.watch.known import KnownSets

TOPIC_BITS = 12
END = 2_000  # characters that are read at each end of a turn
WHOLE = 16_000  # characters up to which case and spaces of a prompt are levelled
EDGE = 6  # words of a head or tail
SYSTEM = 48  # words of a system text
FRAMED = 5  # words from which a system text is a template
LONG_WORD = 8  # letters from which a word is a filling and not a frame
PERMUTATIONS, BAND = 8, 2
SPACES = b" \t\n\r\x0b\x0c"
PUNCTUATION = ".,:;?!'-"
MOST_WORDS = 320  # of a turn that MinHash reads


@dataclass(slots=True)
class Features:
    """What was asked.

    prompt:    64-bit fingerprint of all of the prompt's text, case and spaces levelled
    template:  64-bit fingerprint of the frame that the prompt fills: its system text, else the
               beginning of its last user turn, long words and numbers masked
    topic:     cell of what it is about, 0 to 4,095: near texts fall into one
    near:      64-bit MinHash band: of two texts with the word sets A and B, they share it with
               a chance of (|A and B| / |A or B|)²
    vector:    float32, of the last user turn: hashed n-grams, projected by the key
    views:     64-bit fingerprints of the frame by system text, head and tail; 0 where there is none
    known:     it holds an item of a public set
    elicits, grades, instructs: it asks for hidden reasoning, for a mark or a cleaning of a text,
               for instructions to be made
    system:    it has a system text
    turns:     how many turns it has, of all roles
    words:     of the last user turn, the first MOST_WORDS of it
    marks:     of the last user turn, to find in it what was served (`Lens.marks`)
    """

    prompt: int
    template: int
    topic: int
    near: int
    vector: NDArray[np.float32] = field(repr=False)
    views: tuple[int, int, int] = (0, 0, 0)
    known: bool = False
    elicits: bool = False
    grades: bool = False
    instructs: bool = False
    system: bool = False
    turns: int = 1
    words: int = 0
    marks: tuple[int, ...] = field(default=(), repr=False)


class Lens:
    """Reads features. One a process.

    secret: keys all of them; the same secret gives the same features everywhere
    known:  the public sets that prompts are compared with
    projection: what makes vectors
    """

    def __init__(self, secret: bytes, known: KnownSets = KNOWN) -> None:
        self._key = hmac.digest(secret, b"weir features", "sha256")
        self._known = known
        self.projection = Projection(self._key)
        self._seed = self._number(b"minhash", "")
        self._marks = self._number(b"marks", "")
        dice = np.random.default_rng(list(hmac.digest(self._key, b"topics", "sha256")))
        shape = (self.projection("").size, TOPIC_BITS)
        self._planes = dice.standard_normal(shape).astype(np.float32)
        self._bits = (1 << np.arange(TOPIC_BITS)).astype(np.int64)

    def __call__(self, facts: RequestFacts) -> Features:
        """Return a request's features; facts without text have those of an empty one."""
        turns = facts.turns
        system, user = _parts(turns)
        text = user if len(user) <= 2 * END else f"{user[:END]} {user[-END:]}"
        low = text.lower()
        words = low.split(None, MOST_WORDS)[:MOST_WORDS]
        frame = system[:END].lower()
        views = self._views(frame, words, low)
        vector = self.projection(text)
        hashes = windows(text)
        return Features(
            prompt=self._fingerprint(b"prompt", _levelled(facts.prompt)),
            template=views[0] or views[1],
            topic=int(((vector @ self._planes) > 0) @ self._bits),
            near=self._near(words),
            vector=vector,
            views=views,
            known=self._known.among(hashes),
            elicits=elicits(low) or elicits(frame),
            grades=grades(low) or grades(frame),
            instructs=instructs(low),
            system=bool(system),
            turns=len(turns),
            words=len(words),
            marks=marked(hashes, self._marks, MOST_ASKED),
        )

    def marks(self, text: str) -> tuple[int, ...]:
        """Return the marks by which an answer is known again; a prompt is read for more of them."""
        return marks(text, self._marks)

    def name(self, text: str) -> int:
        """Return the 64-bit fingerprint of a name, of an end user for instance; 0 for ''."""
        return self._number(b"name", text) if text else 0

    def _number(self, what: bytes, text: str) -> int:
        return self._fingerprint(what, text.encode("utf-8", "surrogatepass"))

    def _fingerprint(self, what: bytes, data: bytes) -> int:
        found = blake2b(data, digest_size=8, key=self._key, person=what[:16]).digest()
        return int.from_bytes(found, "little")

    def _views(self, frame: str, words: Sequence[str], low: str) -> tuple[int, int, int]:
        said = frame[: SYSTEM * 16].split(None, SYSTEM)[:SYSTEM]
        first = self._number(b"system", _masked(said)) if len(said) >= FRAMED else 0
        head = self._number(b"head", _masked(words[:EDGE])) if words else 0
        tail = 0
        if len(words) >= 2 * EDGE:
            tail = self._number(b"tail", _masked(low.rsplit(None, EDGE)[-EDGE:]))
        return first, head, tail

    def _near(self, words: Sequence[str]) -> int:
        if not words:
            return 0
        sketch = RMinHash(PERMUTATIONS, self._seed)
        try:
            sketch.update(words)
        except UnicodeEncodeError:  # half a character, which JSON can spell
            whole = [word.encode("utf-8", "replace").decode() for word in words]
            sketch = RMinHash(PERMUTATIONS, self._seed)
            sketch.update(whole)
        return self._number(b"near", repr(sketch.digest()[:BAND]))


def _parts(turns: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return the first system text and the last user turn that have words, '' for none."""
    return _spoken(turns, "system"), _spoken(reversed(turns), "user")


def _spoken(turns: Iterable[tuple[str, str]], by: str) -> str:
    for role, text in turns:
        if role == by and text and not text.isspace():
            return text
    return ""


def _levelled(prompt: str) -> bytes:
    """Return a prompt in lower case and without spaces (of ASCII both); of a huge one all of it.

    >>> _levelled(" What is this?")
    b'whatisthis?'
    """
    data = prompt.encode("utf-8", "surrogatepass")
    return data if len(prompt) > WHOLE else data.translate(LOWER, SPACES)


def _masked(words: Sequence[str]) -> str:
    """Return words with those masked that fill a frame: numbers, long words, quotations.

    >>> _masked(["what", "is", "12", "plus", '"x"', "exactly?"])
    'what is # plus # exactly'
    """
    return " ".join([_mask(word) for word in words])


def _mask(word: str) -> str:
    if not word.isalpha():
        word = word.strip(PUNCTUATION)
        if not word.isalpha():
            return "#"
    return "_" if len(word) >= LONG_WORD else word
