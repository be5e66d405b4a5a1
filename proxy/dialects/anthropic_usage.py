"""What a message cost: the provider's usage, and the text that we see ourselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.facts import Usage
from proxy.dialects.anthropic_fields import dumped, kind_of, leaves, mute

if TYPE_CHECKING:
    from collections.abc import Iterator

# No exchange has more; what does is noise, and would overflow the counters.
MAX_TOKENS = 1_000_000_000

_INPUTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
# Iterations whose tokens are not part of the usage around them.
_APART = frozenset({"compaction", "advisor_message"})
# A delta goes on with what the start of its block began.
_THREADS = {"partial_json": "input", "citation": "citations"}


class Reported:
    """What the provider said of its tokens; later numbers replace earlier ones.

    inputs:   input, cache creation and cache read, by the provider's names, so far as told
    output:   None until it is final
    thinking: of the output
    """

    __slots__ = ("_apart", "inputs", "output", "thinking")

    def __init__(self) -> None:
        self.inputs: dict[str, int] = {}
        self.output: int | None = None
        self.thinking: int | None = None
        # Of iterations that count apart: prompt, output, cached.
        self._apart = (0, 0, 0)

    def hear(self, usage: object, *, final: bool = True) -> None:
        """Take a usage object; `final`: its output tokens are no first guess."""
        if not isinstance(usage, dict):
            return
        self.inputs |= _numbers(usage)
        if not final:
            return
        output = _number(usage.get("output_tokens"))
        self.output = self.output if output is None else output
        details = usage.get("output_tokens_details")
        if isinstance(details, dict):
            thinking = _number(details.get("thinking_tokens"))
            self.thinking = self.thinking if thinking is None else thinking
        iterations = usage.get("iterations")
        if isinstance(iterations, list):
            self._apart = _sums_apart(iterations)

    def usage(self, relayed: int) -> Usage:
        """Return all that is known."""
        prompt, output, cached = None, self.output, self.inputs.get(_INPUTS[2])
        if "input_tokens" in self.inputs:
            prompt = sum(self.inputs.values()) + self._apart[0]
        if output is not None:
            output += self._apart[1]
        if cached is not None:
            cached += self._apart[2]
        return Usage(prompt, output, self.thinking, cached, relayed)


def finish_of(holder: dict[str, object]) -> str:
    """Return why an answer ended; of a refusal with its category; '' where it is not said.

    >>> finish_of({"stop_reason": "refusal", "stop_details": {"category": "bio"}})
    'refusal:bio'
    """
    reason = holder.get("stop_reason")
    if not isinstance(reason, str):
        return ""
    details = holder.get("stop_details")
    if reason == "refusal" and isinstance(details, dict):
        category = details.get("category")
        if isinstance(category, str):
            return f"{reason}:{category}"
    return reason


def texts_of(index: int, said: dict[str, object]) -> Iterator[tuple[object, str]]:
    """Yield the text of a content block or of a delta to one, each with the thread it goes on.

    Signatures, ids and sealed data say nothing. Raises UpstreamGarbageError.
    """
    for name, value in said.items():
        if not value or mute(said, name):
            continue
        thread = index if name == "text" else (index, _THREADS.get(name, name))
        if isinstance(value, str):
            yield thread, value
        elif name == "input":
            yield thread, dumped(value).decode()
        elif isinstance(value, dict | list):
            text = "\n".join(leaves(value))
            if text:
                yield thread, f"{text}\n"


def _sums_apart(iterations: list[object]) -> tuple[int, int, int]:
    prompt = output = cached = 0
    for item in iterations:
        if isinstance(item, dict) and kind_of(item) in _APART:
            numbers = _numbers(item)
            prompt += sum(numbers.values())
            cached += numbers.get(_INPUTS[2], 0)
            output += _number(item.get("output_tokens")) or 0
    return prompt, output, cached


def _numbers(usage: dict[str, object]) -> dict[str, int]:
    found = ((name, _number(usage.get(name))) for name in _INPUTS)
    return {name: number for name, number in found if number is not None}


def _number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
        return value
    return None
