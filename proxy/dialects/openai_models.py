"""OpenAI's model list: authenticated, passed through, not metered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.core.facts import RequestFacts
from proxy.dialects.openai_errors import error, refuse
from proxy.dialects.passing import as_it_came as forward
from proxy.dialects.passing import unread as answer
from proxy.dialects.ratelimit_headers import headers

if TYPE_CHECKING:
    from proxy.dialects.base import Call
    from proxy.dialects.tokens import RulesOf

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
