"""Where standings are set, lifted and read: in a server beside the counters, or in memory."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from proxy.core.errors import StoreUnavailableError
from proxy.core.standing import Level, Standing, lifted, pardoned, standing_of
from proxy.limits.keys import standing_key
from proxy.store import scripts

if TYPE_CHECKING:
    from proxy.store.client import Client
    from proxy.store.memory import MemoryStore

MOST_HISTORY = 100
HISTORY_MS = 400 * 86_400_000
MOST_TRIES = 5


class RedisStandings:
    """Standings in Redis, Valkey or a cluster; fills `ports.Standings`."""

    def __init__(self, client: Client, env: str) -> None:
        self._client = client
        self._env = env

    async def set(self, account: str, standing: Standing) -> None:
        """Put an account at a level."""
        kept = standing.to_bytes()
        await self._write(account, kept, -(-standing.until // 1000), kept)

    async def lift(self, account: str, standing: Standing, now: int) -> bool:
        """Raise an account to a level where that is more than it is at; tell whether it was."""
        _, key = standing_key(self._env, account)
        keys = [key, _history(key)]
        for _ in range(MOST_TRIES):
            async with self._client.turn() as client:
                kept = await client.get(key) or b""
                newest = await client.lindex(keys[1], 0) or b""
            before, last = _read(kept), _read(newest)
            after = None if pardoned(last, standing) else lifted(before, standing, now)
            if after is None:
                return False
            again = "1" if _prolongs(after, last) else "0"
            if await self._client.run(
                scripts.LIFT, keys, after.to_bytes(), -(-after.ends // 1000),
                replace(after, under=None).to_bytes(), MOST_HISTORY, HISTORY_MS,
                kept, newest, again,
            ):  # fmt: skip
                return True
        raise StoreUnavailableError("somebody else changes the account's standing all the time")

    async def pardon(self, account: str, now: int, by: str, reason: str) -> bool:
        """Make an account clear; False where it was. The history notes it in either case."""
        entry = pardon_of(now, by, reason).to_bytes()
        before = _read(await self._write(account, b"", 0, entry))
        return before is not None and before.at(now) is not None

    async def find(self, account: str, now: int) -> Standing | None:
        """Return the standing in force; None also where it cannot be read, as for a charge."""
        _, key = standing_key(self._env, account)
        async with self._client.turn() as client:
            kept = await client.get(key)
        found = _read(kept or b"")
        return None if found is None else found.at(now)

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

    async def lift(self, account: str, standing: Standing, now: int) -> bool:
        """Raise an account to a level where that is more than it is at; tell whether it was."""
        return self.lift_now(account, standing, now)

    def lift_now(self, account: str, standing: Standing, now: int) -> bool:
        """Do what `lift` does, at once."""
        _, key = standing_key(self._env, account)
        history = self._history.get(key)
        last = history[0] if history else None
        after = None if pardoned(last, standing) else lifted(self._kept.get(key), standing, now)
        if after is None:
            return False
        self._kept[key] = after
        if history and _prolongs(after, last):
            history.popleft()
        self._note(key, replace(after, under=None))
        return True

    async def pardon(self, account: str, now: int, by: str, reason: str) -> bool:
        """Make an account clear; False where it was. The history notes it in either case."""
        _, key = standing_key(self._env, account)
        before = self._kept.pop(key, None)
        self._note(key, pardon_of(now, by, reason))
        return before is not None and before.at(now) is not None

    async def find(self, account: str, now: int) -> Standing | None:
        """Return the standing in force."""
        return self.find_now(account, now)

    def find_now(self, account: str, now: int) -> Standing | None:
        """Do what `find` does, at once."""
        found = self._kept.get(standing_key(self._env, account)[1])
        return None if found is None else found.at(now)

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


def _prolongs(after: Standing, newest: Standing | None) -> bool:
    """Return whether the newest entry tells of the same level already, only of an earlier end.

    It is told once, with its last end: what goes on for weeks would else drive out all entries.
    """
    return newest is not None and (newest.level, newest.since, newest.by) == (
        after.level, after.since, after.by,
    )  # fmt: skip


def _history(key: str) -> str:
    return f"{key}:history"


def _read(kept: bytes | str) -> Standing | None:
    try:
        return standing_of(kept)  # type: ignore[arg-type] # text is in redis-py's types only
    except ValueError:
        return None
