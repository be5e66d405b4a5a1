"""Where profiles are kept, and which accounts are due: beside the counters, or in memory.

A profile is merged here and not in the server: what is read is put back only where nobody else has
meanwhile (compare and set), else it is read and merged again. What is stored is sealed (AES-GCM,
under a key that is made of the pepper), so that a dump of the server tells nothing of what was
asked; and it carries the numbers of the last batches, so that a batch whose reply was lost counts
once when it is sent again.
"""

from __future__ import annotations

import hmac
import os
import struct
import time
import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.asyncio import Redis

from proxy.core.errors import StoreUnavailableError
from proxy.limits.keys import due_keys, profile_key
from proxy.store import scripts
from proxy.watch.profile import Profile, profile_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from proxy.ports import Batch
    from proxy.store.client import Client

KEEP = 45 * 86_400_000_000  # microseconds
VERSION = b"\x01"
NONCE = 12
STAMP = len(VERSION) + NONCE
WRITER = struct.Struct("<8sQ")
MOST_WRITERS = 4
PADDED = 128  # bytes of which a sealed profile's length is a multiple, but for what seals it
ROUNDS = 8  # tries to put what somebody else keeps changing
SOON = 5_000_000  # microseconds after which an account is due whose writer has died halfway
SHARDS = 16  # of the sets of a cluster

Writers = dict[bytes, int]


