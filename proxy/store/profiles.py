"""Where profiles are kept, and which accounts are due: beside the counters, or in memory.

A profile is merged here and not in the server: what is read is put back only where nobody else has
meanwhile (compare and set), else it is read and merged again. What is stored is sealed, and carries
the numbers of the last batches (`sealed.py`), so that a batch whose reply was lost counts once when
it is sent again. (More than `MOST_WRITERS` others would have to write the account in between.)
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from proxy.core.errors import StoreUnavailableError
from proxy.limits.keys import due_keys, profile_key
from proxy.store import scripts
from proxy.store.sealed import STAMP, Seal, Writers, noted
from proxy.watch.profile import HALF_LIVES, Profile, profile_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from proxy.ports import Batch
    from proxy.store.client import Client

KEEP = 45 * 86_400_000_000  # microseconds
ROUNDS = 8  # tries to put what somebody else keeps changing
AT_ONCE = 32  # profiles that are read, merged and put back together
SOON = 5_000_000  # microseconds after which a writer that has not ended is taken to be dead
SHARDS = 16  # of the sets of a cluster
WRONG_TYPE = "WRONGTYPE"


class RedisProfiles:
    """Profiles in Redis, Valkey or a cluster; fills `ports.Profiles`.

    keep: microseconds that a profile is kept after its last change
    """

    def __init__(self, client: Client, env: str, pepper: bytes, keep: int = KEEP) -> None:
        self._client = client
        self._env = env
        self._seal = Seal(pepper)
        self._keep = keep // 1000
        self._claims: dict[str, bytes] = {}
        self._turn = 0
        self._known = False
        self.unreadable = 0

    async def add(self, batch: Batch) -> list[str]:
        """Add deltas; return the accounts whose delta may not be stored."""
        wanted = list(batch.deltas)
        left: list[str] = []
        for start in range(0, len(wanted), AT_ONCE):
            left += await self._added(batch, wanted[start : start + AT_ONCE])
        return left

    async def due(self, most: int, lease: int) -> list[str]:
        """Claim accounts that have changed."""
        found: list[str] = []
        shards = self._shards()
        self._turn += 1  # no shard is always the first
        for number in range(shards):
            wanted = most - len(found)
            if wanted <= 0:
                break
            keys = due_keys(self._env, (self._turn + number) % shards)
            given = cast("list[bytes]", await self._run(keys, "claim", wanted, lease))
            found += self._claimed(given, lease)
        return found

    async def done(self, accounts: Sequence[str]) -> None:
        """Give claimed accounts back."""
        for keys, names in self._by_shard(accounts):
            words = [
                word
                for name in names
                if (until := self._claims.pop(name, None)) is not None
                for word in (_encoded(name), until)
            ]
            if words:
                await self._run(keys, "done", *words)

    async def find(self, accounts: Sequence[str]) -> list[Profile | None]:
        """Return profiles as they are now."""
        found = []
        for account, stored in (await self._read(accounts)).items():
            found.append((account, self._opened(account, stored)[1]))
            await asyncio.sleep(0)  # requests come first
        profiles = dict(found)
        return [profiles[account] for account in accounts]

    async def forget(self, account: str) -> bool:
        """Drop an account's profile."""
        async with self._client.turn() as client:
            gone = await client.delete(profile_key(self._env, account))
        return bool(gone)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _added(self, batch: Batch, accounts: list[str]) -> list[str]:
        """Add the deltas of a few accounts; return those whose delta may not be stored."""
        left = accounts
        try:
            for keys, names in self._by_shard(accounts):
                await self._run(keys, "soon", SOON, batch.writer, *map(_encoded, names))
            for _ in range(ROUNDS):
                if left:
                    left = await self._put(batch, left)
            missed = set(left)
            stored = [account for account in accounts if account not in missed]
            for keys, names in self._by_shard(stored):
                await self._run(keys, "mark", batch.writer, *map(_encoded, names))
        except StoreUnavailableError:
            return left
        return left

    async def _put(self, batch: Batch, accounts: Sequence[str]) -> list[str]:
        """Merge and put what was read; return the accounts that somebody else has changed."""
        changed: dict[str, tuple[bytes, bytes]] = {}
        for account, stored in (await self._read(accounts)).items():
            delta = batch.deltas[account]
            writers, profile = self._opened(account, stored, delta.half_lives)
            if writers.get(batch.writer, -1) >= batch.number:
                continue  # it was stored, and its reply was lost
            if profile is None:
                profile = Profile(0, delta.half_lives)
            profile.add(delta)
            writers = noted(writers, batch.writer, batch.number)
            key = profile_key(self._env, account)
            changed[account] = ((stored or b"")[:STAMP], self._seal.sealed(key, writers, profile))
            await asyncio.sleep(0)  # requests come first
        word = ("EVALSHA", scripts.PROFILE.sha) if self._known else ("EVAL", scripts.PROFILE.text)
        answers = await self._each(
            (*word, 1, profile_key(self._env, account), *pair, self._keep)
            for account, pair in changed.items()
        )
        self._known = not any(isinstance(answer, NoScriptError) for answer in answers)
        return [each for each, put in zip(changed, answers, strict=True) if put != b"1"]

    def _opened(
        self, account: str, stored: bytes | None, half_lives: Mapping[str, int] = HALF_LIVES
    ) -> tuple[Writers, Profile | None]:
        if stored is None:
            return {}, None
        try:
            return self._seal.opened(profile_key(self._env, account), stored, half_lives)
        except ValueError:
            self.unreadable += 1
            return {}, None

    async def _read(self, accounts: Iterable[str]) -> dict[str, bytes | None]:
        """Return what is stored of each account; b'' where that is no string."""
        names = list(dict.fromkeys(accounts))
        kept = await self._each(("GET", profile_key(self._env, each)) for each in names)
        return {
            account: b"" if isinstance(found, ResponseError) else cast("bytes | None", found)
            for account, found in zip(names, kept, strict=True)
        }

    def _claimed(self, given: Sequence[bytes], lease: int) -> list[str]:
        """Note what was claimed; forget claims whose lease has run out."""
        if not given:
            return []
        now = int(given[1]) - lease
        self._claims = {name: end for name, end in self._claims.items() if int(end) > now}
        names = [account.decode("utf-8", "surrogatepass") for account in given[::2]]
        self._claims.update(zip(names, given[1::2], strict=True))
        return names

    def _shards(self) -> int:
        return 1 if isinstance(self._client.raw, Redis) else SHARDS

    def _by_shard(self, accounts: Iterable[str]) -> list[tuple[tuple[str, ...], list[str]]]:
        """Return the keys of each shard and the accounts that belong to it."""
        found: dict[int, list[str]] = {}
        for account in accounts:
            found.setdefault(zlib.crc32(_encoded(account)) % self._shards(), []).append(account)
        return [(due_keys(self._env, shard), names) for shard, names in found.items()]

    async def _run(self, keys: Sequence[str], *args: str | bytes | int) -> object:
        """Return what the due script answers."""
        words = (len(keys), *keys, *args)
        async with self._client.turn() as client:
            try:
                return await client.execute_command("EVALSHA", scripts.DUE.sha, *words)
            except NoScriptError:
                return await client.execute_command("EVAL", scripts.DUE.text, *words)

    async def _each(self, commands: Iterable[tuple[str | bytes | int, ...]]) -> list[object]:
        """Return the answers to commands of one key each, which go out together.

        An unknown script and a key of another type are answers too.
        """
        wanted = list(commands)
        if not wanted:
            return []
        async with self._client.turn() as client:
            if isinstance(client, Redis):
                pipe = client.pipeline(transaction=False)
                for command in wanted:
                    pipe.execute_command(*command)
                answers = cast("list[object]", await pipe.execute(raise_on_error=False))
            else:
                calls = (client.execute_command(*command) for command in wanted)
                answers = await asyncio.gather(*calls, return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException) and not _telling(answer):
                    raise answer
            return answers


