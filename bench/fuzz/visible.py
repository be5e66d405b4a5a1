"""What a client sees in an answer, found by other means than the readers' own."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from proxy.dialects.tokens import twelfths, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.core.shape import Shape

Told = dict[str, Any]
Said = tuple[object, str]
_TERMINAL = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


def within(name: str, shown: list[Told], most: int, counter: str) -> None:
    """Raise where the text of an answer is more than `most` tokens, in any of its copies."""
    if name in ("openai.responses", "openai.stored"):
        for copy in _copies(shown):
            _counted(copy, most, counter)
    elif name == "anthropic.messages":
        _counted([said for told in shown for said in _claude(told)], most, counter)
    else:
        _counted([said for told in shown for said in _choices(told)], most, counter)


def clean(name: str, shown: list[Told], shape: Shape, *, stream: bool) -> None:
    """Raise where what is hidden or stripped is still there."""
    for told in shown:
        if name in ("openai.responses", "openai.stored"):
            _clean_response(told, shape, stream=stream)
        elif name == "anthropic.messages":
            _clean_message(told, shape)
        else:
            _clean_choices(told, shape)


def _counted(said: list[Said], most: int, counter: str) -> None:
    threads: dict[object, list[str]] = defaultdict(list)
    for thread, text in said:
        threads[thread].append(text)
    texts = ["".join(parts) for parts in threads.values()]
    if counter == "words":
        tokens = sum(len(text.split()) for text in texts)
    else:
        tokens = whole(sum(map(twelfths, texts)))
    assert tokens <= most, f"{tokens} tokens crossed where {most} may"


def _number(index: object) -> object:
    return int(index) if isinstance(index, bool) else index  # as one that keys a table


def _dicts(value: object) -> list[Told]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _choices(told: Told) -> Iterator[Said]:
    for choice in _dicts(told.get("choices")):
        index = repr(_number(choice.get("index", 0)))
        if isinstance(choice.get("text"), str):
            yield (index, "text"), choice["text"]
        said = choice.get("delta", choice.get("message"))
        if not isinstance(said, dict):
            continue
        for name in ("content", "reasoning_content", "reasoning", "refusal"):
            if isinstance(said.get(name), str):
                yield (index, name), said[name]
        calls = _dicts(said.get("tool_calls"))
        if isinstance(said.get("function_call"), dict):
            calls = [*calls, {"function": said["function_call"]}]
        for call in calls:
            for kind in ("function", "custom"):
                inner = call.get(kind)
                for name in ("name", "arguments", "input"):
                    if isinstance(inner, dict) and isinstance(inner.get(name), str):
                        yield object(), inner[name]


def _claude(told: Told) -> Iterator[Said]:
    index = repr(_number(told.get("index", 0)))
    for place, block in enumerate(_dicts(told.get("content"))):
        yield from _block(place, block)
    for holder in (told.get("content_block"), told.get("delta")):
        if isinstance(holder, dict):
            yield from _block(index, holder)


def _block(index: object, block: Told) -> Iterator[Said]:
    for name in ("text", "thinking", "partial_json"):
        if isinstance(block.get(name), str):
            yield (index, name), block[name]


def _copies(shown: list[Told]) -> Iterator[list[Said]]:
    """Yield the deltas, the whole texts behind them, and the response's own items, each alone."""
    deltas: list[Said] = []
    wholes: dict[str, str] = {}
    for told in shown:
        kind = told.get("type")
        kind = kind if isinstance(kind, str) else ""
        # What is no number is 0 to the readers; a word may go on in another event of that place.
        found = [told.get(f"{name}_index") for name in ("output", "content", "summary")]
        place = str([int(index) if isinstance(index, int) else 0 for index in found])
        if kind.endswith(".delta") and isinstance(told.get("delta"), str):
            # Both are the text of a part; an answer that mixes them up goes on with one text.
            field = kind.replace("reasoning_text", "output_text")
            deltas.append(((place, field), told["delta"]))
        for name in ("text", "refusal", "arguments", "input", "code"):
            if kind.endswith("_text.done" if name == "text" else ".done") and isinstance(
                told.get(name), str
            ):
                at = f"{place} {kind}"
                wholes[at] = max(wholes.get(at, ""), told[name], key=len)
        response = told.get("response") if kind in _TERMINAL else told
        if isinstance(response, dict) and "output" in response:
            yield list(_items(response))
    yield deltas
    yield list(wholes.items())


def _items(response: Told) -> Iterator[Said]:
    for item in _dicts(response.get("output")):
        if item.get("type") in ("message", "reasoning"):
            for part in (*_dicts(item.get("content")), *_dicts(item.get("summary"))):
                for name in ("text", "refusal"):
                    if isinstance(part.get(name), str):
                        yield object(), part[name]
        elif item.get("type") == "function_call" and isinstance(item.get("arguments"), str):
            yield object(), item["arguments"]


def _clean_choices(told: Told, shape: Shape) -> None:
    for choice in _dicts(told.get("choices")):
        if "logprobs" in shape.strip:
            assert choice.get("logprobs") is None, "log-probabilities came through"
        said = choice.get("delta", choice.get("message"))
        if shape.hide_reasoning and isinstance(said, dict):
            assert not said.get("reasoning_content"), "reasoning came through"
            assert not said.get("reasoning"), "reasoning came through"


def _clean_message(told: Told, shape: Shape) -> None:
    if not shape.hide_reasoning:
        return
    blocks = [*_dicts(told.get("content")), told.get("content_block"), told.get("delta")]
    for block in blocks:
        if isinstance(block, dict) and block.get("type") in ("thinking", "thinking_delta"):
            assert not block.get("thinking"), "thinking came through"


def _clean_response(told: Told, shape: Shape, *, stream: bool) -> None:
    response = told.get("response", told)
    items = _dicts(response.get("output")) if isinstance(response, dict) else []
    if isinstance(told.get("item"), dict):
        items = [*items, told["item"]]
    for item in items:
        if shape.hide_reasoning and item.get("type") == "reasoning":
            assert not item.get("summary"), "a summary came through"
            kinds = [part.get("type") for part in _dicts(item.get("content"))]
            assert "reasoning_text" not in kinds, "reasoning came through"
        for part in _dicts(item.get("content")):
            assert not ("logprobs" in shape.strip and part.get("logprobs")), "log-probabilities"
    kind = told.get("type") if stream else None
    if shape.hide_reasoning and isinstance(kind, str):
        assert not kind.startswith("response.reasoning_"), "a reasoning event came through"
    if "logprobs" in shape.strip and isinstance(kind, str) and kind.startswith("response."):
        assert not told.get("logprobs"), "log-probabilities came through"
