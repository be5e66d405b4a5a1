"""Anthropic's token counting: authenticated, read, passed through, not metered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.facts import RequestFacts
from proxy.dialects.anthropic_errors import error, refuse
from proxy.dialects.anthropic_fields import model_of
from proxy.dialects.anthropic_limits import headers
from proxy.dialects.anthropic_prompt import read_prompt
from proxy.dialects.passing import as_it_came as forward
from proxy.dialects.passing import unread as answer
from proxy.dialects.strict_json import parse_object

if TYPE_CHECKING:
    from proxy.dialects.base import Call
    from proxy.dialects.tokens import RulesOf

__all__ = ["NAME", "answer", "error", "forward", "headers", "read", "refuse"]

NAME = "anthropic.count_tokens"


def read(body: bytes, rules_of: RulesOf, call: Call) -> tuple[RequestFacts, ...]:  # noqa: ARG001
    """Return facts that charge nothing; raises RequestError, also for objects by id."""
    asked = parse_object(body)
    model = model_of(asked)
    read_prompt(asked)
    return (RequestFacts(NAME, model, metered=False),)
