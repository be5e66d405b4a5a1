"""Readers of a message that comes as one JSON body: as it is, and through a shape."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.anthropic_fields import kind_of
from proxy.dialects.anthropic_usage import Reported, finish_of, texts_of
from proxy.dialects.arriving import KeptBody
from proxy.dialects.openai_usage import parse_answer
from proxy.dialects.tokens import Tally

if TYPE_CHECKING:
    from proxy.core.facts import Usage
    from proxy.dialects.anthropic_shaped_json import Body


# The text of an answer that has not come to its end, so far as it has come.
_PARTIAL = re.compile(
    rb'"(?:text|thinking|name|input|cited_text|content)"\s*:\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)|'
    rb"(\{[^{}]*))",
    re.DOTALL,
)


class JsonReader:
    """A message, or the provider's error.

    counter: how text is counted
    shape:   what changes the body, which is then held until it is whole; None: it passes unchanged
    """

    __slots__ = (
        "_body", "_complete", "_counter", "_cut", "_errored", "_finish", "_kept", "_reported",
        "_tokens",
    )  # fmt: skip

    pending = False
    objects: tuple[str, ...] = ()

    def __init__(self, counter: str, body: Body | None = None) -> None:
        self._counter = counter
        self._body = body
        self._kept = KeptBody()
        self._reported = Reported()
        self._finish = ""
        self._complete = self._errored = self._cut = False
        self._tokens = 0

    @property
    def usage(self) -> Usage:
        """Tokens; before the end an estimate from what has been passed on."""
        held = self._complete or self._body is not None
        return self._reported.usage(self._tokens if held else self._partial())

    @property
    def complete(self) -> bool:
        """The whole body was seen."""
        return self._complete

    @property
    def errored(self) -> bool:
        """The body reports an error under a good status."""
        return self._errored

    @property
    def cut(self) -> bool:
        """The shape ended the answer."""
        return self._cut

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why the message ended."""
        return (self._finish,) if self._finish else ()

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes; return them as they are where nothing is to be changed."""
        self._kept.add(chunk)
        return chunk if self._body is None else b""

    def end(self) -> bytes:
        """Read the whole; raises UpstreamGarbageError where it is no JSON object."""
        if self._complete:
            return b""
        raw = self._kept.so_far()
        said = parse_answer(raw)
        self._reported.hear(said.get("usage"))
        self._finish = finish_of(said)
        self._errored = kind_of(said) == "error"
        out = b""
        if self._body is None:
            self._tokens = _tokens(said, self._counter)
        elif self._errored:
            out = raw
        else:
            shaped = self._body.shaped(raw, said, self._reported)
            out, self._tokens, self._cut = shaped.body, shaped.tokens, shaped.cut
            self._finish = "max_tokens" if shaped.cut else self._finish
        self._complete = True
        self._kept.forget()
        return out

    def broken(self, message: str, code: str) -> bytes:  # noqa: ARG002 - JSON has no such ending
        """Return nothing: half a JSON body can only be cut."""
        return b""

    def _partial(self) -> int:
        tally = Tally(self._counter)
        for thread, found in enumerate(_PARTIAL.finditer(self._kept.so_far())):
            tally.add(thread, (found[1] or found[2] or b"").decode("utf-8", "replace"))
        return tally.tokens


def blocks_of(said: dict[str, object]) -> list[dict[str, object]]:
    """Return a message's content; raises UpstreamGarbageError where it is none."""
    content = said.get("content")
    if content is None:
        return []
    if not isinstance(content, list):
        raise UpstreamGarbageError("The answer's content is no list.")
    for block in content:
        if not isinstance(block, dict):
            raise UpstreamGarbageError("The answer has a block that is none.")
    return content


def _tokens(said: dict[str, object], counter: str) -> int:
    tally = Tally(counter)
    for index, block in enumerate(blocks_of(said)):
        for thread, text in texts_of(index, block):
            tally.add(thread, text)
    return tally.tokens
