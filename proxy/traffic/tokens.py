"""The usage of an answer in a line: the providers' shapes as their dialects read them, and ours."""

from __future__ import annotations

from typing import Any

from proxy.core.facts import Usage
from proxy.dialects import anthropic_usage, openai_usage
from proxy.traffic.checks import count, members

# Ours, which is what is written: all numbers side by side.
OURS = ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")
RELAYED = "relayed_tokens"
NUMBERS = frozenset((
    *OURS, RELAYED, "input_tokens", "output_tokens",
    "cache_creation_input_tokens", "cache_read_input_tokens",
))  # fmt: skip
DETAILS = {
    "prompt_tokens_details": ("cached_tokens",),
    "completion_tokens_details": ("reasoning_tokens",),
    "input_tokens_details": ("cached_tokens",),
    "output_tokens_details": ("reasoning_tokens", "thinking_tokens"),
}
_OURS = frozenset((*OURS, RELAYED))


def usage_of(value: object) -> Usage:
    """Return the tokens that a line tells; raises TrafficError.

    >>> usage_of({"input_tokens": 5, "cache_read_input_tokens": 40, "output_tokens": 9})
    Usage(reported_prompt=45, reported_output=9, reported_reasoning=None, reported_cached=40, \
relayed=9)
    """
    told = members(value, "answer.usage")
    for name, number in told.items():
        if number is not None and name in NUMBERS:
            count(number, f"answer.usage.{name}")
    if not _OURS.issuperset(told):
        return _provided(told)
    get = told.get
    return _usage(get(OURS[0]), get(OURS[1]), get(OURS[2]), get(OURS[3]), get(RELAYED))


def _provided(told: dict[str, object]) -> Usage:
    """Return what a provider's usage says: the arithmetic is its dialect's own."""
    for name, inner in DETAILS.items():
        details = told.get(name)
        if details is None:
            continue
        for each in inner:
            number = members(details, f"answer.usage.{name}").get(each)
            if number is not None:
                count(number, f"answer.usage.{name}.{each}")
    if "input_tokens" in told or "output_tokens" in told:
        found = _responses(told) if "input_tokens_details" in told else _messages(told)
    else:
        found = openai_usage.merge_usage(_mine(told), told)
    return _usage(*found, told.get(RELAYED))


def _mine(told: dict[str, object]) -> openai_usage.Reported:
    """Return what stands at the top: our own members beside a provider's details."""
    reasoning, cached = told.get("reasoning_tokens"), told.get("cached_tokens")
    return None, None, _said(reasoning), _said(cached)


def _responses(told: dict[str, object]) -> openai_usage.Reported:
    """Return what OpenAI's Responses API says: cached tokens are part of the input's."""
    cached, reasoning = told["input_tokens_details"], told.get("output_tokens_details")
    return (
        _said(told.get("input_tokens")),
        _said(told.get("output_tokens")),
        _said(reasoning.get("reasoning_tokens")) if isinstance(reasoning, dict) else None,
        _said(cached.get("cached_tokens")) if isinstance(cached, dict) else None,
    )


def _messages(told: dict[str, object]) -> openai_usage.Reported:
    """Return what Anthropic says: input tokens are those outside of the cache."""
    reported = anthropic_usage.Reported()
    reported.hear(told)
    found = reported.usage(0)
    reasoning = found.reported_reasoning
    details = told.get("output_tokens_details")
    if reasoning is None and isinstance(details, dict):
        reasoning = _said(details.get("reasoning_tokens"))
    return found.reported_prompt, found.reported_output, reasoning, found.reported_cached


def _usage(prompt: Any, output: Any, reasoning: Any, cached: Any, relayed: Any) -> Usage:
    """Return checked numbers as a usage: what was made was relayed, where nothing else is said."""
    return Usage(prompt, output, reasoning, cached, (output or 0) if relayed is None else relayed)


def _said(value: object) -> int | None:
    return value if isinstance(value, int) else None
