"""Keys in the store, between machines with files of their own. A real server."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from proxy.auth.keyindex import KeyIndex
from proxy.auth.keyring import Keyring
from proxy.auth.mirror import KeyMirror, follow
from proxy.core.errors import StoreUnavailableError


@pytest.fixture
async def client(server):
    client = server.client()
    yield client
    await client.aclose()


class Machine:
    """A gateway with a key file of its own."""

    def __init__(self, folder, pepper, client):
        folder.mkdir()
        self.ring = Keyring(folder / "keys.yaml", pepper)
        self.errors = []
        self.index = KeyIndex(folder / "keys.yaml", pepper, self.errors.append)
        self.mirror = KeyMirror(client, "test")

    @contextlib.asynccontextmanager
    async def running(self):
        tasks = [
            asyncio.create_task(self.index.watch(0.02)),
            asyncio.create_task(follow(self.mirror, self.index, self.errors.append, 0.02)),
        ]
        yield self
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def sees(self, key):
        return self.index.find(key.secret) is not None


@pytest.fixture
def machines(tmp_path, pepper, client):
    return [Machine(tmp_path / name, pepper, client) for name in ("one", "two")]


async def test_what_is_pushed_is_pulled(ring, client):
    mirror = KeyMirror(client, "test")
    ring.issue("acme", verified=True, attributes={"a": "é"}, expires_in=10**9)
    assert await mirror.pull() == (0, ())
    assert await mirror.push(ring.load()) == 1
    assert await mirror.pull() == (1, ring.load())
    assert await mirror.push(ring.load()) == 0
    assert await mirror.version() == 1
    assert await client.keys("*") == [b"weir1:test:keys"]


async def test_a_revocation_wins_over_whatever_is_pushed_after_it(ring, client):
    mirror = KeyMirror(client, "test")
    key = ring.issue("acme")
    [good] = ring.load()
    revoked = ring.revoke(key.id)
    await mirror.push([revoked])
    await mirror.push([replace(good, changed=revoked.changed + 10, plan="newer")])
    _, [record] = await mirror.pull()
    assert record.revoked_at == revoked.revoked_at
    assert record.plan == "newer"
    await mirror.push([good])
    _, [again] = await mirror.pull()
    assert again == record


async def test_many_who_push_at_once_lose_nothing(ring, client):
    for i in range(10):
        ring.issue(f"a{i}")
    records = ring.load()
    mirrors = [KeyMirror(client, "test") for _ in records]
    await asyncio.gather(*(m.push([r]) for m, r in zip(mirrors, records, strict=True)))
    version, found = await mirrors[0].pull()
    assert {record.id for record in found} == {record.id for record in records}
    assert version == 10


async def test_entries_that_cannot_be_read_are_left_out(ring, client):
    mirror = KeyMirror(client, "test")
    ring.issue("acme")
    await mirror.push(ring.load())
    for id_, text in {"a": b"\xff", b"\xff": "{}", "key_x": "[]", "key_y": '{"hash": 1}'}.items():
        await client.hset("weir1:test:keys", id_, text)
    assert (await mirror.pull())[1] == ring.load()


async def test_keys_and_revocations_are_felt_on_other_machines(machines, until):
    one, two = machines
    async with one.running(), two.running():
        key = one.ring.issue("acme")
        await until(lambda: two.sees(key), 3)
        other = two.ring.issue("beta")
        await until(lambda: one.sees(other), 3)
        one.ring.revoke(key.id)
        await until(lambda: two.index.find(key.secret).revoked, 3)
    assert one.errors == two.errors == []


async def test_files_that_differ_without_saying_which_is_newer_do_not_take_turns(machines, until):
    one, two = machines
    key = one.ring.issue("acme", plan="free")
    path = one.ring._path
    two.ring._path.write_text(path.read_text().replace('"free"', '"paid"'))
    async with one.running(), two.running():
        await until(lambda: one.sees(key) and two.sees(key))
        await asyncio.sleep(0.3)
        assert await one.mirror.version() == 1
    assert one.index.find(key.secret).principal.plan == "free"
    assert two.index.find(key.secret).principal.plan == "paid"


async def test_an_outage_is_survived_and_an_emptied_store_is_told_again(machines, server, until):
    one, two = machines
    async with two.running():
        async with one.running():
            key = one.ring.issue("acme")
            await until(lambda: two.sees(key))
        # Machine one is gone, and the store loses everything.
        server.kill()
        await until(lambda: two.errors)
        assert two.sees(key)
        await asyncio.sleep(0.2)
        assert len(two.errors) == 1
        await server.start()
        async with asyncio.timeout(5):
            while True:
                with contextlib.suppress(StoreUnavailableError):
                    if await two.mirror.version():
                        break
                await asyncio.sleep(0.02)
        assert [record.id for record in (await two.mirror.pull())[1]] == [key.id]
        assert two.sees(key)


async def test_a_frozen_store_lets_out_one_error_only(client, server):
    mirror = KeyMirror(client, "test")
    await mirror.version()
    server.send("SIGSTOP")
    try:
        with pytest.raises(StoreUnavailableError):
            await mirror.push([])
    finally:
        server.send("SIGCONT")
