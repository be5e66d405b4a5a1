"""What a shape takes out of a response: log-probabilities and shown reasoning.

Sealed reasoning (`encrypted_content`) passes untouched, so that later turns work. Lists that the
SDK requires become empty; nothing that it requires goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.dialects.openai_response_text import items_of, texts

if TYPE_CHECKING:
    from proxy.core.shape import Shape
    from proxy.dialects.openai_response_text import Told

REASONING_EVENTS = "response.reasoning_"
# Members with text that are not the answer's: what else there is may say it again.
_OF_RESPONSE = frozenset(
    {
        "access_programs", "conversation", "created_at", "error", "image", "incomplete_details",
        "input_transformations", "instructions", "metadata", "model", "moderation", "object",
        "output", "output_text", "previous_response_id", "prompt", "prompt_cache_diagnostics",
        "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning",
        "safety_identifier", "service_tier", "text", "tool_choice", "tool_usage", "truncation",
        "usage", "user",
    }
)  # fmt: skip
_OF_ITEM = {
    "message": frozenset({"content"}),
    "reasoning": frozenset({"content", "format", "signature", "summary"}),
}


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What is taken out; each method changes what it is given and returns whether it did.

    narrow: the answer is cut: what is not known goes, since it may say the text again
    """

    strip: bool
    hide: bool
    narrow: bool = False

    def drops(self, kind: str, told: Told) -> bool:
        """Return whether an event is not for the client at all."""
        if not self.hide:
            return False
        part = told.get("part")
        return kind.startswith(REASONING_EVENTS) or (
            isinstance(part, dict) and part.get("type") in ("reasoning_text", "summary_text")
        )

    def event(self, told: Told) -> bool:
        """Clean whatever an event carries."""
        changed = self._logprobs(told)
        for name in ("part", "item"):
            carried = told.get(name)
            if isinstance(carried, dict):
                changed = (self._logprobs if name == "part" else self.item)(carried) or changed
        return self.response(told.get("response")) or changed

    def response(self, response: object) -> bool:
        """Clean a response's items, and what is beside them."""
        changed = False
        if (self.hide or self.narrow) and isinstance(response, dict):
            changed = _only(response, _OF_RESPONSE)
        for item in items_of(response):
            changed = self.item(item) or changed
        return changed

    def item(self, item: Told) -> bool:
        """Clean an item."""
        changed = False
        if self.hide and item.get("type") == "reasoning":
            if item.get("summary"):
                item["summary"] = []
                changed = True
            if item.get("content"):
                del item["content"]
                changed = True
        known = _OF_ITEM.get(str(item.get("type")))
        if known is not None and (self.narrow or (self.hide and item["type"] == "reasoning")):
            changed = _only(item, known) or changed
        content = item.get("content")
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict):
                changed = self._logprobs(part) or changed
        return changed

    def _logprobs(self, holder: Told) -> bool:
        if not self.strip or not holder.get("logprobs"):
            return False
        holder["logprobs"] = []
        return True


def cleaning_of(shape: Shape) -> Cleaning:
    """Return what a shape takes out."""
    return Cleaning(
        "logprobs" in shape.strip, shape.hide_reasoning, narrow=shape.truncate is not None
    )


def changes_answers(shape: Shape) -> bool:
    """Return whether answers under a shape can differ from what the provider sends."""
    return "logprobs" in shape.strip or shape.hide_reasoning or shape.truncate is not None


def _only(holder: Told, known: frozenset[str]) -> bool:
    unknown = [name for name in holder if name not in known and any(texts({name: holder[name]}))]
    for name in unknown:
        del holder[name]
    return bool(unknown)
