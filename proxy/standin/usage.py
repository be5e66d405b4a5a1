"""Usage as chat completions and legacy completions tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.standin.asked import Asked
    from proxy.standin.documents import Json


def usage_of(asked: Asked, completion: int, reasoning: int) -> Json | None:
    """Return the usage of an answer; None where the caller wants it withheld."""
    if not asked.directives.usage:
        return None
    return {
        "prompt_tokens": asked.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": asked.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": asked.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
