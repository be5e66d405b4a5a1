"""What the house needs from the outside, as Protocols. Adapters live in rooms of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence, Sized
    from contextlib import AbstractAsyncContextManager

    from proxy.core.principal import Principal
    from proxy.limits.charges import Charge, Charged, Settlement


class Authenticator(Protocol):
    """Turns credentials into a principal."""

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Return who sent these headers (names matched without case).

        Raises CredentialsError (or a subclass) and AuthUnavailableError, nothing else.
        """
        ...


class CounterStore(Protocol):
    """The counters. `now` is None in production (the store's own clock), else microseconds."""

    @property
    def breaker_open(self) -> bool:
        """The counters are known to be away: calls fail at once."""
        ...

    @property
    def backlog(self) -> Sized:
        """What could not be said yet."""
        ...

    async def charge(self, charges: Sequence[Charge], now: int | None = None) -> Charged:
        """Take every charge or, when a binding one does not fit, only the non-binding ones.

        One round trip. Raises StoreUnavailableError, nothing else.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement], now: int | None = None) -> int | None:
        """Correct taken charges and give leases back; return the store's moment, None if unsaid.

        Never raises for an unreachable store: what could not be said is kept (bounded) and said
        when the store is back.
        """
        ...

    async def debit(self, charges: Sequence[Charge], now: int | None = None) -> None:
        """Take non-binding charges for what was served while the store was away.

        Never raises for an unreachable store, as `settle`.
        """
        ...

    async def renew(self, leases: Sequence[Charge], now: int | None = None) -> None:
        """Push the deadlines of held lease charges to now + hold. Best effort."""
        ...

    async def ping(self) -> None:
        """Return when the counters answer; raises StoreUnavailableError."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class UpstreamAnswer(Protocol):
    """The model API's answer, its head read and its body still to come."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, names in lower case."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises UpstreamError."""
        ...


class Upstream(Protocol):
    """The model API."""

    def open(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> AbstractAsyncContextManager[UpstreamAnswer]:
        """Send a request with our credential; leaving the context closes what is unread.

        Raises UpstreamError.
        """
        ...


class Journal(Protocol):
    """The decision log."""

    @property
    def dropped(self) -> int:
        """Records lost so far."""
        ...

    def write(self, record: Mapping[str, object]) -> None:
        """Enqueue one record; never waits, never raises."""
        ...
