"""How a streamed response is truncated.

Texts pass until the ration is spent; then every copy that is still owed (`*.done`, the item, the
response) is told with what was given. Tool calls and sealed reasoning are held until they are
whole; what comes behind them waits, so that items keep their order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.openai_response_seen import TERMINAL
from proxy.dialects.openai_response_shaped_events import (
    ANNOTATION,
    ITEM,
    PART_TYPES,
    Event,
    Outlet,
    endings,
    event_of,
    reported_by,
    said_by,
)
from proxy.dialects.openai_response_shaped_text import (
    Trim,
    covered,
    drop_unknown,
    streams,
    text_of,
    within,
)
from proxy.dialects.openai_response_text import PARTS, STEMS, Meter, number, path_of, texts
from proxy.dialects.openai_usage import NO_USAGE
from proxy.dialects.ration import Ration
from proxy.dialects.sse import MAX_EVENT

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.dialects.openai_response_seen import Seen
    from proxy.dialects.openai_response_shaped import Cleaning
    from proxy.dialects.openai_response_shaped_text import Given, PartKey
    from proxy.dialects.openai_response_text import Told
    from proxy.dialects.openai_usage import Reported

MAX_HELD = 2 * MAX_EVENT
LIFECYCLE = frozenset({"response.created", "response.queued", "response.in_progress"})


@dataclass(slots=True)
class Held:
    """An item that is given whole or not at all, until it is known which.

    behind: events of others that wait for it
    size:   bytes of all of them
    """

    upstream: int
    item: Told
    meter: Meter
    events: list[Event] = field(default_factory=list)
    behind: list[Event] = field(default_factory=list)
    size: int = 0


class RationPassage:
    """Events pass until the ration is spent; then the answer ends as a provider would end it.

    most: tokens that may be given
    """

    __slots__ = (
        "_cleaning", "_counter", "_held", "_late", "_out", "_outlet", "_prompt", "_response",
        "_sealed", "_trim", "cut", "reported", "seen",
    )  # fmt: skip

    def __init__(
        self, seen: Seen, cleaning: Cleaning, most: int | None, counter: str, facts: RequestFacts
    ) -> None:
        self.seen = seen
        self.cut = False
        self.reported: Reported = NO_USAGE
        self._cleaning = cleaning
        self._counter = counter
        self._trim = Trim(Ration(most, counter))
        self._prompt = facts.prompt_tokens
        self._sealed = "encrypted_reasoning" in facts.features
        self._outlet = Outlet(seen)
        self._response: Told = {}
        self._held: Held | None = None
        # A stream that is read again from its middle: what went before cannot be counted, so
        # that only its terminal event is given, cut from the beginning.
        self._late: bool | None = None
        self._out: list[bytes] = []

    def take(self, raw: bytes) -> bytes:
        """Return the event as far as the ration goes, and the end where it is spent."""
        event = event_of(raw)
        if event is None:
            return raw
        self._outlet.start(event)
        if self._late is None:
            self._late = event.kind != "response.created"
        self.reported = reported_by(event, self.reported)
        if self._cleaning.drops(event.kind, event.told):
            return b""
        event.changed = self._cleaning.event(event.told)
        self._out = []
        self._handle(event)
        return b"".join(self._out)

    def _handle(self, event: Event) -> None:
        if self.cut:
            return
        response = event.told.get("response")
        if event.kind in TERMINAL and isinstance(response, dict):
            self._release()
            self._terminal(event, response)
        elif event.kind == "error" or event.kind in TERMINAL:
            self._say(event)
        elif self._held is not None:
            self._hold(self._held, event)
        elif event.kind in LIFECYCLE:
            self._lifecycle(event, response)
        elif not self._late:
            self._item_event(event)

    def _lifecycle(self, event: Event, response: object) -> None:
        if isinstance(response, dict):
            self._response = response
            if response.get("output") or "output_text" in response:
                response["output"] = []
                response.pop("output_text", None)
                event.changed = True
        self._say(event)

    def _terminal(self, event: Event, response: Told) -> None:
        if self.cut:
            return
        event.changed = self._trim.settle(response) or event.changed
        if self._trim.ration.spent:
            self._finish(response)
        else:
            self._say(event)

    def _item_event(self, event: Event) -> None:
        stem, _, what = event.kind.rpartition(".")
        upstream = number(event.told, "output_index")
        given = self._trim.find(upstream)
        item = event.told.get("item")
        if stem == ITEM and isinstance(item, dict):
            if given is None:
                self._begin(upstream, item, event)
            elif what == "done" and not given.done:
                self._end_item(given, item, event)
        elif given is None or "output_index" not in event.told:
            # Of no item: what it says could not be found again in its copies.
            if "output_index" not in event.told and not any(texts(event.told)):
                self._say(event)
        elif not given.done:
            if stem in PART_TYPES:
                self._text(given, event, stem, what)
            elif stem in PARTS:
                self._part(given, event, stem, what)
            elif stem == ANNOTATION:
                self._annotation(given, event)
            else:
                self._rest(given, event)

    def _begin(self, upstream: int, item: Told, event: Event) -> None:
        reasoning = item.get("type") == "reasoning"
        hidden = reasoning and self._cleaning.hide
        if not reasoning and not self._trim.ration.would_fit(1):
            self._finish()
        elif not hidden and (not streams(item) or (reasoning and self._sealed)):
            self._held = Held(upstream, item, Meter(self._counter))
            self._hold(self._held, event)
        elif event.kind == f"{ITEM}.done":
            given = self._trim.add(upstream, item, told=False)
            self._end_item(given, item, event)
        else:
            # Its parts come one by one, and at its end what no event has brought.
            for holder in ("summary", "content"):
                if item.get(holder):
                    item[holder] = []
                    event.changed = True
            event.changed = drop_unknown(item) or event.changed
            self._tell(self._trim.add(upstream, item), event)

    def _end_item(self, given: Given, item: Told, event: Event) -> None:
        event.changed = self._trim.fit(given, item) or event.changed
        if self._trim.ration.spent:
            self._finish()
            return
        given.item = item
        given.told = given.done = True
        self._tell(given, event)

    def _text(self, given: Given, event: Event, stem: str, what: str) -> None:
        told, known = event.told, STEMS[stem]
        member = "delta" if what == "delta" else known.whole
        text = told.get(member)
        if not isinstance(text, str):
            return
        for name in [name for name in told if name != member and any(texts({name: told[name]}))]:
            del told[name]  # it may say the text again
            event.changed = True
        key = (known.holder, number(told, known.index))
        if key not in given.parts:
            _check_next(given, key)
            # No event has said that it begins; it is ended like the others.
            given.parts[key] = {"type": PART_TYPES[stem], known.leaf: ""}
            given.open[key] = False
        take = self._trim.take if what == "delta" else self._trim.copy
        allowed = take(given, path_of(known, told), text)
        spent = self._trim.ration.spent
        if allowed != text:
            told[member] = allowed
            told.pop("obfuscation", None)
            if told.get("logprobs"):
                told["logprobs"] = covered(told["logprobs"], allowed)
            event.changed = True
        if what == "delta":
            if allowed or not text:
                self._tell(given, event)
        elif not spent:
            given.open[key] = True
            self._tell(given, event)
        if spent:
            self._finish()

    def _part(self, given: Given, event: Event, stem: str, what: str) -> None:
        part = event.told.get("part")
        if not isinstance(part, dict):
            return
        holder, index = PARTS[stem]
        key = (holder, number(event.told, index))
        if key not in given.parts:
            _check_next(given, key)
        event.changed = self._trim.fit_part(given, key, part) or event.changed
        given.parts[key] = part
        if what == "added":
            given.open[key] = False
            self._tell(given, event)
        elif not self._trim.ration.spent:
            given.open.pop(key, None)
            self._tell(given, event)
        if self._trim.ration.spent:
            self._finish()

    def _annotation(self, given: Given, event: Event) -> None:
        key = ("content", number(event.told, "content_index"))
        annotation = event.told.get("annotation")
        if within(annotation, text_of(given, key)):
            known = given.parts.get(key, {}).get("annotations")
            if isinstance(known, list):
                known.append(annotation)
            self._tell(given, event)

    def _rest(self, given: Given, event: Event) -> None:
        """Give an event that cannot be cut, if what it says fits."""
        pieces = [((given.place, event.kind, *path), text) for path, text in texts(event.told)]
        if self._trim.ration.take_whole(pieces):
            self._tell(given, event)
        else:
            self._finish()

    def _hold(self, held: Held, event: Event) -> None:
        held.size += len(event.raw)
        own = event.told.get("output_index") == held.upstream
        (held.events if own else held.behind).append(event)
        if own:
            held.meter.note(event.kind, event.told)
        if held.size > MAX_HELD or not self._trim.ration.would_fit(held.meter.tokens):
            self._finish()
        elif own and event.kind == f"{ITEM}.done":
            item = event.told.get("item")
            held.item = item if isinstance(item, dict) else held.item
            self._release()

    def _release(self) -> None:
        """Give the held item if it fits, and then what waits behind it."""
        held, self._held = self._held, None
        if held is None:
            return
        given = self._trim.add_whole(held.upstream, held.item, said_by(held.events))
        if given is None:
            self._finish()
            return
        for event in held.events:
            self._tell(given, event)
        for event in held.behind:
            self._handle(event)

    def _finish(self, response: Told | None = None) -> None:
        """End the answer here: what is open, then the response."""
        self.cut = True
        self._held = None
        self._trim.ration.spend()
        for given in self._trim.given:
            if given.told and not given.done:
                for event in endings(given):
                    self._say(event)
        base = self._response if response is None else response
        kind = "response.incomplete"
        ended = self._trim.incomplete(base, self.reported, self._prompt)
        self._say(Event(kind, {"type": kind, "response": ended}))

    def _tell(self, given: Given, event: Event) -> None:
        if event.told.get("output_index", given.place) != given.place:
            event.told["output_index"] = given.place
            event.changed = True
        self._say(event)

    def _say(self, event: Event) -> None:
        self._out.append(self._outlet.write(event))


def _check_next(given: Given, key: PartKey) -> None:
    """Raise UpstreamGarbageError where a part is not the next of its item.

    In the item as we tell it at its end, it would stand elsewhere than its events have said.
    """
    if key[1] != sum(holder == key[0] for holder, _ in given.parts):
        raise UpstreamGarbageError("The answer leaves a part of an item out.")
