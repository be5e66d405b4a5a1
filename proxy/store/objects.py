"""Whose the objects are that a model API keeps for later: in a server, or in memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from proxy.limits.keys import object_key
from proxy.store import scripts
from proxy.store.claims import claim_bytes, claim_of
from proxy.store.memory import microseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.core.stored import Claim
    from proxy.store.client import Client

KEPT_SECONDS = 31 * 86_400  # a day longer than the model API keeps them
MOST_IN_MEMORY = 100_000


class RedisObjects:
    """Claims in Redis, Valkey or a cluster; fills `ports.Objects`.

    unreadable: claims that could not be read, and so are nobody's; for metrics
    """

    def __init__(self, client: Client, env: str) -> None:
        self._client = client
        self._env = env
        self.unreadable = 0

    async def claim(self, identities: Sequence[str], claim: Claim) -> None:
        """Note whose objects are, for 31 days; the first claim of each is the one that counts."""
        kept = claim_bytes(claim)
        async with self._client.turn() as client:
            pipeline = client.pipeline(transaction=False)
            for identity in identities:
                pipeline.set(object_key(self._env, identity), kept, nx=True, ex=KEPT_SECONDS)
            await pipeline.execute()

    async def find(self, identities: Sequence[str]) -> list[Claim | None]:
        """Return each object's claim, all in one round trip."""
        if not identities:
            return []
        async with self._client.turn() as client:
            pipeline = client.pipeline(transaction=False)
            for identity in identities:
                pipeline.get(object_key(self._env, identity))
            found = await pipeline.execute()
        return [None if kept is None else self._read(kept) for kept in found]

    async def take_reservation(self, identity: str) -> bytes:
        """Return and forget an object's reservation; only one of many who ask gets it."""
        return await self._client.run(scripts.TAKE, [object_key(self._env, identity)])

    async def forget(self, identity: str) -> None:
        """Drop an object's claim."""
        async with self._client.turn() as client:
            await client.delete(object_key(self._env, identity))

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    def _read(self, kept: bytes) -> Claim | None:
        try:
            return claim_of(kept)
        except ValueError:
            self.unreadable += 1
            return None


class MemoryObjects:
    """Claims of one process; fills `ports.Objects`. Those unused for longest make room.

    clock: microseconds since the epoch
    most:  claims that are kept
    """

    def __init__(self, clock: Callable[[], int] = microseconds, most: int = MOST_IN_MEMORY) -> None:
        self._clock = clock
        self._most = most
        self._kept: OrderedDict[str, tuple[Claim, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    async def claim(self, identities: Sequence[str], claim: Claim) -> None:
        """Note whose objects are, for 31 days; the first claim of each is the one that counts."""
        for identity in identities:
            if self._find(identity) is None:
                self._kept[identity] = claim, self._clock() + KEPT_SECONDS * 1_000_000
                self._kept.move_to_end(identity)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    async def find(self, identities: Sequence[str]) -> list[Claim | None]:
        """Return each object's claim."""
        return [self._find(identity) for identity in identities]

    async def take_reservation(self, identity: str) -> bytes:
        """Return and forget an object's reservation."""
        claim = self._find(identity)
        if claim is None:
            return b""
        self._kept[identity] = replace(claim, reservation=b""), self._kept[identity][1]
        return claim.reservation

    async def forget(self, identity: str) -> None:
        """Drop an object's claim."""
        self._kept.pop(identity, None)

    async def close(self) -> None:
        """Let go of nothing."""

    def _find(self, identity: str) -> Claim | None:
        claim, until = self._kept.get(identity, (None, 0))
        if claim is None or until <= self._clock():
            self._kept.pop(identity, None)
            return None
        self._kept.move_to_end(identity)
        return claim
