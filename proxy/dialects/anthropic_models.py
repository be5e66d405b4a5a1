"""Anthropic's model list, and one model of it: authenticated, passed through, not metered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.core.facts import RequestFacts
from proxy.dialects.anthropic_errors import error, refuse
from proxy.dialects.anthropic_limits import headers
from proxy.dialects.passing import as_it_came as forward
from proxy.dialects.passing import unread as answer

if TYPE_CHECKING:
    from proxy.dialects.base import Call
    from proxy.dialects.tokens import RulesOf

__all__ = ["NAME", "answer", "error", "forward", "headers", "read", "refuse"]

NAME = "anthropic.models"


def read(body: bytes, rules_of: RulesOf, call: Call) -> tuple[RequestFacts, ...]:  # noqa: ARG001
    """Return facts that charge nothing; raises RequestError where a body was sent."""
    if body:
        raise RequestError("This request takes no body.")
    return (RequestFacts(NAME, metered=False),)
