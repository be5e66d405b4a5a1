"""OpenAI chat completions: `POST /v1/chat/completions`, JSON and server-sent events.

Unshaped, bytes pass through unchanged but for `stream_options.include_usage`, which a stream is
given so that its usage is known; the chunk that it brings is hidden from a client that did not ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.facts import RequestFacts
from proxy.dialects import openai_knobs as knobs
from proxy.dialects.base import Forwarded
from proxy.dialects.draft import Draft, lower_effort
from proxy.dialects.openai_errors import error, refuse
from proxy.dialects.openai_fields import (
    flag,
    integer,
    model_of,
    number,
    positive,
    string,
    wants_usage,
)
from proxy.dialects.openai_forward import shape_common, with_usage
from proxy.dialects.openai_knobs import EFFORT_IN, effort_of, features_of, refuse_other_models
from proxy.dialects.openai_prompt import read_prompt, tokens_of
from proxy.dialects.openai_reader import reader_of
from proxy.dialects.openai_trim import CHAT
from proxy.dialects.ratelimit_headers import headers
from proxy.dialects.strict_json import parse_object

if TYPE_CHECKING:
    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader, Call
    from proxy.dialects.tokens import RulesOf, TokenRules

__all__ = ["NAME", "answer", "error", "forward", "headers", "read", "refuse"]

NAME = "openai.chat"
MAX_CHOICES = 128
# A server may heed any name of the cap; the first is the one that OpenAI means now.
CAPS = ("max_completion_tokens", "max_tokens", "n_predict")
STRIPPED = {**knobs.STRIPPED, "logprobs": ("logprobs", "top_logprobs", "n_probs")}

_AMOUNTS = frozenset({"enabled", "max_tokens"})  # of reasoning
# Knobs that are in use when they are truthy, or when they are there at all.
_TRUTHY = {
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "logit_bias": "logit_bias",
    "tools": "tools",
    "functions": "tools",
    "prediction": "prediction",
    "stop": "stop",
    "store": "store",
    "echo": "echo",
}
_THERE = {
    "seed": "seed",
    "prompt_logprobs": "prompt_logprobs",
    "web_search_options": "server_tools",
}


def read(
    body: bytes,
    rules_of: RulesOf,
    call: Call,  # noqa: ARG001 - all of it is in the body
) -> tuple[RequestFacts, ...]:
    """Return the facts of a chat request; raises RequestError and nothing else."""
    asked = parse_object(body)
    model = model_of(asked)
    refuse_other_models(asked)
    rules = rules_of(model)
    stream = flag(asked, "stream")
    asks_usage = wants_usage(asked)
    choices = positive(asked, "n", MAX_CHOICES) or 1
    best_of = positive(asked, "best_of", MAX_CHOICES)
    cap = max([positive(asked, name) for name in CAPS])
    _check_knobs(asked)
    temperature = number(asked, "temperature")
    reasoning = effort_of(asked)
    user = string(asked, "safety_identifier") or string(asked, "user")
    prompt = read_prompt(asked)
    text = prompt.text()
    features = _features(asked, prompt.features, choices, reasoning)
    if best_of > 1:
        features |= {"best_of"}
    return (
        RequestFacts(
            dialect=NAME,
            model=model,
            stream=stream,
            prompt_tokens=tokens_of(prompt, text, rules.counter),
            output_tokens=min(cap or rules.reserve_output_tokens, rules.max_output_tokens),
            output_capped=cap > 0,
            choices=max(choices, best_of),
            reasoning=reasoning,
            features=features,
            wants_usage=stream and asks_usage,
            user=user,
            prompt=text,
            turns=prompt.turns(),
            temperature=temperature,
        ),
    )


def forward(body: bytes, facts: RequestFacts, shape: Shape) -> Forwarded:
    """Return what goes upstream: the client's bytes, shaped, with a stream's usage asked for."""
    if shape.body_empty:
        return Forwarded(with_usage(body, facts))
    draft = Draft(body)
    shape_common(draft, facts, shape, STRIPPED, CAPS)
    for name in ("top_logprobs", "n_probs", "prompt_logprobs"):
        draft.clamp(name, shape.top_logprobs, "top_logprobs")
    _lower_effort(draft, shape)
    if shape.hide_reasoning and facts.reasoning != "none":
        # Some servers show it without being asked.
        draft.note("hide", "reasoning")
    draft.body = with_usage(draft.body, facts)
    return draft.forwarded()


def answer(
    facts: RequestFacts, rules: TokenRules, content_type: str, status: int, shape: Shape
) -> AnswerReader:
    """Return the reader for an answer with this head, by what it is, not by what was asked.

    Raises UpstreamGarbageError where the content type is none that could be metered.
    """
    return reader_of(CHAT, facts, rules, content_type, status, shape)


def _check_knobs(asked: dict[str, object]) -> None:
    """Raise RequestError where a knob that a shape may turn cannot be read."""
    flag(asked, "logprobs")
    integer(asked, "top_logprobs")


def _features(
    asked: dict[str, object], media: set[str], choices: int, reasoning: str
) -> frozenset[str]:
    features = media
    for name, value in asked.items():
        if value and name in _TRUTHY:
            features.add(_TRUTHY[name])
        elif value is not None and name in _THERE:
            features.add(_THERE[name])
    features.update(features_of(asked))
    modalities = asked.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        features.add("audio")
    messages = asked["messages"]
    if isinstance(messages, list) and messages[-1].get("role") == "assistant":
        features.add("prefill")
    if choices > 1:
        features.add("n")
    if reasoning not in ("", "none"):
        features.add("reasoning")
    response_format = asked.get("response_format")
    if isinstance(response_format, dict) and response_format.get("type") != "text":
        features.add("structured")
    return frozenset(features)


def _lower_effort(draft: Draft, shape: Shape) -> None:
    asked = draft.asked.get("reasoning_effort")
    lowered = lower_effort(asked, shape.effort)
    if lowered is not None:
        draft.set("reasoning_effort", lowered)
        draft.note("clamp", "effort", asked, lowered)
    reasoning = draft.asked.get("reasoning")
    if isinstance(reasoning, dict) and shape.effort and not reasoning.get("effort"):
        amount = reasoning.get("max_tokens") or reasoning.get("enabled")
        if amount:
            # OpenRouter's: an amount of tokens, or just some, in the place of an effort.
            kept = {name: each for name, each in reasoning.items() if name not in _AMOUNTS}
            draft.set("reasoning", kept | {"effort": shape.effort})
            draft.note("clamp", "effort", amount, shape.effort)
    for holder, name in EFFORT_IN:
        inner = draft.asked.get(holder)
        if isinstance(inner, dict):
            lowered = lower_effort(inner.get(name), shape.effort)
            if lowered is not None:
                draft.note("clamp", "effort", inner[name], lowered)
                draft.set(holder, inner | {name: lowered})
