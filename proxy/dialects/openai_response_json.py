"""The reader of a response that comes as one JSON body."""

from __future__ import annotations

import re

from proxy.core.facts import Usage
from proxy.dialects.arriving import KeptBody
from proxy.dialects.openai_response_seen import Seen
from proxy.dialects.openai_usage import parse_answer
from proxy.dialects.tokens import Tally

# The text fields of a body that has not come to its end, behind the echo of what was asked.
_OUTPUT = re.compile(rb'"output"\s*:\s*\[')
_PARTIAL = re.compile(
    rb'"(?:text|refusal|name|arguments|input|code)"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)', re.DOTALL
)


class ResponseJsonReader:
    """A JSON body: passed through as it comes, and a copy kept to read it at the end."""

    __slots__ = ("_complete", "_counter", "_kept", "_seen")
    cut = False

    def __init__(self, counter: str, *, stored: bool) -> None:
        self._counter = counter
        self._seen = Seen(counter, stored=stored)
        self._kept = KeptBody()
        self._complete = False

    @property
    def usage(self) -> Usage:
        """Tokens; before the end an estimate from what has been passed on."""
        relayed = self._seen.meter.tokens if self._complete else self._partial()
        return Usage(*self._seen.reported, relayed=relayed)

    @property
    def complete(self) -> bool:
        """The whole body was seen."""
        return self._complete

    @property
    def errored(self) -> bool:
        """The body reports an error under a good status."""
        return self._seen.errored

    @property
    def pending(self) -> bool:
        """The response is queued or in progress."""
        return self._seen.unfinished

    @property
    def objects(self) -> tuple[str, ...]:
        """The response's id, and those of its items."""
        return self._seen.objects

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why it ended: 'completed', 'incomplete:max_output_tokens', 'failed' or another."""
        return self._seen.finish_reasons

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk as it is."""
        self._kept.add(chunk)
        return chunk

    def end(self) -> bytes:
        """Read the whole; raises UpstreamGarbageError where it is no JSON object."""
        if not self._complete:
            self._seen.note_body(parse_answer(self._kept.so_far()))
            self._complete = True
            self._kept.forget()
        return b""

    def broken(self, message: str, code: str) -> bytes:  # noqa: ARG002 - JSON has no such ending
        """Return nothing: half a JSON body can only be cut."""
        return b""

    def _partial(self) -> int:
        body = self._kept.so_far()
        output = _OUTPUT.search(body)
        tally = Tally(self._counter)
        if output is not None:
            for thread, found in enumerate(_PARTIAL.finditer(body, output.end())):
                tally.add(thread, found[1].decode("utf-8", "replace"))
        return tally.tokens
