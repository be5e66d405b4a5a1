"""Responses that the provider keeps: read again, cancelled, deleted; and what they were asked.

`GET /v1/responses/{id}` (JSON, or `?stream=true`), `POST /v1/responses/{id}/cancel`,
`DELETE /v1/responses/{id}` and `GET /v1/responses/{id}/input_items`. Whoever reads an answer later
gets no more of it than the shape gave that it was made under.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.core.facts import RequestFacts
from proxy.dialects.base import Forwarded
from proxy.dialects.openai_errors import error, refuse
from proxy.dialects.openai_responses import LOGPROBS, SEALED, reader_of
from proxy.dialects.passing import GOOD, OpaqueReader
from proxy.dialects.ratelimit_headers import headers

if TYPE_CHECKING:
    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader, Call
    from proxy.dialects.tokens import RulesOf, TokenRules

__all__ = ["NAME", "answer", "error", "forward", "headers", "read", "refuse"]

NAME = "openai.stored"
# What may be asked for when reading that could have been when making it.
_INCLUDED = {LOGPROBS: "logprobs", SEALED: "encrypted_reasoning"}
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0", ""})


def read(body: bytes, rules_of: RulesOf, call: Call) -> tuple[RequestFacts, ...]:  # noqa: ARG001
    """Return facts that name the object; its model is the front's to fill in.

    Raises RequestError where a body was sent, or where `stream` is no boolean.
    """
    if body:
        raise RequestError("This request takes no body.")
    stream = False
    features: set[str] = set()
    for name, value in call.query:
        if name in ("include", "include[]"):
            features.update(_INCLUDED[each] for each in value.split(",") if each in _INCLUDED)
        if name != "stream":
            continue
        if value.lower() not in _TRUE | _FALSE:
            raise RequestError("Invalid 'stream': expected a boolean.", param="stream")
        # Two servers may heed different ones of two: what could be a stream is one.
        stream = stream or value.lower() in _TRUE
    return (
        RequestFacts(NAME, stream=stream, features=frozenset(features), references=(call.object,)),
    )


def forward(body: bytes, facts: RequestFacts, shape: Shape) -> Forwarded:  # noqa: ARG001
    """Return the body, which is empty."""
    return Forwarded(body)


def answer(
    facts: RequestFacts, rules: TokenRules, content_type: str, status: int, shape: Shape
) -> AnswerReader:
    """Return the reader for an answer with this head, in the shape that it was made under.

    Raises UpstreamGarbageError where the content type is none that could be metered.
    """
    if status not in GOOD:
        return OpaqueReader(errored=True)
    return reader_of(facts, rules, content_type, shape, resumable=True)
