"""The reader of a streamed response: named server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import orjson

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import Usage
from proxy.dialects.arriving import Events
from proxy.dialects.openai_response_text import data_in
from proxy.dialects.openai_usage import parse_answer

if TYPE_CHECKING:
    from proxy.dialects.openai_response_seen import Seen
    from proxy.dialects.openai_usage import Reported


class Passage(Protocol):
    """How events pass: what the client has seen, and what the provider has reported."""

    @property
    def seen(self) -> Seen:
        """What the client has been told."""
        ...

    @property
    def reported(self) -> Reported:
        """What the provider's usage says."""
        ...

    @property
    def cut(self) -> bool:
        """The shape ended the answer."""
        ...

    def take(self, event: bytes) -> bytes:
        """Return what the client shall see of an event; raises UpstreamGarbageError."""
        ...


class PlainPassage:
    """Events pass as they are."""

    __slots__ = ("seen",)
    cut = False

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    @property
    def reported(self) -> Reported:
        """What the provider's usage says."""
        return self.seen.reported

    def take(self, event: bytes) -> bytes:
        """Note what an event says and return it."""
        data = data_in(event)
        if data and not data.startswith(b"[DONE]"):
            told = parse_answer(data)
            kind = told.get("type")
            self.seen.note(kind if isinstance(kind, str) else "", told)
        return event


class ResponseStreamReader:
    """Server-sent events: whole events in, whole events out.

    passage:   what becomes of each event
    resumable: the work goes on at the provider when this stream breaks
    """

    __slots__ = ("_closed", "_events", "_passage", "_resumable")

    def __init__(self, passage: Passage, *, resumable: bool) -> None:
        self._passage = passage
        self._resumable = resumable
        self._events = Events()
        self._closed = False

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        passage = self._passage
        return Usage(*passage.reported, relayed=passage.seen.meter.tokens)

    @property
    def complete(self) -> bool:
        """The terminal event came."""
        return self._passage.seen.terminal

    @property
    def errored(self) -> bool:
        """The provider reported an error, or that the response failed."""
        return self._passage.seen.errored

    @property
    def cut(self) -> bool:
        """The shape ended the answer."""
        return self._passage.cut

    @property
    def pending(self) -> bool:
        """The response is still being made, whatever became of this stream."""
        seen = self._passage.seen
        return self._resumable and seen.begun and not (seen.terminal or seen.errored)

    @property
    def objects(self) -> tuple[str, ...]:
        """The response's id, and those of its items."""
        return self._passage.seen.objects

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why it ended: 'completed', 'incomplete:max_output_tokens', 'failed' or another."""
        return self._passage.seen.finish_reasons

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes and return the events that they complete."""
        if self._closed:
            return b""
        return self._events.feed(chunk, self._pass)

    def end(self) -> bytes:
        """Say that the upstream closed; a stream cut short is given the ending of a broken one."""
        if self._closed:
            return b""
        try:
            last = self._events.last(self._pass)
        except UpstreamGarbageError:
            return self.broken("The answer was cut short.", "upstream.reset")
        if self.errored or self.complete:
            self._closed = True
        else:
            last += self.broken("The answer was cut short.", "upstream.reset")
        return last

    def broken(self, message: str, code: str) -> bytes:
        """Say that the upstream failed: an `error` event, where one is due."""
        if self._closed:
            return b""
        self._closed = True
        held = self._events.held()
        if self.errored or self.complete:
            return held
        told = {
            "type": "error",
            "code": code,
            "message": message,
            "param": None,
            "sequence_number": self._passage.seen.sequence + 1,
        }
        return b"%bevent: error\ndata: %b\n\n" % (held, orjson.dumps(told))

    def _pass(self, event: bytes) -> bytes:
        if self._passage.cut:
            return b""
        if self._passage.seen.terminal:
            # What follows the end is read by nobody, and would not be metered.
            data = data_in(event)
            return b"" if data and not data.startswith(b"[DONE]") else event
        return self._passage.take(event)
