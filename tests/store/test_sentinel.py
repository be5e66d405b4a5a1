"""A master that is found through a real sentinel, with a name and a password full of signs."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from urllib.parse import quote

import pytest
import redis

from proxy.core.errors import StoreUnavailableError
from proxy.limits.buckets import Rate
from proxy.limits.charges import Charge
from proxy.limits.keys import bucket_key
from proxy.store.open import open_client, open_store

NAME, PASSWORD = "we:ir@x", "s3cret/%40:?#ü"
BUCKET = Rate(5, 3_600_000_000, 5)
ONE = Charge(*bucket_key("t", "account", "acme", "p", "l", BUCKET), BUCKET, 1)


@pytest.fixture
async def sentinel(own_server, tmp_path):
    """Return the port of a sentinel that watches a server with a user of ours."""
    with own_server.client() as client:
        client.acl_setuser(
            NAME, enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], channels=["*"],
            categories=["+@all"],
        )  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = tmp_path / "sentinel.conf"
    settings.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor counters 127.0.0.1 {own_server.port} 1\n"
        "sentinel down-after-milliseconds counters 300\n"
    )
    process = subprocess.Popen(
        [own_server.process.args[0], str(settings), "--sentinel"], stdout=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while not _knows(port):
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def _knows(port):
    with redis.Redis(port=port, decode_responses=True) as client:
        try:
            return client.execute_command("SENTINEL", "MASTER", "counters")["flags"] == "master"
        except redis.RedisError:
            return False


def url(port, password=PASSWORD, database=""):
    dead = "127.0.0.1:1"  # the first one asked is down
    user = f"{quote(NAME, safe='')}:{quote(password, safe='')}"
    return f"redis+sentinel://{user}@{dead},127.0.0.1:{port}/counters{database}"


async def test_the_master_is_found_and_signed_in_to_and_counts(sentinel, own_server):
    store = open_store(url(sentinel, database="/3"), deadline_us=3_000_000)
    left = [(await store.charge([ONE])).receipts[0].remaining for _ in range(3)]
    assert left == [4, 3, 2]
    await store.close()
    with redis.Redis(port=own_server.port, db=3) as client:
        assert client.exists(ONE.key)
        names = {each["user"] for each in client.client_list()}
    assert names <= {NAME, "default"}


async def test_keys_are_kept_where_the_counters_are(sentinel, own_server):
    client = open_client(url(sentinel, database="/3"))
    await client.set("a", "1")
    assert await client.acl_whoami() in {NAME, NAME.encode()}
    await client.aclose()
    await client.connection_pool.sentinel_manager.aclose()
    with redis.Redis(port=own_server.port, db=3) as plain:
        assert plain.get("a") == b"1"


async def test_a_wrong_password_is_said_without_saying_it(sentinel):
    store = open_store(url(sentinel, password="canary"), deadline_us=3_000_000)
    with pytest.raises(StoreUnavailableError, match="wants another password") as caught:
        await store.charge([ONE])
    assert "canary" not in f"{caught.value!s} {caught.value!r}"
    await store.close()


async def test_a_master_that_is_down_is_used_again_when_it_is_back(sentinel, own_server):
    store = open_store(url(sentinel), deadline_us=3_000_000)
    await store.charge([ONE])
    own_server.kill()
    with pytest.raises(StoreUnavailableError):
        await store.charge([ONE])
    await asyncio.to_thread(own_server.start)
    with own_server.client() as client:
        client.acl_setuser(
            NAME, enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], categories=["+@all"]
        )
    async with asyncio.timeout(15):
        while store.breaker_open:
            await asyncio.sleep(0.05)
    assert (await store.charge([ONE])).receipts[0].remaining == 4
    await store.close()
