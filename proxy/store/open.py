"""From a URL to counters."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from proxy.core.errors import SettingsError
from proxy.store.cluster import ClusterStore
from proxy.store.memory import MemoryStore
from proxy.store.redis import RedisStore

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

    from proxy.ports import CounterStore

CONNECT_SECONDS = 1.0
KINDS = "memory, redis://, rediss://, unix://, redis+sentinel://HOST:PORT/SERVICE, redis+cluster://"


def open_store(url: str, *, deadline_us: int) -> CounterStore:
    """Return the counters that a URL names; connections are made when first needed.

    deadline_us: microseconds that a call may take. SettingsError for a URL that names none.
    """
    deadline = deadline_us / 1_000_000
    kind = url.partition("://")[0]
    match kind:
        case "memory":
            return MemoryStore()
        case "redis" | "rediss" | "unix":
            pool = ConnectionPool.from_url(url, **_options())

            async def connect() -> AbstractConnection:
                return await _connected(pool)

            return RedisStore(connect, deadline)
        case "redis+sentinel":
            return RedisStore(_sentinel(url), deadline)
        case "redis+cluster":
            plain = url.replace("redis+cluster", "redis", 1)
            client = RedisCluster.from_url(
                plain, retry=Retry(NoBackoff(), 0), socket_connect_timeout=CONNECT_SECONDS
            )
            return ClusterStore(client, deadline)
        case _:
            raise SettingsError(f"store: {kind!r} names no counters ({KINDS})")


def _options() -> dict[str, object]:
    return {
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": None,
        "health_check_interval": 0,
        "protocol": 2,
    }


async def _connected(pool: ConnectionPool) -> AbstractConnection:
    connection: AbstractConnection = pool.make_connection()
    await connection.connect()
    return connection


def _sentinel(url: str):  # noqa: ANN202 - a coroutine function, as RedisStore takes it
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2].split(",")
    service, _, db = parts.path.strip("/").partition("/")
    if not service or not all(hosts):
        raise SettingsError("store: redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB is needed")
    addresses = []
    for host in hosts:
        name, _, port = host.rpartition(":")
        if not port.isdigit():
            raise SettingsError("store: each sentinel is HOST:PORT")
        addresses.append((name, int(port)))
    sentinel = Sentinel(addresses, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=1.0)

    async def connect() -> AbstractConnection:
        host, port = await sentinel.discover_master(service)
        credentials = f":{parts.password}@" if parts.password else ""
        pool = ConnectionPool.from_url(
            f"redis://{credentials}{host}:{port}/{db or 0}", **_options()
        )
        return await _connected(pool)

    return connect
