"""The reader of a streamed completion, of chat or legacy: chunks as server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import Usage
from proxy.dialects import splice
from proxy.dialects.arriving import Events
from proxy.dialects.openai_fields import dumped
from proxy.dialects.openai_trim import CHAT
from proxy.dialects.openai_usage import NO_USAGE, merge_usage, parse_answer
from proxy.dialects.sse import data_of, with_data
from proxy.dialects.tokens import Tally

if TYPE_CHECKING:
    from proxy.dialects.openai_shaped_stream import ChunkShaper
    from proxy.dialects.openai_trim import Form
    from proxy.dialects.openai_usage import Reported

MAX_THREADS = 10_000


class StreamReader:
    """Server-sent chunks: whole events in, whole events out, unchanged but for hidden usage.

    counter:    how text is counted
    hide_usage: the client did not ask for usage: the usage chunk is held back, and `usage` is cut
                out of all others
    choices:    how many must have finished for an end without `[DONE]` to be one
    form:       how its choices say what they say
    shaper:     what a shape changes; None: nothing
    """

    pending = False
    objects: tuple[str, ...] = ()

    __slots__ = (
        "_choices", "_closed", "_complete", "_count", "_cut", "_errored", "_events", "_finished",
        "_hide", "_reported", "_said", "_shaper", "_tally",
    )  # fmt: skip

    def __init__(
        self,
        counter: str,
        *,
        hide_usage: bool,
        choices: int = 1,
        form: Form = CHAT,
        shaper: ChunkShaper | None = None,
    ) -> None:
        self._tally = Tally(counter)
        self._said, self._count = form.delta, form.count
        self._shaper = shaper
        self._hide = hide_usage
        self._choices = choices
        self._events = Events()
        self._reported: Reported = NO_USAGE
        self._finished: dict[int, str] = {} if shaper is None else shaper.finished
        self._complete = self._errored = self._closed = self._cut = False

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        counted = self._tally if self._shaper is None else self._shaper
        return Usage(*self._reported, relayed=counted.tokens)

    @property
    def complete(self) -> bool:
        """`[DONE]` came, or every choice finished and the upstream closed."""
        return self._complete

    @property
    def errored(self) -> bool:
        """The provider reported an error in mid-stream."""
        return self._errored

    @property
    def cut(self) -> bool:
        """The shape ended the answer."""
        return self._cut

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why each choice ended, by its index."""
        return tuple(self._finished[index] for index in sorted(self._finished))

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes and return the events that they complete."""
        if self._closed or self._complete:
            return b""  # what comes after [DONE] is read by nobody, and would not be metered
        return self._events.feed(chunk, self._pass if self._shaper is None else self._shape)

    def end(self) -> bytes:
        """Say that the upstream closed; a stream cut short is given the ending of a broken one."""
        if self._closed or self._complete:
            return b""
        try:
            last = self._events.last(self._pass if self._shaper is None else self._shape)
        except UpstreamGarbageError:
            return self.broken("The answer was cut short.", "upstream.reset")
        if self._errored or self._complete:
            self._closed = True
        elif len(self._finished) >= self._choices:
            self._closed = self._complete = True  # some servers never say [DONE]
        else:
            last += self.broken("The answer was cut short.", "upstream.reset")
        return last

    def broken(self, message: str, code: str) -> bytes:
        """Say that the upstream failed: the error event that SDKs raise from, where one is due."""
        if self._closed or self._complete:
            return b""
        self._closed = True
        held = self._events.held()
        if self._errored:
            return held
        told = {"message": message, "type": "server_error", "param": None, "code": code}
        return b"%bdata: %b\n\n" % (held, orjson.dumps({"error": told}))

    def _pass(self, event: bytes) -> bytes:
        """Return what the client shall see of an event, and note what it says."""
        if self._complete:
            return b""
        data = data_of(event)
        if data.startswith(b"[DONE]"):
            self._complete = True
        elif data:
            chunk = parse_answer(data)
            choices = chunk.get("choices")
            if choices:
                self._count_choices(choices)
            if chunk.get("error"):
                self._errored = True
            if "usage" in chunk:
                return self._pass_usage(event, data, chunk)
        return event

    def _shape(self, event: bytes) -> bytes:
        """Return what the client shall see of an event under the shape, and note what it says."""
        assert self._shaper is not None
        if self._complete:
            return b""
        data = data_of(event)
        if not data:
            return event
        if data.startswith(b"[DONE]"):
            self._complete = True
            self._shaper.rest()
            if not self._shaper.spent:
                return self._shaper.given(null_usage=not self._hide) + event
            self._cut = True
            return self._shaper.ending(self._reported)
        chunk = parse_answer(data)
        self._reported = merge_usage(self._reported, chunk.get("usage"))
        choices = chunk.get("choices")
        changed = self._shaper.shape(chunk)
        if self._shaper.threads + len(self._finished) > MAX_THREADS:
            raise UpstreamGarbageError("The answer has too many choices.")
        if chunk.get("error"):
            self._errored = True
        before = self._shaper.given(null_usage=not self._hide)
        shown = self._shown(event, data, chunk, changed=changed, spoke=bool(choices))
        if not self._shaper.spent:
            return before + shown
        self._cut = self._complete = True
        return before + shown + self._shaper.ending(self._reported)

    def _shown(
        self, event: bytes, data: bytes, chunk: dict[str, object], *, changed: bool, spoke: bool
    ) -> bytes:
        if not changed:
            return self._pass_usage(event, data, chunk) if "usage" in chunk else event
        if self._hide:
            chunk.pop("usage", None)
        silent = spoke and not chunk.get("choices")
        if silent and chunk.get("usage") is None and not chunk.get("error"):
            return b""
        return with_data(event, dumped(chunk))

    def _pass_usage(self, event: bytes, data: bytes, chunk: dict[str, object]) -> bytes:
        usage = chunk["usage"]
        if usage is not None:
            self._reported = merge_usage(self._reported, usage)
        if not self._hide:
            return event
        if usage is None:
            return _without_null_usage(event, data)
        if not chunk.get("choices") and not chunk.get("error"):
            return b""
        return with_data(event, splice.remove_member(data, "usage"))

    def _count_choices(self, choices: object) -> None:
        if not isinstance(choices, list):
            raise UpstreamGarbageError("A chunk of the answer has no list of choices.")
        for choice in choices:
            if not isinstance(choice, dict):
                raise UpstreamGarbageError("A chunk of the answer has a choice that is none.")
            index = choice.get("index", 0)
            if not isinstance(index, int):
                raise UpstreamGarbageError("A choice of the answer has no index.")
            self._count(self._tally, index, choice.get(self._said))
            reason = choice.get("finish_reason")
            if isinstance(reason, str):
                self._finished[index] = reason
        if self._tally.threads + len(self._finished) > MAX_THREADS:
            raise UpstreamGarbageError("The answer has too many choices.")


def _without_null_usage(event: bytes, data: bytes) -> bytes:
    # The member known to be at the top level is then the only one of its name anywhere, and no
    # escape spells that name otherwise: what is cut can be nothing else.
    if event.count(b'"usage"') == 1 and b"\\u00" not in event:
        cut = event.replace(b',"usage":null', b"", 1)
        if len(cut) < len(event):
            return cut
    return with_data(event, splice.remove_member(data, "usage"))
