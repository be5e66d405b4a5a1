"""What a dialect makes of a request, ready to be sent; sending knows nothing of dialects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from proxy.standin.directives import NONE, Directives

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.core.errors import RequestError
    from proxy.standin.answer import Choice
    from proxy.standin.asked import Asked
    from proxy.standin.documents import Json
    from proxy.standin.fields import RefusedError
    from proxy.standin.responses_stored import Store

GARBAGE = b"\x00\x1b<html>502"

Events = Iterator[tuple[int, bytes]]


class FaultKind(StrEnum):
    """What may go wrong in the middle of an answer."""

    ERROR = "error"
    RESET = "reset"
    STALL = "stall"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong once `after` tokens have been sent, fewer than the answer has."""

    kind: FaultKind
    after: int


class Voice(Protocol):
    """How a provider words its errors and heads its answers."""

    def head(self, identity: str, spent: int) -> dict[str, str]:
        """Return the headers of an answer that took `spent` milliseconds."""
        ...

    def error_body(self, error: Json, identity: str) -> bytes:
        """Return the body that carries an error."""
        ...

    def error_of(self, status: int, model: str) -> Json:
        """Return the error that goes with a status: of a full house for 429, and for 200."""
        ...

    def mistake(self, error: RequestError) -> Json:
        """Return the error that tells a client its mistake."""
        ...

    def refusal(self, error: RefusedError) -> Json:
        """Return the error of another refusal."""
        ...

    def unknown_url(self, method: str, path: str) -> Json:
        """Return the error for a path that is none of ours."""
        ...

    def wrong_method(self, method: str, path: str) -> Json:
        """Return the error for a path that wants another method."""
        ...

    def no_key(self) -> Json:
        """Return the error for a request without a credential."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a dialect sees it.

    identity: of the request, as the answer's headers tell it
    header:   the directives that stood in headers
    object:   the id in the path, '' where there is none
    query:    the parameters of the path
    now:      seconds on the loop's clock
    """

    identity: str
    body: bytes
    header: str
    object: str
    query: Mapping[str, str]
    store: Store
    now: float


@dataclass(frozen=True, slots=True)
class Plain:
    """An answer that is one JSON document and takes no time.

    tokens:  that were made for it, or will be in the background
    written: tokens that stand in it
    """

    body: Json
    model: str = ""
    prompt_tokens: int = 0
    tokens: int = 0
    reasoning: int = 0
    written: int = 0
    directives: Directives = NONE


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is made token by token.

    visible:  tokens that are sent where nothing goes wrong
    tokens:   tokens that are billed
    fault:    does happen, where there is one
    whole:    the answer as one JSON document
    failed:   the document in its place where the fault is an error
    events:   the stream, each event with the number of tokens that it carries; a fault ends it
              early: what it does to the connection is left to whoever sends
    refused:  the stream for a request that is refused under status 200
    pace:     microseconds between two tokens
    replayed: it was made before, for another request
    began:    seconds on the loop's clock when its making began; None: it begins now
    skip:     events that are made and not sent
    halted:   the last event of an answer that another request cancelled, given the number of
              events before it; b'': it goes on
    """

    asked: Asked
    visible: int
    tokens: int
    reasoning: int
    fault: Fault | None
    whole: Callable[[], bytes]
    failed: Callable[[], bytes]
    events: Callable[[], Events]
    refused: Callable[[Json, str], bytes]
    pace: int
    replayed: bool = False
    began: float | None = None
    skip: int = 0
    halted: Callable[[int], bytes] = lambda _: b""


def fault_of(directives: Directives, visible: int) -> Fault | None:
    """Return the first fault that an answer with so many tokens to send comes to."""
    faults = [
        Fault(kind, after)
        for kind, after in (
            (FaultKind.ERROR, directives.error_at),
            (FaultKind.RESET, directives.reset),
            (FaultKind.STALL, directives.stall),
            (FaultKind.GARBAGE, directives.garbage),
        )
        if after is not None and after < visible
    ]
    return min(faults, key=lambda fault: fault.after, default=None)


def faulty(events: Events, fault: Fault | None, error: Callable[[int], Sequence[bytes]]) -> Events:
    """Yield the events up to the fault, and what it puts into the stream.

    error: what reports an error, given the number of events before it
    """
    if fault is None:
        yield from events
        return
    sent = 0
    for index, (tokens, event) in enumerate(events):
        if tokens and sent >= fault.after:
            if fault.kind is FaultKind.ERROR:
                yield from ((0, told) for told in error(index))
            elif fault.kind is FaultKind.GARBAGE:
                yield 0, event[: len(event) // 2] + GARBAGE + b"\n\n"
            return
        sent += tokens
        yield tokens, event


def interleaved(streams: list[Iterator[bytes]]) -> Iterator[bytes]:
    """Yield from each in turn, until all are at their end."""
    while streams:
        going = []
        for stream in streams:
            item = next(stream, None)
            if item is not None:
                going.append(stream)
                yield item
        streams = going


def sums(choices: Sequence[Choice]) -> tuple[int, int, int]:
    """Return the tokens of all choices: to send, billed, thought."""
    return (
        sum(choice.visible for choice in choices),
        sum(choice.tokens for choice in choices),
        sum(choice.reasoning for choice in choices),
    )