class Seal:
    """Seals profiles; only who has the pepper can read or make one."""

    def __init__(self, pepper: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(pepper, b"weir profiles", "sha256"))

    def sealed(self, key: str, writers: Writers, profile: Profile) -> bytes:
        """Return what is stored under a key."""
        head = bytes([len(writers)]) + b"".join(
            WRITER.pack(name, number) for name, number in writers.items()
        )
        plain = head + profile.to_bytes()
        framed = len(plain).to_bytes(2, "little") + plain
        framed += bytes(-len(framed) % PADDED)
        nonce = os.urandom(NONCE)
        return VERSION + nonce + self._cipher.encrypt(nonce, framed, key.encode())

    def opened(
        self, key: str, stored: bytes, half_lives: Mapping[str, int] | None = None
    ) -> tuple[Writers, Profile]:
        """Return what was sealed; ValueError for anything else."""
        if stored[:1] != VERSION:
            raise ValueError("no profile")
        try:
            framed = self._cipher.decrypt(stored[1:STAMP], stored[STAMP:], key.encode())
        except (InvalidTag, ValueError):
            raise ValueError("no profile") from None
        plain = framed[2 : 2 + int.from_bytes(framed[:2], "little")]
        head = 1 + WRITER.size * plain[0]
        writers = dict(WRITER.iter_unpack(plain[1:head]))
        if half_lives is None:
            return writers, profile_of(plain[head:])
        return writers, profile_of(plain[head:], half_lives)


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
        self.unreadable = 0

    async def add(self, batch: Batch) -> list[str]:
        """Add deltas; return the accounts whose delta may not be stored."""
        left = list(batch.deltas)
        try:
            await self._mark(left, SOON)
            for _ in range(ROUNDS):
                if not left:
                    break
                left = await self._put(batch, left)
            stored = set(batch.deltas) - set(left)
            await self._mark([account for account in batch.deltas if account in stored], 0)
        except StoreUnavailableError:
            return left
        return left

    async def due(self, most: int, lease: int) -> list[str]:
        """Claim accounts that have changed."""
        found: list[str] = []
        for shard in range(self._shards()):
            if len(found) >= most:
                break
            wanted = most - len(found)
            given = await self._run(scripts.DUE, due_keys(self._env, shard), "claim", wanted, lease)
            pairs = cast("list[bytes]", given)
            for account, until in zip(pairs[::2], pairs[1::2], strict=True):
                name = account.decode("utf-8", "surrogatepass")
                self._claims[name] = until
                found.append(name)
        return found

    async def done(self, accounts: Sequence[str]) -> None:
        """Give claimed accounts back."""
        for shard, names in self._by_shard(accounts).items():
            words = [
                word
                for name in names
                if (until := self._claims.pop(name, None)) is not None
                for word in (_encoded(name), until)
            ]
            if words:
                await self._run(scripts.DUE, due_keys(self._env, shard), "done", *words)

    async def find(self, accounts: Sequence[str]) -> list[Profile | None]:
        """Return profiles as they are now."""
        kept = await self._read(accounts)
        return [self._opened(account, kept[account])[1] for account in accounts]

    async def forget(self, account: str) -> bool:
        """Drop an account's profile."""
        async with self._client.turn() as client:
            gone = await client.delete(profile_key(self._env, account))
        return bool(gone)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _put(self, batch: Batch, accounts: Sequence[str]) -> list[str]:
        """Merge and put what was read; return the accounts that somebody else has changed."""
        kept = await self._read(accounts)
        words: dict[str, tuple[bytes, bytes]] = {}
        for account in accounts:
            delta = batch.deltas[account]
            stored = kept[account]
            writers, profile = self._opened(account, stored, delta.half_lives)
            if writers.get(batch.writer, -1) >= batch.number:
                continue  # it was stored, and its reply was lost
            if profile is None:
                profile = Profile(0, delta.half_lives)
            profile.add(delta)
            writers = _noted(writers, batch)
            key = profile_key(self._env, account)
            words[account] = (stored[:STAMP], self._seal.sealed(key, writers, profile))
        answers = await self._each(
            ("EVAL", scripts.PROFILE.text, 1, profile_key(self._env, account), *pair, self._keep)
            for account, pair in words.items()
        )
        return [account for account, put in zip(words, answers, strict=True) if not put]

    def _opened(
        self, account: str, stored: bytes, half_lives: Mapping[str, int] | None = None
    ) -> tuple[Writers, Profile | None]:
        if not stored:
            return {}, None
        try:
            return self._seal.opened(profile_key(self._env, account), stored, half_lives)
        except ValueError:
            self.unreadable += 1
            return {}, None

    async def _read(self, accounts: Sequence[str]) -> dict[str, bytes]:
        kept = await self._each(("GET", profile_key(self._env, each)) for each in accounts)
        return {
            account: cast("bytes", found) or b""
            for account, found in zip(accounts, kept, strict=True)
        }

    async def _mark(self, accounts: Sequence[str], soon: int) -> None:
        for shard, names in self._by_shard(accounts).items():
            words = [_encoded(name) for name in names]
            await self._run(scripts.DUE, due_keys(self._env, shard), "mark", soon, *words)

    def _shards(self) -> int:
        return 1 if isinstance(self._client.raw, Redis) else SHARDS

    def _by_shard(self, accounts: Iterable[str]) -> dict[int, list[str]]:
        shards = self._shards()
        found: dict[int, list[str]] = {}
        for account in accounts:
            found.setdefault(zlib.crc32(_encoded(account)) % shards, []).append(account)
        return found

    async def _run(
        self, script: scripts.Script, keys: Sequence[str], *args: str | bytes | int
    ) -> object:
        async with self._client.turn() as client:
            return await client.execute_command("EVAL", script.text, len(keys), *keys, *args)

    async def _each(self, commands: Iterable[tuple[str | bytes | int, ...]]) -> list[object]:
        """Return the answers to commands of one key each: in one go where there is one server."""
        wanted = list(commands)
        if not wanted:
            return []
        async with self._client.turn() as client:
            if not isinstance(client, Redis):
                return [await client.execute_command(*command) for command in wanted]
            pipe = client.pipeline(transaction=False)
            for command in wanted:
                pipe.execute_command(*command)
            return cast("list[object]", await pipe.execute())


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
            self._kept[account] = (_noted(writers, batch), profile)
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


def _noted(writers: Writers, batch: Batch) -> Writers:
    """Return the last writers with their newest numbers, the newest last."""
    others = [(name, number) for name, number in writers.items() if name != batch.writer]
    return dict([*others[-(MOST_WRITERS - 1) :], (batch.writer, batch.number)])


def _encoded(account: str) -> bytes:
    return account.encode("utf-8", "surrogatepass")
