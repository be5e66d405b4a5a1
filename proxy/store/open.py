"""From a URL to counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from proxy.core.errors import SettingsError
from proxy.store.cluster import ClusterStore
from proxy.store.memory import MemoryStore
from proxy.store.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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


def open_client(url: str) -> Redis | RedisCluster | None:
    """Return an ordinary client for what is not counted (keys); None for memory."""
    kind = url.partition("://")[0]
    if kind == "memory":
        return None
    options: dict[str, Any] = {**_options(), "socket_timeout": CONNECT_SECONDS}
    if kind == "redis+cluster":
        return RedisCluster.from_url(
            url.replace("redis+cluster", "redis", 1),
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=CONNECT_SECONDS,
        )
    if kind == "redis+sentinel":
        sentinel, service, database = _sentinel_of(url)
        client: Redis = sentinel.master_for(service, db=database, **options)
        return client
    return Redis.from_url(url, **options)


def _options() -> dict[str, Any]:
    return {
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": None,
        "health_check_interval": 0,
        "protocol": 2,
    }


async def _connected(pool: ConnectionPool) -> AbstractConnection:
    connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
    await connection.connect()  # type: ignore[no-untyped-call]
    return connection


def _sentinel(url: str) -> Callable[[], Awaitable[AbstractConnection]]:
    sentinel, service, database = _sentinel_of(url)
    parts = urlsplit(url)

    async def connect() -> AbstractConnection:
        host, port = await sentinel.discover_master(service)
        pool = ConnectionPool(
            host=host,
            port=port,
            db=database,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            **_options(),
        )
        return await _connected(pool)

    return connect


def _sentinel_of(url: str) -> tuple[Sentinel, str, int]:
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2].split(",")
    service, _, database = parts.path.strip("/").partition("/")
    if not service or not all(hosts) or not (database or "0").isdigit():
        raise SettingsError("store: redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB is needed")
    addresses = []
    for host in hosts:
        name, _, port = host.rpartition(":")
        if not port.isdigit():
            raise SettingsError("store: each sentinel is HOST:PORT")
        addresses.append((name, int(port)))
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        addresses,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=CONNECT_SECONDS,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )
    return sentinel, service, int(database or 0)
