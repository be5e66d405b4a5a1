"""The reader of a JSON answer under a shape: kept whole, then given as the shape leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.facts import Usage
from proxy.dialects.arriving import KeptBody
from proxy.dialects.openai_fields import dumped
from proxy.dialects.openai_trim import Trim
from proxy.dialects.openai_usage import (
    NO_USAGE,
    counted_usage,
    indexed,
    merge_usage,
    most_choices,
    parse_answer,
)

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.core.shape import Shape
    from proxy.dialects.openai_trim import Form
    from proxy.dialects.openai_usage import Reported


class ShapedJsonReader:
    """A JSON body, given at its end: with its own bytes where nothing changes."""

    pending = False
    objects: tuple[str, ...] = ()

    __slots__ = (
        "_complete", "_errored", "_facts", "_finished", "_form", "_kept", "_most", "_reported",
        "_trim",
    )  # fmt: skip

    def __init__(self, form: Form, facts: RequestFacts, shape: Shape, counter: str) -> None:
        self._form = form
        self._facts = facts
        self._trim = Trim(form, shape, counter, streamed=False)
        self._most = most_choices(facts, shape)
        self._kept = KeptBody()
        self._reported: Reported = NO_USAGE
        self._finished: dict[int, str] = {}
        self._complete = self._errored = False

    @property
    def usage(self) -> Usage:
        """Tokens; nothing before the end, since nothing was given."""
        relayed = self._trim.ration.tokens if self._complete else 0
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
    def cut(self) -> bool:
        """The shape ended the answer."""
        return self._complete and self._trim.ration.spent

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why each choice ended, by its index."""
        return tuple(self._finished[index] for index in sorted(self._finished))

    def feed(self, chunk: bytes) -> bytes:
        """Keep the chunk; raises UpstreamGarbageError where the whole is too large."""
        if self._complete:
            return b""
        self._kept.add(chunk)
        return b""

    def end(self) -> bytes:
        """Return the whole; raises UpstreamGarbageError where it is no JSON object."""
        if self._complete:
            return b""
        whole = self._kept.so_far()
        body = parse_answer(whole)
        self._errored = bool(body.get("error"))
        self._reported = merge_usage(NO_USAGE, body.get("usage"))
        changed = self._shape(body)
        self._complete = True
        self._kept.forget()
        return dumped(body) if changed else whole

    def broken(self, message: str, code: str) -> bytes:  # noqa: ARG002 - JSON has no such ending
        """Return nothing: half a JSON body can only be cut."""
        return b""

    def _shape(self, body: dict[str, object]) -> bool:
        changed = self._trim.answer(body)
        kept = []
        found = list(indexed(body.get("choices")))
        for index, choice in found:
            if self._most is not None and index >= self._most:
                continue
            changed = self._trim.choice(index, choice, self._form.message) or changed
            if index in self._trim.lost:
                choice["finish_reason"] = "length"
            reason = choice.get("finish_reason")
            if isinstance(reason, str):
                self._finished[index] = reason
            kept.append(choice)
        if len(kept) < len(found):
            body["choices"] = kept
            changed = True
        if self._trim.ration.spent and "usage" in body:
            prompt = self._reported[0]
            prompt = self._facts.prompt_tokens if prompt is None else prompt
            body["usage"] = counted_usage(prompt, self._trim.ration.tokens)
        return changed
