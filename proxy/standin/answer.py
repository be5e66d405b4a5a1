"""From what was asked to the whole answer, token by token, before any of it is sent.

The same request has the same answer: all follows from hashes of it. Stop sequences, sampling
settings and the legacy `function_call` are accepted and change nothing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from hashlib import blake2b, shake_128
from typing import TYPE_CHECKING

from proxy.standin.documents import Json, Writer, free_document
from proxy.standin.fields import identity
from proxy.standin.vocabulary import WORDS, number, pieces

if TYPE_CHECKING:
    from proxy.standin.asked import Asked

SHORTEST, LONGEST = 20, 200
REFUSAL = 8
REASONER = "reasoner"
# Answers are deterministic to the byte, so the time in them stands still.
CREATED = 1_750_000_000

_PIECE = re.compile(r"\s*\S+")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers.

    pieces:  the text, or a call's arguments, token by token; joined they are the whole
    finish:  'stop', 'length', 'tool_calls' or 'refusal'
    thought: what was thought, token by token
    shows:   the thought is sent
    call:    (id without its prefix, name) of the function called; its name is one token
    """

    index: int
    seed: bytes
    pieces: list[str]
    finish: str
    thought: list[str]
    shows: bool = False
    call: tuple[str, str] | None = None

    @property
    def text(self) -> str:
        """The content, or the arguments of the call."""
        return "".join(self.pieces)

    @property
    def shown(self) -> list[str]:
        """What of the thought is sent."""
        return self.thought if self.shows else []

    @property
    def visible(self) -> int:
        """Tokens that are sent."""
        return len(self.pieces) + len(self.shown) + (self.call is not None)

    @property
    def reasoning(self) -> int:
        """Tokens that were thought."""
        return len(self.thought)

    @property
    def tokens(self) -> int:
        """Tokens that are billed."""
        return len(self.pieces) + self.reasoning + (self.call is not None)


def choices_of(asked: Asked) -> list[Choice]:
    """Return the answers; raises RequestError where a schema cannot be fitted."""
    return [_choice(asked, index) for index in range(asked.n)]


def logprobs(choice: Choice, alternatives: int) -> list[Json]:
    """Return a plausible log-probability of each piece of a choice, with alternatives."""
    return logprobs_of(choice.pieces, choice.seed, alternatives)


def logprobs_of(said: list[str], seed: bytes, alternatives: int) -> list[Json]:
    """Return the same of any pieces."""
    draws = shake_128(seed + b"logprobs").digest(len(said))
    return [_logprob(piece, draw, alternatives) for piece, draw in zip(said, draws, strict=True)]


def _choice(asked: Asked, index: int) -> Choice:
    directives = asked.directives
    seed = blake2b(asked.text_seed + index.to_bytes(2), digest_size=16).digest()
    thought = directives.reasoning
    if thought is None:
        thought = SHORTEST + number(seed + b"reasoning", 100) if asked.thinks else 0
    if asked.thought_cap is not None:
        thought = min(thought, asked.thought_cap)
    left = asked.cap
    if left is not None:
        thought = min(thought, left)
        left -= thought
    call = None
    if directives.refusal:
        said = pieces(seed, REFUSAL if directives.tokens is None else directives.tokens)
        finish = "refusal"
    elif asked.tool is not None and left != 0:
        name, schema = asked.tool
        call = (identity("", seed, asked.digest), name)
        writer = Writer({"type": "object", **schema}, seed)
        said = _PIECE.findall(writer.document(compact=asked.compact))
        finish = "tool_calls"
        left = None if left is None else left - 1
    else:
        said = _said(asked, seed, left)
        finish = "stop"
    if left is not None and len(said) > left:
        said, finish = said[:left], "length"
    return Choice(
        index, seed, said, finish, pieces(seed + b"reasoning", thought), asked.shows, call
    )


def _said(asked: Asked, seed: bytes, left: int | None) -> list[str]:
    tokens = asked.directives.tokens
    if tokens is None:
        tokens = SHORTEST + number(seed + b"length", LONGEST - SHORTEST + 1)
    if asked.schema is None:
        # One more than fits, so that the caller sees that it was cut.
        return pieces(seed, tokens if left is None else min(tokens, left + 1))
    if asked.schema:
        return _PIECE.findall(Writer(asked.schema, seed).document())
    return _PIECE.findall(free_document(seed, tokens))


def _logprob(piece: str, draw: int, alternatives: int) -> Json:
    """Return one entry: the chosen token takes 0.4 to 0.99, the others halve what is left."""
    chosen = 0.4 + 0.59 * draw / 255
    listed = [_entry(piece, chosen)] if alternatives else []
    space = " " if piece[:1] == " " else ""
    share, step = min(chosen, 1 - chosen), 0
    while len(listed) < alternatives:
        step += 1
        other = space + WORDS[(draw + 37 * step) % len(WORDS)]
        if other != piece:
            share /= 2
            listed.append(_entry(other, share))
    return {**_entry(piece, chosen), "top_logprobs": listed}


def _entry(token: str, probability: float) -> Json:
    return {
        "token": token,
        "logprob": round(math.log(probability), 6),
        "bytes": list(token.encode()),
    }
