"""The reader of a completion that comes as one JSON body."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proxy.core.facts import Usage
from proxy.dialects.arriving import KeptBody
from proxy.dialects.openai_trim import CHAT
from proxy.dialects.openai_usage import NO_USAGE, indexed, merge_usage, parse_answer
from proxy.dialects.tokens import Tally

if TYPE_CHECKING:
    from proxy.dialects.openai_trim import Form
    from proxy.dialects.openai_usage import Reported


# The text fields of an answer that has not come to its end, so far as they have come.
_PARTIAL = re.compile(
    rb'"(?:content|reasoning_content|reasoning|refusal|name|arguments|input|transcript|text)"\s*:\s*'
    rb'"([^"\\]*(?:\\.[^"\\]*)*)',
    re.DOTALL,
)


class JsonReader:
    """A JSON body: passed through as it comes, and a copy kept to read the usage at the end."""

    cut = pending = False
    objects: tuple[str, ...] = ()

    __slots__ = (
        "_complete", "_counter", "_errored", "_finished", "_form", "_kept", "_reported",
        "_tokens",
    )  # fmt: skip

    def __init__(self, counter: str, form: Form = CHAT) -> None:
        self._counter = counter
        self._form = form
        self._kept = KeptBody()
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
        self._kept.add(chunk)
        return chunk

    def end(self) -> bytes:
        """Read the whole; raises UpstreamGarbageError where it is no JSON object."""
        if self._complete:
            return b""
        body = parse_answer(self._kept.so_far())
        tally = Tally(self._counter)
        for index, choice in indexed(body.get("choices")):
            self._form.count(tally, index, choice.get(self._form.message))
            reason = choice.get("finish_reason")
            if isinstance(reason, str):
                self._finished[index] = reason
        self._tokens = tally.tokens
        self._errored = bool(body.get("error"))
        self._reported = merge_usage(NO_USAGE, body.get("usage"))
        self._complete = True
        self._kept.forget()
        return b""

    def broken(self, message: str, code: str) -> bytes:  # noqa: ARG002 - JSON has no such ending
        """Return nothing: half a JSON body can only be cut."""
        return b""

    def _partial(self) -> int:
        tally = Tally(self._counter)
        for thread, found in enumerate(_PARTIAL.finditer(self._kept.so_far())):
            tally.add(thread, found[1].decode("utf-8", "replace"))
        return tally.tokens
