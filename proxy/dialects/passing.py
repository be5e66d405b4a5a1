"""What is passed on unread, and how an answer's head tells what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import Usage
from proxy.dialects.base import Forwarded

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader
    from proxy.dialects.tokens import TokenRules

GOOD = range(200, 300)


def is_stream(content_type: str, *, asked: bool) -> bool:
    """Return whether an answer with a good status is a stream, by what it says it is.

    asked: the client asked for a stream; decides where the provider says nothing of use
    Raises UpstreamGarbageError where it is neither events nor JSON.
    """
    media = content_type.partition(";")[0].strip().lower()
    match media:
        case "text/event-stream":
            return True
        case "" | "text/plain" | "application/octet-stream":
            return asked
        case _ if media == "application/json" or media.endswith("+json"):
            return False
        case _:
            raise UpstreamGarbageError("The answer's content type is none that is read here.")


def as_it_came(body: bytes, facts: RequestFacts, shape: Shape) -> Forwarded:  # noqa: ARG001
    """Forward a body in which there is nothing to shape."""
    return Forwarded(body)


def unread(
    facts: RequestFacts,  # noqa: ARG001
    rules: TokenRules,  # noqa: ARG001
    content_type: str,  # noqa: ARG001
    status: int,
    shape: Shape,  # noqa: ARG001
) -> AnswerReader:
    """Return a reader that only passes on."""
    return OpaqueReader(errored=status not in GOOD)


class OpaqueReader:
    """A body that is passed on unread: errors of the provider, and routes that are not metered."""

    cut = pending = False
    objects: tuple[str, ...] = ()

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
