"""Anthropic's token counting: authenticated, read, passed through, not metered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.facts import RequestFacts
from proxy.dialects.anthropic_errors import error, refuse
from proxy.dialects.anthropic_fields import model_of
from proxy.dialects.anthropic_limits import headers
from proxy.dialects.anthropic_prompt import read_prompt
from proxy.dialects.base import Forwarded
from proxy.dialects.openai_answer import OpaqueReader
from proxy.dialects.strict_json import parse_object

if TYPE_CHECKING:
    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader, Call
    from proxy.dialects.tokens import RulesOf, TokenRules

__all__ = ["NAME", "answer", "error", "forward", "headers", "read", "refuse"]

NAME = "anthropic.count_tokens"


def read(body: bytes, rules_of: RulesOf, call: Call) -> tuple[RequestFacts, ...]:  # noqa: ARG001
    """Return facts that charge nothing; raises RequestError, also for objects by id."""
    asked = parse_object(body)
    model = model_of(asked)
    read_prompt(asked)
    return (RequestFacts(NAME, model, metered=False),)


def forward(body: bytes, facts: RequestFacts, shape: Shape) -> Forwarded:  # noqa: ARG001
    """Return the body: shapes have nothing to change here."""
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
