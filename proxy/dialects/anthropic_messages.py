"""Anthropic's Messages API: `POST /v1/messages`, JSON and server-sent events.

Usage is always in the answer, so that nothing is injected: unshaped, bytes pass unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.core.facts import RequestFacts
from proxy.dialects.anthropic_errors import error, refuse
from proxy.dialects.anthropic_fields import (
    flag,
    list_of,
    missing,
    model_of,
    object_of,
    text_of,
    wrong,
)
from proxy.dialects.anthropic_json import JsonReader
from proxy.dialects.anthropic_limits import headers
from proxy.dialects.anthropic_prompt import read_prompt
from proxy.dialects.anthropic_shaped_json import Body
from proxy.dialects.anthropic_shaped_request import shaped, thinks
from proxy.dialects.anthropic_shaped_stream import Shaper
from proxy.dialects.anthropic_stream import StreamReader
from proxy.dialects.base import Forwarded
from proxy.dialects.openai_prompt import tokens_of
from proxy.dialects.passing import GOOD, OpaqueReader, is_stream
from proxy.dialects.strict_json import parse_object
from proxy.dialects.temperature import temperature_of

if TYPE_CHECKING:
    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader, Call
    from proxy.dialects.tokens import RulesOf, TokenRules

__all__ = ["NAME", "answer", "error", "forward", "headers", "read", "refuse"]

NAME = "anthropic.messages"
MAX_WORD = 32
_ELSEWHERE = {
    "fallbacks": "what another model answers instead could not be held to your limits here",
    "fallback_credit_token": "what another model answers instead could not be held to your limits",
    "billing_policy": "who is billed is the operator's to say here",
}


def read(body: bytes, rules_of: RulesOf, call: Call) -> tuple[RequestFacts, ...]:  # noqa: ARG001
    """Return the facts of a request; raises RequestError and nothing else."""
    asked = parse_object(body)
    model = model_of(asked)
    rules = rules_of(model)
    stream = flag(asked, "stream")
    _stay_here(asked)
    cap = _max_tokens(asked)
    reasoning = _reasoning(asked)
    user = text_of(object_of(asked, "metadata"), "user_id", "metadata.")
    prompt = read_prompt(asked)
    text = prompt.text()
    return (
        RequestFacts(
            dialect=NAME,
            model=model,
            stream=stream,
            prompt_tokens=tokens_of(prompt, text, rules.counter),
            output_tokens=min(cap, rules.max_output_tokens),
            output_capped=True,
            reasoning=reasoning,
            features=frozenset(prompt.features | _features(asked)),
            user=user,
            prompt=text,
            turns=prompt.turns(),
            temperature=temperature_of(asked),
        ),
    )


def forward(body: bytes, facts: RequestFacts, shape: Shape) -> Forwarded:
    """Return what goes upstream: the client's bytes, but for what the shape changes."""
    return Forwarded(body) if shape.body_empty else shaped(body, facts, shape)


def answer(
    facts: RequestFacts, rules: TokenRules, content_type: str, status: int, shape: Shape
) -> AnswerReader:
    """Return the reader for an answer with this head, by what it is, not by what was asked.

    Raises UpstreamGarbageError where the content type is none that could be metered.
    """
    if status not in GOOD:
        return OpaqueReader(errored=True)
    stream = is_stream(content_type, asked=facts.stream)
    counter, hide, most, prompt = (
        rules.counter, shape.hide_reasoning, shape.truncate, facts.prompt_tokens,
    )  # fmt: skip
    unshaped = not hide and most is None
    if stream:
        return StreamReader(
            counter, None if unshaped else Shaper(counter, hide=hide, most=most, prompt=prompt)
        )
    return JsonReader(counter, None if unshaped else Body(counter, hide, most, prompt))


def _stay_here(asked: dict[str, object]) -> None:
    """Refuse what would take the request to another model, or to another's bill."""
    for name, told in _ELSEWHERE.items():
        if asked.get(name):
            raise RequestError(f"{name}: {told}", param=name)


def _max_tokens(asked: dict[str, object]) -> int:
    value = asked.get("max_tokens")
    if value is None:
        raise missing("max_tokens")
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong("max_tokens", "a valid integer")
    if value < 0:
        raise wrong("max_tokens", "greater than or equal to 0")
    return value


def _reasoning(asked: dict[str, object]) -> str:
    """Return the effort asked for, else the kind of thinking; '' where there is none."""
    kind = text_of(object_of(asked, "thinking"), "type", "thinking.")
    effort = text_of(object_of(asked, "output_config"), "effort", "output_config.")
    if max(len(kind), len(effort)) > MAX_WORD:
        raise RequestError("thinking, output_config.effort: too long", param="thinking")
    return effort or kind if thinks(asked) else ""


def _features(asked: dict[str, object]) -> set[str]:
    features = set()
    if thinks(asked):
        features |= {"reasoning", "encrypted_reasoning"}
        if object_of(asked, "thinking").get("display") != "omitted":
            features.add("reasoning_text")
    tools = list_of(asked, "tools")
    if tools:
        features.add("tools")
    kinds = {str(tool.get("type") or "custom") for tool in tools if isinstance(tool, dict)}
    if kinds - {"custom"} or list_of(asked, "mcp_servers"):
        features.add("server_tools")
    if asked.get("speed") not in (None, "standard"):
        features.add("priority")
    if list_of(asked, "stop_sequences"):
        features.add("stop")
    if object_of(asked, "output_config").get("format") or asked.get("output_format"):
        features.add("structured")
    messages = list_of(asked, "messages")
    last = messages[-1]
    if isinstance(last, dict) and last.get("role") == "assistant":
        features.add("prefill")
    return features
