"""Calls by an ordinary client of redis-py, for what is not counted."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from redis.exceptions import RedisClusterException, RedisError

from proxy.core.errors import StoreUnavailableError
from proxy.store.wire import sentence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis, RedisCluster

    from proxy.store.scripts import Script

MOST_AT_ONCE = 8  # each takes a connection of its own
FAILURES = (RedisError, RedisClusterException, OSError, TimeoutError)


class Client:
    """A client of a server or a cluster, whose calls end by their deadline.

    client:   redis-py's, without retries and without a socket timeout; ours to close
    deadline: seconds that a call may take, the wait for its turn with it
    """

    def __init__(self, client: Redis | RedisCluster, deadline: float) -> None:
        self._client = client
        self._deadline = deadline
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Redis | RedisCluster]:
        """Lend the client for one call. What goes wrong is a StoreUnavailableError of ours."""
        try:
            async with asyncio.timeout(self._deadline), self._turns:
                yield self._client
        except FAILURES as error:
            raise StoreUnavailableError(sentence(error)) from None

    @property
    def raw(self) -> Redis | RedisCluster:
        """The client itself, for who must know what it talks to."""
        return self._client

    async def run(self, script: Script, keys: list[str], *args: str | bytes | int) -> bytes:
        """Return what a script answers, which must be a string. StoreUnavailableError."""
        async with self.turn() as client:
            answer = await client.execute_command("EVAL", script.text, len(keys), *keys, *args)
            return cast("bytes", answer)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()
