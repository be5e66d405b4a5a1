"""OpenAI's model list: authenticated, passed through, not metered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.core.facts import RequestFacts
from proxy.dialects.base import Forwarded
from proxy.dialects.openai_answer import OpaqueReader
from proxy.dialects.openai_errors import error, refuse
from proxy.dialects.ratelimit_headers import headers

if TYPE_CHECKING:
    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader, Call
    from proxy.dialects.tokens import RulesOf, TokenRules

__all__ = ["NAME", "answer", "error", "forward", "headers", "read", "refuse"]

NAME = "openai.models"


def read(
    body: bytes,
    rules_of: RulesOf,  # noqa: ARG001
    call: Call,  # noqa: ARG001
) -> tuple[RequestFacts, ...]:
    """Return facts that charge nothing; raises RequestError where a body was sent."""
    if body:
        raise RequestError("This request takes no body.")
    return (RequestFacts(NAME, metered=False),)


def forward(body: bytes, facts: RequestFacts, shape: Shape) -> Forwarded:  # noqa: ARG001
    """Return the body, which is empty."""
    return Forwarded(body)


def answer(
    facts: RequestFacts,  # noqa: ARG001
    rules: TokenRules,  # noqa: ARG001
    content_type: str,  # noqa: ARG001
    status: int,
    shape: Shape,  # noqa: ARG001
) -> AnswerReader:
    """Return a reader that only passes on."""
    return OpaqueReader(errored=not 200 <= status < 300)  # noqa: PLR2004 - HTTP's own classes
