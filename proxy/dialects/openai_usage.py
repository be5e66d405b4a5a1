"""What a chat completion cost: the provider's usage, and the text that we see ourselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import UpstreamGarbageError

if TYPE_CHECKING:
    from proxy.dialects.tokens import Tally

# Prompt, output, reasoning and cached tokens, as `core.facts.Usage` begins.
Reported = tuple[int | None, int | None, int | None, int | None]
NO_USAGE: Reported = (None, None, None, None)
# No exchange has more; what does is noise, and would overflow the counters.
MAX_TOKENS = 1_000_000_000

_TEXTS = ("reasoning_content", "reasoning", "refusal")


def parse_answer(data: bytes) -> dict[str, object]:
    """Return the object of a chunk or body; raises UpstreamGarbageError."""
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError:
        # Some servers write what only lenient parsers read: -Infinity as a log-probability, half
        # of a surrogate pair. SDKs accept it, so it must be read here.
        try:
            parsed = json.loads(data.decode())
        except (ValueError, RecursionError):
            raise UpstreamGarbageError("The answer is not JSON.") from None
    if not isinstance(parsed, dict):
        raise UpstreamGarbageError("The answer is no JSON object.")
    return parsed


def merge_usage(before: Reported, usage: object) -> Reported:
    """Return what is now known: later reports replace earlier ones, number by number."""
    if not isinstance(usage, dict):
        return before
    prompt = _number(usage, "prompt_tokens", before[0])
    output = _number(usage, "completion_tokens", before[1])
    reasoning, cached = before[2], before[3]
    details = usage.get("completion_tokens_details")
    if isinstance(details, dict):
        reasoning = _number(details, "reasoning_tokens", reasoning)
    details = usage.get("prompt_tokens_details")
    if isinstance(details, dict):
        cached = _number(details, "cached_tokens", cached)
    if cached is not None and prompt is not None:
        cached = min(cached, prompt)
    return prompt, output, reasoning, cached


def tally_choice(tally: Tally, index: int, said: object) -> None:
    """Count the text of a delta or message of one choice."""
    if said is None:
        return
    if not isinstance(said, dict):
        raise UpstreamGarbageError("A choice of the answer says nothing that can be read.")
    content = said.get("content")
    if isinstance(content, str):
        tally.add(index, content)
    elif content:
        _tally_leaves(tally, (index, "content"), content)
    if len(said) > 1 or not isinstance(content, str):
        _tally_rest(tally, index, said)


def _tally_rest(tally: Tally, index: int, said: dict[str, object]) -> None:
    for name in _TEXTS:
        text = said.get(name)
        if text:
            _tally_leaves(tally, (index, name), text)
    calls = said.get("tool_calls")
    if calls:
        _tally_calls(tally, index, calls)
    legacy = said.get("function_call")
    if isinstance(legacy, dict):
        _tally_call(tally, (index, "function_call"), legacy)
    audio = said.get("audio")
    if isinstance(audio, dict) and isinstance(audio.get("transcript"), str):
        tally.add((index, "transcript"), audio["transcript"])


def _tally_calls(tally: Tally, index: int, calls: object) -> None:
    if not isinstance(calls, list):
        raise UpstreamGarbageError("The answer's tool calls are no list.")
    for position, call in enumerate(calls):
        if not isinstance(call, dict):
            raise UpstreamGarbageError("The answer has a tool call that is none.")
        number = call.get("index", position)
        if not isinstance(number, int):
            raise UpstreamGarbageError("A tool call of the answer has no index.")
        for kind in ("function", "custom"):
            inner = call.get(kind)
            if isinstance(inner, dict):
                _tally_call(tally, (index, number), inner)


def _tally_call(tally: Tally, thread: tuple[object, ...], call: dict[str, object]) -> None:
    for name in ("name", "arguments", "input"):
        text = call.get(name)
        if isinstance(text, str):
            tally.add((*thread, name), text)


def _tally_leaves(tally: Tally, thread: tuple[object, ...], value: object) -> None:
    """Count all strings in a value: some servers send parts where others send a string."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            tally.add(thread, item)
        elif isinstance(item, dict):
            left.extend(item[name] for name in reversed(item) if name != "type")
        elif isinstance(item, list):
            left.extend(reversed(item))


def _number(holder: dict[str, object], name: str, before: int | None) -> int | None:
    value = holder.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
        return value
    return before
