"""The events of a shaped stream: read, cleaned, numbered densely, and those that end it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.dialects.openai_response_seen import merge_usage
from proxy.dialects.openai_response_shaped_text import ended_item, ended_part
from proxy.dialects.openai_response_text import (
    PARTS,
    STEMS,
    data_in,
    number,
    path_of,
    texts,
    written,
)
from proxy.dialects.openai_usage import NO_USAGE, parse_answer
from proxy.dialects.sse import with_data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.dialects.openai_response_seen import Seen
    from proxy.dialects.openai_response_shaped import Cleaning
    from proxy.dialects.openai_response_shaped_text import Given, PartKey
    from proxy.dialects.openai_response_text import Path, Told
    from proxy.dialects.openai_usage import Reported

ITEM = "response.output_item"
ANNOTATION = "response.output_text.annotation"
# The event that ends a text, and where it says it, by the part's type.
_TEXT_ENDS = {
    "output_text": ("response.output_text.done", "text"),
    "refusal": ("response.refusal.done", "refusal"),
    "reasoning_text": ("response.reasoning_text.done", "text"),
    "summary_text": ("response.reasoning_summary_text.done", "text"),
}
PART_TYPES = {end.removesuffix(".done"): kind for kind, (end, _) in _TEXT_ENDS.items()}
_PART_ENDS = {holder: (f"{stem}.done", index) for stem, (holder, index) in PARTS.items()}


@dataclass(slots=True)
class Event:
    """One event on its way.

    raw:     its bytes; b'' where it is ours
    changed: it no longer says what its bytes say
    """

    kind: str
    told: Told
    raw: bytes = b""
    changed: bool = False


def event_of(raw: bytes) -> Event | None:
    """Return an event that says something; raises UpstreamGarbageError."""
    data = data_in(raw)
    if not data or data.startswith(b"[DONE]"):
        return None
    told = parse_answer(data)
    kind = told.get("type")
    return Event(kind if isinstance(kind, str) else "", told, raw)


def reported_by(event: Event, before: Reported) -> Reported:
    """Return the provider's usage as it is known after an event."""
    response = event.told.get("response")
    return merge_usage(before, response.get("usage")) if isinstance(response, dict) else before


class Outlet:
    """Writes events for the client, numbered densely from the first one's number.

    seen: what they say
    """

    __slots__ = ("_next", "seen")

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self._next: int | None = None

    def start(self, first: Event) -> None:
        """Take the number of the provider's first event as the first; called with each one."""
        if self._next is None:
            self._next = number(first.told, "sequence_number")

    def write(self, event: Event) -> bytes:
        """Return an event's bytes."""
        assert self._next is not None
        told = event.told
        if not event.raw or told.get("sequence_number", self._next) != self._next:
            told["sequence_number"] = self._next
            event.changed = True
        self._next += 1
        self.seen.note(event.kind, told)
        if not event.raw:
            return b"event: %b\ndata: %b\n\n" % (event.kind.encode(), written(told))
        return with_data(event.raw, written(told)) if event.changed else event.raw


class CleanPassage:
    """Events pass without log-probabilities or reasoning."""

    __slots__ = ("_cleaning", "_outlet", "reported", "seen")
    cut = False

    def __init__(self, seen: Seen, cleaning: Cleaning) -> None:
        self.seen = seen
        self.reported: Reported = NO_USAGE
        self._cleaning = cleaning
        self._outlet = Outlet(seen)

    def take(self, raw: bytes) -> bytes:
        """Return the event without what the shape takes out."""
        event = event_of(raw)
        if event is None:
            return raw
        self._outlet.start(event)
        self.reported = reported_by(event, self.reported)
        if self._cleaning.drops(event.kind, event.told):
            return b""
        event.changed = self._cleaning.event(event.told)
        return self._outlet.write(event)


def endings(given: Given) -> Iterator[Event]:
    """Yield the events that end an item whose text was cut: its parts, then itself."""
    for key, text_ended in given.open.items():
        part = ended_part(given, key)
        place = _place(given, key)
        kind, leaf = _TEXT_ENDS.get(str(part.get("type")), ("", ""))
        if kind and not text_ended:
            told: Told = {"type": kind, **place, leaf: part.get(leaf, "")}
            if kind == "response.output_text.done":
                told["logprobs"] = part.get("logprobs") or []
            yield Event(kind, told)
        kind, _ = _PART_ENDS[key[0]]
        yield Event(kind, {"type": kind, **place, "part": part})
    kind = "response.output_item.done"
    yield Event(kind, {"type": kind, "output_index": given.place, "item": ended_item(given)})


def _place(given: Given, key: PartKey) -> Told:
    index = _PART_ENDS[key[0]][1]
    return {"item_id": given.item.get("id"), "output_index": given.place, index: key[1]}


def said_by(events: list[Event]) -> dict[Path, str]:
    """Return the texts of the events of one item, by their places in it."""
    said: dict[Path, str] = {}
    for event in events:
        stem, _, what = event.kind.rpartition(".")
        piece = event.told.get("delta")
        if what == "delta" and isinstance(piece, str):
            known = STEMS.get(stem)
            path: Path = (stem,) if known is None else path_of(known, event.told)
            said[path] = said.get(path, "") + piece
            continue
        for path, text in _copies(event, stem):
            before = said.get(path, "")
            if text.startswith(before):
                said[path] = text
            elif not before.startswith(text):
                said[path] = f"{before}\n{text}"  # no copy: the client gets both
    return said


def _copies(event: Event, stem: str) -> Iterator[tuple[Path, str]]:
    told, known = event.told, STEMS.get(stem)
    before: Path = ()
    told_of: object = told
    if known is not None:
        text = told.get(known.whole)
        if isinstance(text, str):
            yield path_of(known, told), text
        return
    if stem in PARTS:
        holder, index = PARTS[stem]
        before, told_of = (holder, number(told, index)), told.get("part")
    elif stem == ITEM:
        told_of = told.get("item")
    elif stem == ANNOTATION:
        return
    else:
        before = (event.kind,)
    for path, text in texts(told_of):
        yield (*before, *path), text