class MemoryProfiles:
    """Profiles of this process; fills `ports.Profiles`.

    clock: microseconds since the epoch
    """

    def __init__(self, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._kept: dict[str, tuple[Writers, Profile]] = {}
        self._due: OrderedDict[str, None] = OrderedDict()
        self._claimed: dict[str, int] = {}
        self._mine: dict[str, int] = {}
        self._clock = clock
        self.unreadable = 0

    async def add(self, batch: Batch) -> list[str]:
        """Add deltas; all are stored."""
        for account, delta in batch.deltas.items():
            writers, profile = self._kept.get(account, ({}, Profile(0, delta.half_lives)))
            self._due[account] = None
            if writers.get(batch.writer, -1) >= batch.number:
                continue
            profile.half_lives = delta.half_lives
            profile.add(delta)
            self._kept[account] = (noted(writers, batch.writer, batch.number), profile)
        return []

    async def due(self, most: int, lease: int) -> list[str]:
        """Claim accounts that have changed."""
        now = self._clock()
        for account, until in list(self._claimed.items()):
            if until <= now:
                del self._claimed[account]
                self._due[account] = None
        found = [account for account in self._due if account not in self._claimed][:most]
        for account in found:
            del self._due[account]
            self._claimed[account] = self._mine[account] = now + lease
        return found

    async def done(self, accounts: Sequence[str]) -> None:
        """Give claimed accounts back."""
        for account in accounts:
            if self._claimed.get(account, 0) == self._mine.pop(account, None):
                del self._claimed[account]

    async def find(self, accounts: Sequence[str]) -> list[Profile | None]:
        """Return copies of profiles as they are now."""
        return [
            profile_of(self._kept[account][1].to_bytes(), self._kept[account][1].half_lives)
            if account in self._kept
            else None
            for account in accounts
        ]

    async def forget(self, account: str) -> bool:
        """Drop an account's profile."""
        return self._kept.pop(account, None) is not None

    async def close(self) -> None:
        """Let go of nothing."""


def _telling(error: BaseException) -> bool:
    """Return whether an error tells of a key or of a script, and not of the server."""
    wrong = isinstance(error, ResponseError) and str(error).startswith(WRONG_TYPE)
    return wrong or isinstance(error, NoScriptError)


def _encoded(account: str) -> bytes:
    return account.encode("utf-8", "surrogatepass")
