"""The same keys in the store, so that gateways on other machines see them. Hashes only.

All machines need the same pepper. The file of each stays the source; the mirror adds what others
know. While the store is down, everybody goes on with what they know.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import orjson
import redis.exceptions

from proxy.auth.keyfile import entry, record_of
from proxy.auth.keys import KeyRecord, merged
from proxy.core.errors import SettingsError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster

    from proxy.auth.keyindex import KeyIndex
    from proxy.core.errors import WeirError

VERSION = "version"
POLL = 1.0
DEADLINE = 2.0
TRIES = 20
FAILURES = (redis.exceptions.RedisError, OSError, TimeoutError)

REPLACE = """\
-- Write entries if nobody else has since the caller read them.
-- KEYS[1]: the hash of keys; its field 'version' counts writes, all others are ids of keys
-- ARGV[1]: the version that was read, '0' for none; ARGV[2..]: id, entry, id, entry, …
-- Returns 1 when written, 0 when the version has moved on. The hash does not expire.
-- Mirrors nothing in Python: entries are merged there and are only texts here.
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HINCRBY', KEYS[1], 'version', 1)
return 1
"""


class KeyMirror:
    """The hash `weir1:<environment>:keys`. Lets out StoreUnavailableError and nothing else."""

    def __init__(self, client: Redis | RedisCluster, environment: str) -> None:
        self._client = client
        self._name = f"weir1:{environment}:keys"

    async def version(self) -> int:
        """Return how often the mirror was written; 0 for never, or when it was lost."""
        return int(await self._ask(self._client.hget(self._name, VERSION)) or 0)

    async def pull(self) -> tuple[int, tuple[KeyRecord, ...]]:
        """Return the version and all records; an entry that cannot be read is left out."""
        fields = await self._ask(self._client.hgetall(self._name))
        # Many keys take a while to read, and requests should not wait for that.
        return await asyncio.to_thread(_read, fields)

    async def push(self, records: Iterable[KeyRecord]) -> int:
        """Merge records into the mirror and return how many entries changed by that.

        A revocation always wins, else the newer record. Of equally old ones it is the mirror's, so
        that two machines with differing files do not take turns for ever.
        """
        ours = tuple(records)
        for _ in range(TRIES):
            version, theirs = await self.pull()
            known = {record.id: record for record in theirs}
            news = [
                new
                for record in ours
                if (new := merged(known.get(record.id, record), record)) != known.get(record.id)
            ]
            if not news:
                return 0
            arguments: list[str | bytes] = [str(version)]
            for record in news:
                arguments += [record.id, orjson.dumps(entry(record))]
            if await self._ask(self._client.eval(REPLACE, 1, self._name, *arguments)):
                return len(news)
        raise StoreUnavailableError("the keys in the store were changed by others all the time")

    async def _ask(self, call: object) -> Any:
        try:
            async with asyncio.timeout(DEADLINE):
                return await cast("Awaitable[Any]", call)
        except FAILURES as error:
            reason = type(error).__name__
        raise StoreUnavailableError(f"the keys in the store cannot be had ({reason})")


async def follow(
    mirror: KeyMirror,
    index: KeyIndex,
    on_error: Callable[[WeirError], None],
    every: float = POLL,
) -> None:
    """Push and pull whenever the file or the mirror changes, looking every second; never ends.

    An outage is reported once and changes nothing in the index. A store that comes back without
    its data is told again what we know.
    """
    generation = version = -1
    down = False
    while True:
        try:
            if generation != index.generation or version != await mirror.version():
                read = index.generation
                await mirror.push(index.records())
                version, records = await mirror.pull()
                index.mirror(records)
                generation = read
            down = False
        except StoreUnavailableError as error:
            if not down:
                on_error(error)
            down = True
        await asyncio.sleep(every)


def _read(fields: dict[bytes | str, bytes | str]) -> tuple[int, tuple[KeyRecord, ...]]:
    texts = {_text(name): value for name, value in fields.items()}
    version = int(texts.pop(VERSION, 0))
    found = (_record(id_, value) for id_, value in texts.items())
    return version, tuple(record for record in found if record is not None)


def _record(id_: str, value: bytes | str) -> KeyRecord | None:
    try:
        return record_of(id_, orjson.loads(value))
    except (ValueError, AttributeError, TypeError, SettingsError):
        return None


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
