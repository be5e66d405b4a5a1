"""The reader of a streamed chat completion: chunks as server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import Usage
from proxy.dialects import splice
from proxy.dialects.openai_usage import NO_USAGE, merge_usage, parse_answer, tally_choice
from proxy.dialects.sse import SseSplitter, data_of, with_data
from proxy.dialects.tokens import Tally

if TYPE_CHECKING:
    from proxy.dialects.openai_usage import Reported

MAX_THREADS = 10_000


class StreamReader:
    """Server-sent chunks: whole events in, whole events out, unchanged but for hidden usage.

    counter:    how text is counted
    hide_usage: the client did not ask for usage: the usage chunk is held back, and `usage` is cut
                out of all others
    choices:    how many must have finished for an end without `[DONE]` to be one
    """

    __slots__ = (
        "_choices", "_closed", "_complete", "_errored", "_finished", "_held", "_hide",
        "_reported", "_splitter", "_tally",
    )  # fmt: skip

    def __init__(self, counter: str, *, hide_usage: bool, choices: int = 1) -> None:
        self._tally = Tally(counter)
        self._hide = hide_usage
        self._choices = choices
        self._splitter = SseSplitter()
        self._reported: Reported = NO_USAGE
        self._finished: dict[int, str] = {}
        self._complete = self._errored = self._closed = False
        self._held = b""

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        return Usage(*self._reported, relayed=self._tally.tokens)

    @property
    def complete(self) -> bool:
        """`[DONE]` came, or every choice finished and the upstream closed."""
        return self._complete

    @property
    def errored(self) -> bool:
        """The provider reported an error in mid-stream."""
        return self._errored

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why each choice ended, by its index."""
        return tuple(self._finished[index] for index in sorted(self._finished))

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes and return the events that they complete."""
        if self._closed or self._complete:
            return b""  # what comes after [DONE] is read by nobody, and would not be metered
        out = []
        events = self._splitter.feed(chunk)
        try:
            for event in events:
                out.append(self._pass(event))  # noqa: PERF401 - kept if one raises
        except UpstreamGarbageError:
            self._held = b"".join(out)
            raise
        if self._splitter.overflowed:
            self._held = b"".join(out)
            raise UpstreamGarbageError("An event of the answer is too large.")
        return out[0] if len(out) == 1 else b"".join(out)

    def end(self) -> bytes:
        """Say that the upstream closed; a stream cut short is given the ending of a broken one."""
        if self._closed or self._complete:
            return b""
        rest = self._splitter.rest()
        last = b""
        if rest:
            try:
                # The empty line that the upstream owed, so that nothing of ours runs into it.
                last = self._pass(rest + b"\n\n")
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
        held, self._held = self._held, b""
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
                self._count(choices)
            if chunk.get("error"):
                self._errored = True
            if "usage" in chunk:
                return self._pass_usage(event, data, chunk)
        return event

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

    def _count(self, choices: object) -> None:
        if not isinstance(choices, list):
            raise UpstreamGarbageError("A chunk of the answer has no list of choices.")
        for choice in choices:
            if not isinstance(choice, dict):
                raise UpstreamGarbageError("A chunk of the answer has a choice that is none.")
            index = choice.get("index", 0)
            if not isinstance(index, int):
                raise UpstreamGarbageError("A choice of the answer has no index.")
            tally_choice(self._tally, index, choice.get("delta"))
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
