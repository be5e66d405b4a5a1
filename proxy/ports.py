"""What the house needs from the outside, as Protocols. Adapters live in rooms of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence, Sized
    from contextlib import AbstractAsyncContextManager

    from proxy.core.principal import Principal
    from proxy.core.standing import Standing
    from proxy.core.stored import Claim
    from proxy.limits.charges import Charge, Charged, Settlement
    from proxy.watch.observation import Observation
    from proxy.watch.profile import Profile


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

    @property
    def unreadable(self) -> int:
        """Standings met so far that could not be read, and so did not count."""
        ...

    async def charge(
        self, charges: Sequence[Charge], now: int | None = None, standing: str = ""
    ) -> Charged:
        """Take every charge or, when a binding one does not fit, only the non-binding ones.

        standing: the key of the account's standing (`limits.keys.standing_key`), told in the
                  same round trip; '' asks for none
        One round trip, also for no charges at all. Raises StoreUnavailableError, nothing else.
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


class Standings(Protocol):
    """Where standings are set, lifted and read. All raise StoreUnavailableError.

    Any worker's next `CounterStore.charge` tells what is set here.
    """

    async def set(self, account: str, standing: Standing) -> None:
        """Put an account at a level; expires by itself. Noted in its history."""
        ...

    async def lift(self, account: str, standing: Standing, now: int) -> bool:
        """Raise an account to a level, atomically; tell whether that changed anything.

        It does where the level is higher than the account's, or as high and for longer
        (`core.standing.lifted`), and where no person has pardoned it lately. Noted in its history.
        """
        ...

    async def pardon(self, account: str, now: int, by: str, reason: str) -> bool:
        """Make an account clear; False where it was clear already. Noted in its history."""
        ...

    async def find(self, account: str, now: int) -> Standing | None:
        """Return the standing in force, None for a clear account."""
        ...

    async def history(self, account: str) -> list[Standing]:
        """Return what was set, the newest first, pardons as standings of level clear."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Objects(Protocol):
    """Whose the stored objects are. All raise StoreUnavailableError."""

    async def claim(self, identities: Sequence[str], claim: Claim) -> None:
        """Note whose objects are; one that is claimed by somebody else stays theirs."""
        ...

    async def find(self, identities: Sequence[str]) -> list[Claim | None]:
        """Return each object's claim, None for one that nobody has claimed (or long ago)."""
        ...

    async def take_reservation(self, identity: str) -> bytes:
        """Return and forget an object's reservation; b'' where there is none (any more)."""
        ...

    async def forget(self, identity: str) -> None:
        """Drop an object's claim."""
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
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        query: Sequence[tuple[str, str]] = (),
    ) -> AbstractAsyncContextManager[UpstreamAnswer]:
        """Send a request with our credential; leaving the context closes what is unread.

        query: parameters, decoded

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


class Recorder(Protocol):
    """Full traffic, for who has switched that on."""

    @property
    def dropped(self) -> int:
        """Lines lost so far."""
        ...

    def record(self, line: bytes) -> None:
        """Enqueue one line of traffic with its newline; never waits, never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Deltas that go to the store together.

    writer: 8 random bytes, one name for all batches of a process
    number: rises with each batch of a writer; a batch that is sent again keeps its own. Of one
            account, a writer sends no later batch before an earlier one is known to be stored
    deltas: by account
    """

    writer: bytes
    number: int
    deltas: Mapping[str, Profile]


class Profiles(Protocol):
    """What accounts collect, and which of them are due to be assessed.

    All but `add` raise StoreUnavailableError, and nothing else.
    """

    @property
    def unreadable(self) -> int:
        """Profiles met so far that could not be read, and so were begun anew."""
        ...

    async def add(self, batch: Batch) -> list[str]:
        """Add deltas to profiles; return the accounts whose delta may not be stored.

        Never raises for an unreachable store. What is sent again under its number is counted once.
        An account is due from then on, and also where its writer dies halfway.
        """
        ...

    async def due(self, most: int, lease: int) -> list[str]:
        """Claim accounts that have changed, at most so many, for `lease` microseconds.

        Nobody else is given them meanwhile. What a claimer does not say to be done comes back.
        """
        ...

    async def done(self, accounts: Sequence[str]) -> None:
        """Give claimed accounts back; one that has changed since it was claimed stays due."""
        ...

    async def find(self, accounts: Sequence[str]) -> list[Profile | None]:
        """Return profiles as they are now; None for an account without one."""
        ...

    async def forget(self, account: str) -> bool:
        """Drop an account's profile; False where there was none."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Observer(Protocol):
    """Notes what accounts collect."""

    @property
    def dropped(self) -> int:
        """Exchanges that could not be noted so far."""
        ...

    def observe(self, seen: Observation) -> None:
        """Note one exchange in its account's profile; never waits, never raises."""
        ...
