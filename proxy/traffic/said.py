"""The text of an answer, of a JSON body or of events, in any of the dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = b"data:"
# Of events that name their kind: the kind, and the member with the text.
_DELTAS = ("response.output_text.delta", "response.refusal.delta")


def said(body: bytes, *, stream: bool) -> str:
    """Return what an answer said to people, '' where nothing can be read; choices in order.

    Reasoning, tool calls and vectors are left out.

    >>> said(b'{"choices":[{"message":{"content":"one"}},{"text":"two"}]}', stream=False)
    'onetwo'
    """
    if not stream:
        return "".join(_whole(_object(body)))
    events = (line[len(DATA) :] for line in body.splitlines() if line.startswith(DATA))
    pieces: dict[object, list[str]] = {}
    for event in events:
        for thread, text in _piece(_object(event)):
            pieces.setdefault(thread, []).append(text)
    return "".join("".join(texts) for texts in pieces.values())


def _object(text: bytes) -> dict[str, object]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _whole(body: dict[str, object]) -> Iterator[str]:
    for choice in _objects(body.get("choices")):
        message = choice.get("message")
        holder = message.get("content") if isinstance(message, dict) else choice.get("text")
        yield from _texts(holder)
    yield from _texts(body.get("content"))
    for item in _objects(body.get("output")):
        if item.get("type") == "message":
            yield from _texts(item.get("content"))


def _piece(event: dict[str, object]) -> Iterator[tuple[object, str]]:
    """Yield the texts of an event, each with what it goes on."""
    for number, choice in enumerate(_objects(event.get("choices"))):
        index = choice.get("index")
        delta = choice.get("delta")
        holder = delta.get("content") if isinstance(delta, dict) else choice.get("text")
        for text in _texts(holder):
            yield index if isinstance(index, int) else number, text
    kind, delta = event.get("type"), event.get("delta")
    if kind == "content_block_delta" and isinstance(delta, dict):
        for text in _texts(delta.get("text")):
            yield "", text
    elif kind in _DELTAS:
        for text in _texts(delta):
            yield "", text


def _texts(holder: object) -> Iterator[str]:
    """Yield a text, or the texts of a list of parts."""
    if isinstance(holder, str):
        yield holder
    for part in _objects(holder):
        text = part.get("text")
        if isinstance(text, str) and part.get("type") in {"text", "output_text", None}:
            yield text


def _objects(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))
