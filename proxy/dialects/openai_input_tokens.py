"""Counting a prompt: `POST /v1/responses/input_tokens`. Nothing is generated, nothing charged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.facts import RequestFacts
from proxy.dialects.openai_errors import error, refuse
from proxy.dialects.openai_fields import model_of
from proxy.dialects.openai_response_prompt import read_prompt
from proxy.dialects.passing import as_it_came as forward
from proxy.dialects.passing import unread as answer
from proxy.dialects.ratelimit_headers import headers
from proxy.dialects.strict_json import parse_object

if TYPE_CHECKING:
    from proxy.dialects.base import Call
    from proxy.dialects.tokens import RulesOf

__all__ = ["NAME", "answer", "error", "forward", "headers", "read", "refuse"]

NAME = "openai.input_tokens"


def read(body: bytes, rules_of: RulesOf, call: Call) -> tuple[RequestFacts, ...]:  # noqa: ARG001
    """Return facts that charge nothing; raises RequestError and nothing else.

    Stored objects that the prompt builds on must be the caller's own: so is their size.
    """
    asked = parse_object(body)
    _, references = read_prompt(asked)
    return (RequestFacts(NAME, model_of(asked), metered=False, references=references),)
