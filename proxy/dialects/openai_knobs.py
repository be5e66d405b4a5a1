"""Knobs by the names that servers beside OpenAI's own have for them.

What a capability forbids must not be had under another name: vLLM, SGLang, llama.cpp, OpenRouter
and others heed members that OpenAI refuses. A name that is not known here has no meaning for us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.core.shape import EFFORTS
from proxy.dialects.openai_fields import string

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EFFORT = 32
# What a shape strips, by all names of it; log-probabilities differ from format to format.
STRIPPED = {
    "logit_bias": ("logit_bias", "allowed_token_ids"),
    "prompt_logprobs": ("prompt_logprobs",),
    "seed": ("seed",),
    "echo": ("echo",),
}
# Objects with the effort in them, and by which name.
EFFORT_IN = (("reasoning", "effort"), ("chat_template_kwargs", "reasoning_effort"))
# In use when they are truthy.
_FEATURES = {
    "allowed_token_ids": ("logit_bias",),
    "n_probs": ("logprobs", "top_logprobs"),
    "guided_json": ("structured",),
    "guided_regex": ("structured",),
    "guided_choice": ("structured",),
    "guided_grammar": ("structured",),
    "structured_outputs": ("structured",),
    "json_schema": ("structured",),
    "grammar": ("structured",),
    "regex": ("structured",),
    "ebnf": ("structured",),
    "continue_final_message": ("prefill",),
    "include_reasoning": ("reasoning",),
    "enable_thinking": ("reasoning",),
    "thinking_budget": ("reasoning",),
    "thinking_token_budget": ("reasoning",),
}
_THINKS = ("enable_thinking", "thinking")
# Tiers that cost no more than the price in the models file; one that is not known may.
_ORDINARY = (None, "auto", "default", "standard", "flex")
_OTHER_MODELS = ("models", "fallbacks")


def features_of(asked: dict[str, object]) -> Iterator[str]:
    """Yield the features in use by a name that is not OpenAI's."""
    for name, value in asked.items():  # most requests have fewer members than there are names
        if value and name in _FEATURES:
            yield from _FEATURES[name]
    if asked.get("service_tier") not in _ORDINARY:
        yield "priority"
    reasoning, thinking = asked.get("reasoning"), asked.get("thinking")
    template = asked.get("chat_template_kwargs")
    if (
        (isinstance(reasoning, dict) and (reasoning.get("enabled") or reasoning.get("max_tokens")))
        or (isinstance(thinking, dict) and thinking.get("type") not in (None, "disabled"))
        or thinking is True
        or (isinstance(template, dict) and any(template.get(name) for name in _THINKS))
    ):
        yield "reasoning"


def refuse_other_models(asked: dict[str, object]) -> None:
    """Raise RequestError where other models are named that may answer: limits speak of `model`."""
    for name in _OTHER_MODELS:
        if asked.get(name):
            raise RequestError(
                f"'{name}' is not served here, since your limits are those of 'model'. "
                "Ask for one model, and for another in a request of its own.",
                param=name,
            )


def effort_of(asked: dict[str, object]) -> str:
    """Return the reasoning effort that is asked for, the highest of all its names.

    One that is not known counts as the highest. Raises RequestError.
    """
    found = [string(asked, "reasoning_effort", MAX_EFFORT)]
    for holder, name in EFFORT_IN:
        inner = asked.get(holder)
        if isinstance(inner, dict):
            found.append(string(inner, name, MAX_EFFORT))
    return max(found, key=_rank)


def _rank(effort: str) -> int:
    if not effort:
        return -1
    return EFFORTS.index(effort) if effort in EFFORTS else len(EFFORTS)
