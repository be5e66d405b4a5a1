"""The reader of a streamed message: named events, passed as they come or through a shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.anthropic_fields import dumped, kind_of, leaves
from proxy.dialects.anthropic_usage import Reported, finish_of, texts_of
from proxy.dialects.arriving import Events
from proxy.dialects.openai_usage import parse_answer
from proxy.dialects.sse import data_of
from proxy.dialects.tokens import Tally

if TYPE_CHECKING:
    from proxy.core.facts import Usage
    from proxy.dialects.anthropic_shaped_stream import Shaper

MAX_THREADS = 10_000
OVERLOADED = frozenset({"upstream.unreachable"})


class StreamReader:
    """Server-sent events of a message: whole events in, whole events out.

    counter: how text is counted
    shaper:  what changes and counts the events; None: they pass unchanged
    """

    __slots__ = (
        "_closed", "_complete", "_errored", "_events", "_finish", "_reported", "_shaper",
        "_tally",
    )  # fmt: skip

    pending = False
    objects: tuple[str, ...] = ()

    def __init__(self, counter: str, shaper: Shaper | None = None) -> None:
        self._tally = Tally(counter)
        self._shaper = shaper
        self._events = Events()
        self._reported = Reported()
        self._finish = ""
        self._complete = self._errored = self._closed = False

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        relayed = self._tally.tokens if self._shaper is None else self._shaper.tokens
        return self._reported.usage(relayed)

    @property
    def complete(self) -> bool:
        """`message_stop` came, or was given."""
        return self._complete

    @property
    def errored(self) -> bool:
        """The provider reported an error in mid-stream."""
        return self._errored

    @property
    def cut(self) -> bool:
        """The shape ended the answer."""
        return self._shaper is not None and self._shaper.cut

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why the message ended."""
        return (self._finish,) if self._finish else ()

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes and return the events that they complete."""
        if self._closed or self._complete:
            return b""  # what comes after the end would not be metered
        return self._events.feed(chunk, self._pass)

    def end(self) -> bytes:
        """Say that the upstream closed; a stream cut short is given the ending of a broken one."""
        if self._closed or self._complete:
            return b""
        try:
            last = self._events.last(self._pass)
        except UpstreamGarbageError:
            return self.broken("The answer was cut short.", "upstream.reset")
        if self.complete:
            return last
        return last + self.broken("The answer was cut short.", "upstream.reset")

    def broken(self, message: str, code: str) -> bytes:
        """Say that the upstream failed: the error event that SDKs raise from, where one is due."""
        if self._closed or self._complete:
            return b""
        self._closed = True
        held = self._events.held()
        if self._errored:
            return held
        kind = "overloaded_error" if code in OVERLOADED else "api_error"
        told = {"type": kind, "message": message, "code": code, "details": {"error_code": code}}
        return held + written("error", {"type": "error", "error": told})

    def _pass(self, event: bytes) -> bytes:
        """Return what the client shall see of an event, and note what it says."""
        if self._complete:
            return b""
        data = data_of(event)
        if not data:
            return event
        said = parse_answer(data)
        kind = kind_of(said)
        if kind != "content_block_delta":
            self._note(kind, said, event)
        if self._shaper is None:
            self._count(kind, said)
            return event
        out = self._shaper.passed(event, kind, said, self._reported)
        if self._shaper.cut:
            self._complete, self._finish = True, "max_tokens"
        return out

    def _note(self, kind: str, said: dict[str, object], event: bytes) -> None:
        if kind == "message_start":
            message = said.get("message")
            if isinstance(message, dict):
                self._reported.hear(message.get("usage"), final=False)
        elif kind == "message_delta":
            self._reported.hear(said.get("usage"))
            delta = said.get("delta")
            if isinstance(delta, dict):
                self._finish = finish_of(delta) or self._finish
        elif kind == "message_stop":
            self._complete = True
        elif kind == "error" or (not kind and b"event: error" in event):
            self._errored = True

    def _count(self, kind: str, said: dict[str, object]) -> None:
        if kind == "content_block_delta":
            self._count_part(index_of(said), said.get("delta"))
        elif kind == "content_block_start":
            self._count_part(index_of(said), said.get("content_block"))
        elif kind not in QUIET:
            for text in leaves(content_of(said) if kind == "message_start" else said):
                self._tally.add(None, f"{text}\n")

    def _count_part(self, index: int, part: object) -> None:
        if not isinstance(part, dict):
            return
        text = part.get("text")
        if len(part) == 2 and isinstance(text, str):  # noqa: PLR2004 - its type and text: most are
            self._tally.add(index, text)
        else:
            for thread, piece in texts_of(index, part):
                self._tally.add(thread, piece)
        if self._tally.threads > MAX_THREADS:
            raise UpstreamGarbageError("The answer has too many blocks.")


# Events that say nothing of the answer's own text.
QUIET = frozenset({"content_block_stop", "error", "message_delta", "message_stop", "ping"})


def index_of(said: dict[str, object]) -> int:
    """Return which block an event speaks of; raises UpstreamGarbageError."""
    index = said.get("index")
    if not isinstance(index, int):
        raise UpstreamGarbageError("An event of the answer has no index.")
    return index


def content_of(said: dict[str, object]) -> list[object]:
    """Return the content that a `message_start` brings: as a rule, none."""
    message = said.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, list) else []


def written(name: str, said: dict[str, object]) -> bytes:
    """Return an event of our own."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumped(said))
