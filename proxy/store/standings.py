"""Where standings are set and read by hand: in a server beside the counters, or in memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from proxy.core.standing import Level, Standing, standing_of
from proxy.limits.keys import standing_key
from proxy.store import scripts

if TYPE_CHECKING:
    from proxy.store.client import Client
    from proxy.store.memory import MemoryStore

MOST_HISTORY = 100
HISTORY_MS = 400 * 86_400_000


class RedisStandings:
    """Standings in Redis, Valkey or a cluster; fills `ports.Standings`."""

    def __init__(self, client: Client, env: str) -> None:
        self._client = client
        self._env = env

    async def set(self, account: str, standing: Standing) -> None:
        """Put an account at a level."""
        kept = standing.to_bytes()
        await self._write(account, kept, -(-standing.until // 1000), kept)

    async def pardon(self, account: str, now: int, by: str, reason: str) -> bool:
        """Make an account clear; False where it was. The history notes it in either case."""
        entry = pardon_of(now, by, reason).to_bytes()
        before = _read(await self._write(account, b"", 0, entry))
        return before is not None and before.holds(now)

    async def find(self, account: str, now: int) -> Standing | None:
        """Return the standing in force; None also where it cannot be read, as for a charge."""
        _, key = standing_key(self._env, account)
        async with self._client.turn() as client:
            kept = await client.get(key)
        found = _read(kept or b"")
        return found if found is not None and found.holds(now) else None

    async def history(self, account: str) -> list[Standing]:
        """Return the last hundred entries, the newest first; kept for 400 days after it."""
        _, key = standing_key(self._env, account)
        async with self._client.turn() as client:
            kept = await client.lrange(_history(key), 0, MOST_HISTORY - 1)
        return [entry for entry in map(_read, kept) if entry is not None]

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _write(self, account: str, kept: bytes, until_ms: int, entry: bytes) -> bytes:
        _, key = standing_key(self._env, account)
        keys = [key, _history(key)]
        return await self._client.run(
            scripts.STANDING, keys, kept, until_ms, entry, MOST_HISTORY, HISTORY_MS
        )


class MemoryStandings:
    """Standings of the process whose counters are in `store`; fills `ports.Standings`."""

    def __init__(self, store: MemoryStore, env: str) -> None:
        self._kept = store.standings
        self._env = env
        self._history: dict[str, deque[Standing]] = {}

    async def set(self, account: str, standing: Standing) -> None:
        """Put an account at a level."""
        _, key = standing_key(self._env, account)
        self._kept[key] = standing
        self._note(key, standing)

    async def pardon(self, account: str, now: int, by: str, reason: str) -> bool:
        """Make an account clear; False where it was. The history notes it in either case."""
        _, key = standing_key(self._env, account)
        before = self._kept.pop(key, None)
        self._note(key, pardon_of(now, by, reason))
        return before is not None and before.holds(now)

    async def find(self, account: str, now: int) -> Standing | None:
        """Return the standing in force."""
        found = self._kept.get(standing_key(self._env, account)[1])
        return found if found is not None and found.holds(now) else None

    async def history(self, account: str) -> list[Standing]:
        """Return the last hundred entries, the newest first."""
        return list(self._history.get(standing_key(self._env, account)[1], ()))

    async def close(self) -> None:
        """Let go of nothing."""

    def _note(self, key: str, entry: Standing) -> None:
        self._history.setdefault(key, deque(maxlen=MOST_HISTORY)).appendleft(entry)


def pardon_of(now: int, by: str, reason: str) -> Standing:
    """Return a pardon as a history tells it: the level clear, from one moment on."""
    return Standing(Level.CLEAR, now, now, by, reason)


def _history(key: str) -> str:
    return f"{key}:history"


def _read(kept: bytes | str) -> Standing | None:
    try:
        return standing_of(kept)  # type: ignore[arg-type] # text is in redis-py's types only
    except ValueError:
        return None
