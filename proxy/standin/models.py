"""The list of models, and any one of them, as either provider tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.standin.answer import CREATED
from proxy.standin.directives import directives_of
from proxy.standin.reply import Plain

if TYPE_CHECKING:
    from proxy.standin.documents import Json
    from proxy.standin.reply import Call

MODEL_NAMES = ("standin", "standin-mini", "standin-reasoner")
CREATED_AT = "2025-06-15T15:06:40Z"


def openai_models(call: Call) -> Plain:
    """Return OpenAI's list, or one model: any name will do."""
    body: Json = {"object": "list", "data": [_openai(each) for each in MODEL_NAMES]}
    if call.object:
        body = _openai(call.object)
    return Plain(body, directives=directives_of("", call.header))


def anthropic_models(call: Call) -> Plain:
    """Return Anthropic's list, or one model: any name will do."""
    body: Json = {
        "data": [_anthropic(each) for each in MODEL_NAMES],
        "has_more": False,
        "first_id": MODEL_NAMES[0],
        "last_id": MODEL_NAMES[-1],
    }
    if call.object:
        body = _anthropic(call.object)
    return Plain(body, directives=directives_of("", call.header))


def _openai(name: str) -> Json:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "standin"}


def _anthropic(name: str) -> Json:
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": CREATED_AT,
        "lifecycle": "active",
        "max_input_tokens": 1_000_000,
        "max_tokens": 200_000,
    }
