"""From what was asked to the whole answer, token by token, before any of it is sent.

The same request has the same answer: all follows from hashes of it. Stop sequences, sampling
settings and the legacy `function_call` are accepted and change nothing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b, shake_128
from typing import TYPE_CHECKING

from proxy.standin.documents import Json, Writer, free_document
from proxy.standin.vocabulary import WORDS, number, pieces

if TYPE_CHECKING:
    from proxy.standin.asked import Asked

SHORTEST, LONGEST = 20, 200
REASONER = "reasoner"
# Answers are deterministic to the byte, so the time in them stands still.
CREATED = 1_750_000_000

_PIECE = re.compile(r"\s*\S+")


class FaultKind(StrEnum):
    """What may go wrong in the middle of an answer."""

    ERROR = "error"
    RESET = "reset"
    STALL = "stall"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong once `after` tokens have been sent, fewer than the answer has."""

    kind: FaultKind
    after: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers.

    pieces:    the text, or a call's arguments, token by token; joined they are the whole
    reasoning: how many tokens were thought, and what of them is shown, token by token
    call:      (id, name) of the function called; its name is one token
    """

    index: int
    seed: bytes
    pieces: list[str]
    finish: str
    reasoning: int = 0
    shown: list[str] | None = None
    call: tuple[str, str] | None = None

    @property
    def text(self) -> str:
        """The content, or the arguments of the call."""
        return "".join(self.pieces)

    @property
    def visible(self) -> int:
        """Tokens that are sent."""
        return len(self.pieces) + len(self.shown or ()) + (self.call is not None)

    @property
    def tokens(self) -> int:
        """Tokens that are billed."""
        return len(self.pieces) + self.reasoning + (self.call is not None)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to render; `fault`, where there is one, does happen."""

    asked: Asked
    id: str
    choices: list[Choice]
    fault: Fault | None

    @property
    def visible(self) -> int:
        """Tokens that are sent where nothing goes wrong."""
        return sum(choice.visible for choice in self.choices)

    @property
    def reasoning(self) -> int:
        """Tokens that were thought."""
        return sum(choice.reasoning for choice in self.choices)

    @property
    def tokens(self) -> int:
        """Tokens that are billed: `completion_tokens`."""
        return sum(choice.tokens for choice in self.choices)

    @property
    def usage(self) -> Json | None:
        """The usage as the dialect tells it; None where the caller wants it withheld."""
        if not self.asked.directives.usage:
            return None
        prompt, completion = self.asked.prompt_tokens, self.tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


def answer_to(asked: Asked) -> Answer:
    """Return the answer; raises RequestError where a schema cannot be fitted."""
    choices = [_choice(asked, index) for index in range(asked.n)]
    visible = sum(choice.visible for choice in choices)
    directives = asked.directives
    faults = [
        Fault(kind, after)
        for kind, after in (
            (FaultKind.ERROR, directives.error_at),
            (FaultKind.RESET, directives.reset),
            (FaultKind.STALL, directives.stall),
            (FaultKind.GARBAGE, directives.garbage),
        )
        if after is not None and after < visible
    ]
    first = min(faults, key=lambda fault: fault.after, default=None)
    return Answer(asked, f"chatcmpl-{asked.digest.hex()}", choices, first)


def logprobs(choice: Choice, alternatives: int) -> list[Json]:
    """Return a plausible log-probability of each piece of a choice, with alternatives."""
    draws = shake_128(choice.seed + b"logprobs").digest(len(choice.pieces))
    return [
        _logprob(piece, draw, alternatives)
        for piece, draw in zip(choice.pieces, draws, strict=True)
    ]


def _choice(asked: Asked, index: int) -> Choice:
    directives = asked.directives
    seed = blake2b(asked.text_seed + index.to_bytes(2), digest_size=16).digest()
    thought = directives.reasoning
    if thought is None:
        thought = SHORTEST + number(seed + b"reasoning", 100) if REASONER in asked.model else 0
    left = asked.cap
    if left is not None:
        thought = min(thought, left)
        left -= thought
    call = None
    if asked.tool is not None and left != 0:
        name, schema = asked.tool
        call = (f"call_{blake2b(seed + asked.digest, digest_size=12).hexdigest()}", name)
        document = Writer({"type": "object", **schema}, seed).document()
        said = _PIECE.findall(document)
        finish = "tool_calls"
        left = None if left is None else left - 1
    else:
        said = _said(asked, seed, left)
        finish = "stop"
    if left is not None and len(said) > left:
        said, finish = said[:left], "length"
    shown = pieces(seed + b"reasoning", thought) if directives.show_reasoning else None
    return Choice(index, seed, said, finish, thought, shown, call)


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
