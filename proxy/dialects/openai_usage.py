"""What a chat completion cost: the provider's usage, and the text that we see ourselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.openai_fields import dumped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.core.facts import RequestFacts
    from proxy.core.shape import Shape
    from proxy.dialects.tokens import Tally

# Prompt, output, reasoning and cached tokens, as `core.facts.Usage` begins.
Reported = tuple[int | None, int | None, int | None, int | None]
NO_USAGE: Reported = (None, None, None, None)
# No exchange has more; what does is noise, and would overflow the counters.
MAX_TOKENS = 1_000_000_000

_TEXTS = ("reasoning_content", "reasoning", "refusal")
CALL_TEXTS = ("name", "arguments", "input")


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


def counted_usage(prompt: int, output: int) -> dict[str, int]:
    """Return the usage to tell of an answer that a shape ended."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
    }


def most_choices(facts: RequestFacts, shape: Shape) -> int | None:
    """Return the number of choices that an answer may have; None where it is not limited."""
    most = None if shape.n is None else shape.n * facts.prompts
    return None if most is None or most >= facts.choices else most


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


def tally_text(tally: Tally, index: int, said: object) -> None:
    """Count the text of one choice of a legacy completion."""
    if isinstance(said, str):
        tally.add(index, said)
    elif said is not None:
        raise UpstreamGarbageError("A choice of the answer says nothing that can be read.")


def indexed(choices: object) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield an answer's choices with their indexes; raises UpstreamGarbageError."""
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            raise UpstreamGarbageError("The answer has a choice that is none.")
        index = choice.get("index", 0)
        if not isinstance(index, int):
            raise UpstreamGarbageError("A choice of the answer has no index.")
        yield index, choice


def numbered_calls(calls: object) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield tool calls, or pieces of them, with their numbers; raises UpstreamGarbageError."""
    if not isinstance(calls, list):
        raise UpstreamGarbageError("The answer's tool calls are no list.")
    for position, call in enumerate(calls):
        if not isinstance(call, dict):
            raise UpstreamGarbageError("The answer has a tool call that is none.")
        number = call.get("index", position)
        if not isinstance(number, int):
            raise UpstreamGarbageError("A tool call of the answer has no index.")
        yield number, call


def call_pieces(
    thread: tuple[object, ...], call: dict[str, object]
) -> Iterator[tuple[tuple[object, ...], str]]:
    """Yield the texts of a tool call with their threads; of what is no text, its JSON.

    Raises UpstreamGarbageError where that is nested too deeply.
    """
    for kind in ("function", "custom"):
        inner = call.get(kind)
        if isinstance(inner, dict):
            for name in CALL_TEXTS:
                text = inner.get(name)
                if isinstance(text, str):
                    yield (*thread, name), text
                elif isinstance(text, dict | list):
                    # Some servers send arguments as what they mean.
                    yield (*thread, name), dumped(text).decode()


def leaves(value: object) -> Iterator[str]:
    """Yield all strings in a value: some servers send parts where others send a string."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            left.extend(item[name] for name in reversed(item) if name != "type")
        elif isinstance(item, list):
            left.extend(reversed(item))


def _tally_rest(tally: Tally, index: int, said: dict[str, object]) -> None:
    for name in _TEXTS:
        text = said.get(name)
        if text:
            _tally_leaves(tally, (index, name), text)
    calls = said.get("tool_calls")
    if calls:
        for number, call in numbered_calls(calls):
            for thread, text in call_pieces((index, number), call):
                tally.add(thread, text)
    legacy = said.get("function_call")
    if isinstance(legacy, dict):
        for thread, text in call_pieces((index, "function_call"), {"function": legacy}):
            tally.add(thread, text)
    audio = said.get("audio")
    if isinstance(audio, dict) and isinstance(audio.get("transcript"), str):
        tally.add((index, "transcript"), audio["transcript"])


def _tally_leaves(tally: Tally, thread: tuple[object, ...], value: object) -> None:
    for text in leaves(value):
        tally.add(thread, text)


def _number(holder: dict[str, object], name: str, before: int | None) -> int | None:
    value = holder.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
        return value
    return before
