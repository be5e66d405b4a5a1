"""OpenAI embeddings: `POST /v1/embeddings`. They cost their input; shapes change nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proxy.core.errors import RequestError, UpstreamGarbageError
from proxy.core.facts import RequestFacts, Usage
from proxy.dialects.base import Forwarded
from proxy.dialects.openai_errors import error, refuse
from proxy.dialects.openai_fields import model_of, string
from proxy.dialects.openai_texts import texts_of
from proxy.dialects.openai_usage import NO_USAGE, merge_usage, parse_answer
from proxy.dialects.passing import GOOD, OpaqueReader, is_stream
from proxy.dialects.ratelimit_headers import headers
from proxy.dialects.strict_json import parse_object

if TYPE_CHECKING:
    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader, Call
    from proxy.dialects.openai_usage import Reported
    from proxy.dialects.tokens import RulesOf, TokenRules

__all__ = ["NAME", "answer", "error", "forward", "headers", "read", "refuse"]

NAME = "openai.embeddings"
# Bytes of an answer's end that are kept: vectors are long, and what they cost stands behind them.
KEPT = 64 * 1024
_USAGE = re.compile(rb'"usage"\s*:\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')


def read(
    body: bytes,
    rules_of: RulesOf,
    call: Call,  # noqa: ARG001 - all of it is in the body
) -> tuple[RequestFacts, ...]:
    """Return the facts of a request for embeddings; raises RequestError and nothing else."""
    asked = parse_object(body)
    model = model_of(asked)
    if asked.get("messages") is not None:
        raise RequestError("Unrecognized request argument supplied: messages", param="messages")
    inputs = texts_of(asked, "input")
    return (
        RequestFacts(
            dialect=NAME,
            model=model,
            prompt_tokens=inputs.cost(rules_of(model).counter),
            user=string(asked, "user"),
            prompt=inputs.text(),
            turns=inputs.turns(),
        ),
    )


def forward(body: bytes, facts: RequestFacts, shape: Shape) -> Forwarded:  # noqa: ARG001
    """Return the client's bytes."""
    return Forwarded(body)


def answer(
    facts: RequestFacts,
    rules: TokenRules,  # noqa: ARG001 - there is no text to count
    content_type: str,
    status: int,
    shape: Shape,  # noqa: ARG001
) -> AnswerReader:
    """Return the reader for an answer with this head.

    Raises UpstreamGarbageError where the content type is not JSON's.
    """
    if status not in GOOD:
        return OpaqueReader(errored=True)
    if is_stream(content_type, asked=facts.stream):
        raise UpstreamGarbageError("The answer's content type is no embedding's.")
    return EmbeddingsReader()


class EmbeddingsReader:
    """Vectors: passed through as they come; only the end is kept, to read the usage from."""

    cut = pending = False
    objects: tuple[str, ...] = ()
    finish_reasons: tuple[str, ...] = ()

    __slots__ = ("_complete", "_errored", "_reported", "_size", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()
        self._size = 0
        self._reported: Reported = NO_USAGE
        self._complete = self._errored = False

    @property
    def usage(self) -> Usage:
        """What the provider said at the end."""
        return Usage(*self._reported)

    @property
    def complete(self) -> bool:
        """The whole body was seen."""
        return self._complete

    @property
    def errored(self) -> bool:
        """The body reports an error under a good status."""
        return self._errored

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk as it is."""
        self._size += len(chunk)
        self._tail += chunk
        if len(self._tail) > 2 * KEPT:
            del self._tail[:-KEPT]
        return chunk

    def end(self) -> bytes:
        """Read the usage; raises UpstreamGarbageError where the body is no JSON object."""
        if self._complete:
            return b""
        tail = bytes(self._tail[-KEPT:])
        if self._size <= KEPT:
            body = parse_answer(tail)
            self._errored = bool(body.get("error"))
            self._reported = merge_usage(NO_USAGE, body.get("usage"))
        elif not tail.rstrip().endswith(b"}"):
            raise UpstreamGarbageError("The answer is not JSON.")
        else:
            for found in _USAGE.finditer(tail):
                self._reported = merge_usage(self._reported, parse_answer(found[1]))
        self._complete = True
        self._tail.clear()
        return b""

    def broken(self, message: str, code: str) -> bytes:  # noqa: ARG002 - JSON has no such ending
        """Return nothing: half a JSON body can only be cut."""
        return b""
