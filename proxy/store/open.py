"""From a URL to counters, and to what is kept beside them."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from proxy.core.errors import SettingsError
from proxy.store.client import Client
from proxy.store.cluster import ClusterStore
from proxy.store.memory import MemoryStore
from proxy.store.objects import MemoryObjects, RedisObjects
from proxy.store.profiles import MemoryProfiles, RedisProfiles
from proxy.store.redis import RedisStore
from proxy.store.standings import MemoryStandings, RedisStandings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from redis.asyncio.connection import AbstractConnection

    from proxy.ports import CounterStore, Objects, Profiles, Standings

CONNECT_SECONDS = 1.0
PATIENCE = 3.0
SENTINEL_SECONDS = 0.4
SCHEMES = frozenset({"redis", "rediss", "unix", "redis+sentinel", "redis+cluster"})
KINDS = "memory, redis://, rediss://, unix://, redis+sentinel://HOST:PORT/SERVICE, redis+cluster://"


def open_store(url: str, *, deadline_us: int) -> CounterStore:
    """Return the counters that a URL names; connections are made when first needed.

    deadline_us: microseconds that a call may take. SettingsError for a URL that names none.
    """
    deadline = deadline_us / 1_000_000
    match _kind(url):
        case "memory":
            return MemoryStore()
        case "redis+sentinel":
            return RedisStore(_sentinel(url), deadline)
        case "redis+cluster":
            return ClusterStore(_cluster(url), deadline)
        case _:
            with _understood():
                pool = ConnectionPool.from_url(url, **_options())

            async def connect() -> AbstractConnection:
                return await _connected(pool)

            return RedisStore(connect, deadline)


def open_standings(url: str, env: str) -> Standings:
    """Return the standings beside the counters that a URL names, for people: a second a call.

    SettingsError for a URL that names none, and for memory: nobody else can reach a process's own.
    """
    client = open_client(url, timeout=None)
    if client is None:
        raise SettingsError(
            "store: memory keeps standings within the process that serves, where no command"
            " reaches them (store: embedded, or a server, would do)"
        )
    return RedisStandings(Client(client, PATIENCE), env)


def standings_beside(store: CounterStore, url: str, env: str) -> Standings:
    """Return the standings beside counters that were opened from a URL, for those who serve.

    SettingsError for a URL that names none.
    """
    return (
        MemoryStandings(store, env) if isinstance(store, MemoryStore) else open_standings(url, env)
    )


def open_objects(url: str, env: str, deadline_us: int) -> Objects:
    """Return the claims of stored objects beside the counters that a URL names.

    deadline_us: microseconds that a call may take. SettingsError for a URL that names none.
    """
    client = open_client(url, timeout=None)
    if client is None:
        return MemoryObjects()
    return RedisObjects(Client(client, deadline_us / 1_000_000), env)


def open_profiles(url: str, env: str, pepper: bytes, *, keep: int) -> Profiles:
    """Return the profiles beside the counters that a URL names, sealed under a pepper.

    keep: microseconds that a profile is kept after its last change
    SettingsError for a URL that names none, and for memory: nobody else can reach a process's own.
    """
    client = open_client(url, timeout=None)
    if client is None:
        raise SettingsError(
            "store: memory keeps profiles within the process that serves, where no command"
            " reaches them (store: embedded, or a server, would do)"
        )
    return RedisProfiles(Client(client, PATIENCE), env, pepper, keep)


def profiles_beside(
    store: CounterStore, url: str, env: str, pepper: bytes, *, keep: int
) -> Profiles:
    """Return the profiles beside counters that were opened from a URL, for those who serve."""
    if isinstance(store, MemoryStore):
        return MemoryProfiles()
    return open_profiles(url, env, pepper, keep=keep)


def open_client(
    url: str, *, timeout: float | None = CONNECT_SECONDS
) -> Redis | RedisCluster | None:
    """Return an ordinary client for what is not counted (keys, claims); None for memory.

    timeout: seconds that a read may take; None where the caller has a deadline of its own, which
             redis-py's would get in the way of: its `asyncio.wait_for` loses a cancellation that
             comes in the turn in which it ends (Python 3.11)
    SettingsError for a URL that names no counters.
    """
    options: dict[str, Any] = {**_options(), "socket_timeout": timeout}
    match _kind(url):
        case "memory":
            return None
        case "redis+cluster":
            return _cluster(url, socket_timeout=timeout)
        case "redis+sentinel":
            sentinel, service, database = _sentinel_of(url)
            client: Redis = sentinel.master_for(service, db=database, **options)
            return client
        case _:
            with _understood():
                return Redis.from_url(url, **options)


def _kind(url: str) -> str:
    """Return the scheme, of those that there are. The rest of a URL may be a password."""
    kind, slashes, rest = url.partition("://")
    if kind == "memory" and not rest:
        return kind
    if kind not in SCHEMES or not slashes:
        named = slashes and re.fullmatch(r"[a-z][a-z+.-]{0,20}", kind)
        raise SettingsError(f"store: {repr(kind) if named else 'this'} names no counters ({KINDS})")
    with _understood():
        parts = urlsplit(url)
        if not (parts.path if kind == "unix" else parts.netloc.rpartition("@")[2]):
            raise SettingsError(f"store: {kind}:// says no server ({KINDS})")
        if kind != "redis+sentinel":
            _ = parts.port  # ValueError when it is none
    return kind


@contextmanager
def _understood() -> Iterator[None]:
    """Turn other people's words about a URL, which may repeat its password, into ours."""
    try:
        yield
    except (ValueError, RedisError, RedisClusterException):
        raise SettingsError(
            "store: cannot read this URL (redis://USER:PASSWORD@HOST:PORT/0)"
        ) from None


def _cluster(url: str, **options: Any) -> RedisCluster:
    with _understood():
        return RedisCluster.from_url(
            url.replace("redis+cluster", "redis", 1),
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_SECONDS,
            **options,
        )


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
        try:
            host, port = await sentinel.discover_master(service)
        finally:
            await sentinel.aclose()  # asked again when the master is lost, which is seldom
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
        if not name or not port.isdigit():
            raise SettingsError("store: each sentinel is HOST:PORT")
        addresses.append((name.strip("[]"), int(port)))
    brief = {
        "socket_connect_timeout": SENTINEL_SECONDS,
        "socket_timeout": SENTINEL_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        addresses,
        sentinel_kwargs=brief,  # the next one is asked when one does not answer
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )
    return sentinel, service, int(database or 0)
