"""What the front asks of a dialect. A dialect is a module that has these names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.core.decision import Decision
    from proxy.core.errors import WeirError
    from proxy.core.facts import RequestFacts, Usage
    from proxy.core.shape import Change, Shape
    from proxy.dialects.ratelimit_headers import LimitView
    from proxy.dialects.tokens import RulesOf, TokenRules


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that Weir gives itself, in the provider's own shape.

    headers: names in lower case, `content-type` included; request and decision ids are the
             front's to add
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """The request line, as far as a dialect reads it.

    path:   without its query
    object: the id of a stored object in the path, '' where there is none
    action: what is behind that id ('cancel', 'input_items'), ''
    query:  the query's parameters that the route lets through, decoded, in order
    """

    method: str = "POST"
    path: str = ""
    object: str = ""
    action: str = ""
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What goes upstream.

    body:    the client's bytes, but for what metering injects and the shape changes
    changes: what the shape changed, for the client and the record
    """

    body: bytes
    changes: tuple[Change, ...] = ()


class AnswerReader(Protocol):
    """A sans-I/O transformer of one answer's body. Made for one answer, used once.

    Bytes go in as they come and come out as the client shall see them, whole events at a time.
    `feed` and `end` raise UpstreamGarbageError and nothing else; after that, `broken` still works
    and first gives what was good before the garbage.
    """

    @property
    def usage(self) -> Usage:
        """Tokens so far; `relayed` counts what came out of this reader."""
        ...

    @property
    def complete(self) -> bool:
        """The answer came to its native end."""
        ...

    @property
    def errored(self) -> bool:
        """The provider reported an error: in mid-stream, in the body, or by its status."""
        ...

    @property
    def cut(self) -> bool:
        """The shape ended the answer: what the client got is whole, the rest is not wanted."""
        ...

    @property
    def pending(self) -> bool:
        """The answer only says that the work goes on; its cost is not known yet."""
        ...

    @property
    def objects(self) -> tuple[str, ...]:
        """The ids of stored objects in what `feed` and `end` have returned so far."""
        ...

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why each choice ended, by its index; choices that did not end are left out."""
        ...

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes of the upstream and return those for the client, perhaps none."""
        ...

    def end(self) -> bytes:
        """Say that the upstream closed normally; return the last bytes for the client.

        A stream cut before its end is given the native ending of a broken one.
        """
        ...

    def broken(self, message: str, code: str) -> bytes:
        """Say that the upstream failed; return the native ending, b'' where there is none.

        The client's SDK takes a plain end of file for success: only this tells it otherwise.
        Formats without such an ending must be cut by closing the connection.
        """
        ...


class Dialect(Protocol):
    """One wire format at one route, or at a few that belong together."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a module's constant
        """The dialect's name, as in `RequestFacts.dialect`: 'openai.chat'."""
        ...

    def read(self, body: bytes, rules_of: RulesOf, call: Call) -> tuple[RequestFacts, ...]:
        """Return what is asked for, never empty; raises RequestError and nothing else."""
        ...

    def forward(self, body: bytes, facts: RequestFacts, shape: Shape) -> Forwarded:
        """Return the body for the upstream: the client's bytes, but for what must change.

        `body` is one that `read` accepted, `facts` what it returned. Never raises.
        """
        ...

    def answer(
        self, facts: RequestFacts, rules: TokenRules, content_type: str, status: int, shape: Shape
    ) -> AnswerReader:
        """Return a reader for an answer with this head, which applies the shape.

        Raises UpstreamGarbageError where the content type is none that the dialect can meter.
        """
        ...

    def refuse(
        self,
        decision: Decision,
        facts: RequestFacts,
        org: str,
        decision_id: str,
        views: Sequence[LimitView] = (),
    ) -> Refusal:
        """Return the native refusal; `views` lend its sentence the limits' periods."""
        ...

    def error(self, err: WeirError, method: str, path: str, allow: Sequence[str] = ()) -> Refusal:
        """Return the native error; `allow` lists the methods of a path met with another one."""
        ...

    def headers(self, views: Sequence[LimitView], now: int) -> tuple[tuple[str, str], ...]:
        """Return the rate-limit headers of an answer; `now`: microseconds since the epoch."""
        ...
