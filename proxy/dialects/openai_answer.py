"""Readers of chat completions: a stream of chunks, a JSON body, and what is not looked at."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import Usage
from proxy.dialects import splice
from proxy.dialects.openai_usage import NO_USAGE, merge_usage, tally_choice
from proxy.dialects.sse import SseSplitter, data_of, with_data
from proxy.dialects.tokens import Tally

if TYPE_CHECKING:
    from proxy.dialects.openai_usage import Reported

MAX_JSON = 64 * 1024 * 1024
MAX_THREADS = 10_000

_USAGE_NULL = re.compile(rb',\s*"usage"\s*:\s*null(?=\s*[,}])|"usage"\s*:\s*null\s*,\s*')
# The text fields of an answer that has not come to its end, so far as they have come.
_PARTIAL = re.compile(
    rb'"(?:content|reasoning_content|reasoning|refusal|name|arguments|input|transcript)"\s*:\s*'
    rb'"([^"\\]*(?:\\.[^"\\]*)*)',
    re.DOTALL,
)


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
                out.append(self._pass(event))
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
            chunk = _parse(data)
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
            return with_data(event, _without_null_usage(data))
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


class JsonReader:
    """A JSON body: passed through as it comes, and a copy kept to read the usage at the end."""

    __slots__ = (
        "_complete", "_counter", "_errored", "_finished", "_kept", "_reported", "_size", "_tokens",
    )  # fmt: skip

    def __init__(self, counter: str) -> None:
        self._counter = counter
        self._kept: list[bytes] = []
        self._size = 0
        self._reported: Reported = NO_USAGE
        self._finished: dict[int, str] = {}
        self._complete = self._errored = False
        self._tokens = 0

    @property
    def usage(self) -> Usage:
        """Tokens; before the end an estimate from what has been passed on."""
        relayed = self._tokens if self._complete else self._partial()
        return Usage(*self._reported, relayed=relayed)

    @property
    def complete(self) -> bool:
        """The whole body was seen."""
        return self._complete

    @property
    def errored(self) -> bool:
        """The body reports an error under a good status."""
        return self._errored

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why each choice ended, by its index."""
        return tuple(self._finished[index] for index in sorted(self._finished))

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk as it is."""
        self._size += len(chunk)
        if self._size > MAX_JSON:
            raise UpstreamGarbageError("The answer is too large.")
        self._kept.append(chunk)
        return chunk

    def end(self) -> bytes:
        """Read the whole; raises UpstreamGarbageError where it is no JSON object."""
        if self._complete:
            return b""
        body = _parse(b"".join(self._kept))
        tally = Tally(self._counter)
        choices = body.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                raise UpstreamGarbageError("The answer has a choice that is none.")
            index = choice.get("index", 0)
            if not isinstance(index, int):
                raise UpstreamGarbageError("A choice of the answer has no index.")
            tally_choice(tally, index, choice.get("message"))
            reason = choice.get("finish_reason")
            if isinstance(reason, str):
                self._finished[index] = reason
        self._tokens = tally.tokens
        self._errored = bool(body.get("error"))
        self._reported = merge_usage(NO_USAGE, body.get("usage"))
        self._complete = True
        self._kept.clear()
        return b""

    def broken(self, message: str, code: str) -> bytes:  # noqa: ARG002 - JSON has no such ending
        """Return nothing: half a JSON body can only be cut."""
        return b""

    def _partial(self) -> int:
        tally = Tally(self._counter)
        for thread, found in enumerate(_PARTIAL.finditer(b"".join(self._kept))):
            tally.add(thread, found[1].decode("utf-8", "replace"))
        return tally.tokens


class OpaqueReader:
    """A body that is passed on unread: errors of the provider, and routes that are not metered."""

    __slots__ = ("_complete", "_errored")

    def __init__(self, *, errored: bool) -> None:
        self._errored = errored
        self._complete = False

    @property
    def usage(self) -> Usage:
        """Nothing."""
        return Usage()

    @property
    def complete(self) -> bool:
        """The upstream closed normally."""
        return self._complete

    @property
    def errored(self) -> bool:
        """The status was no good one."""
        return self._errored

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """None."""
        return ()

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk as it is."""
        return chunk

    def end(self) -> bytes:
        """Note the end."""
        self._complete = True
        return b""

    def broken(self, message: str, code: str) -> bytes:  # noqa: ARG002 - nothing can be added
        """Return nothing: what follows an unread body is not known."""
        return b""


def _parse(data: bytes) -> dict[str, object]:
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


def _without_null_usage(data: bytes) -> bytes:
    # The member known to be at the top level is the only one of its name anywhere, and no escape
    # spells that name otherwise: the pattern can meet nothing else.
    if data.count(b'"usage"') == 1 and b"\\u00" not in data:
        cut, changes = _USAGE_NULL.subn(b"", data, count=1)
        if changes:
            return cut
    return splice.remove_member(data, "usage")
