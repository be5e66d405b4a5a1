"""Which accounts are due, on servers: who comes first, who dies halfway, who claims what."""

from __future__ import annotations

import asyncio
import shutil
from urllib.parse import urlsplit

import pytest
import redis

from proxy.limits.keys import due_keys
from proxy.ports import Batch
from proxy.store.open import open_profiles
from proxy.store.profiles import SHARDS, SOON, RedisProfiles
from proxy.watch.observation import Observation, Subject
from proxy.watch.profile import Profile

NOON = 1_780_000_000_000_000
MINUTE = 60_000_000
DAY = 86_400_000_000
ACCOUNT = "a}b{c:d"
WRITERS = [b"writer %d" % number for number in range(2)]
SERVERS = ["valkey", "cluster", *(["redis"] if shutil.which("redis-server") else [])]
on_servers = pytest.mark.parametrize("place", SERVERS, indirect=True)


def batch(number, *accounts, writer=WRITERS[0]):
    deltas = {account: Profile(NOON) for account in accounts or (ACCOUNT,)}
    for account, delta in deltas.items():
        delta.observe(Observation(Subject(account), NOON, NOON))
    return Batch(writer, number, deltas)


def opened(url):
    return open_profiles(url, "t", b"pepper of these tests", keep=DAY)


@pytest.fixture
async def store(place):
    found = opened(place)
    yield found
    await found.close()


@pytest.fixture
def raw(place):
    """A client of the same server, for who looks or meddles."""
    with redis.Redis(port=urlsplit(place).port) as client:
        yield client


def soon_key(store):
    ((keys, _),) = store._by_shard([ACCOUNT])
    return keys[2]


@on_servers
async def test_a_writer_that_dies_before_its_last_word_leaves_its_account_due(
    place, store, raw, monkeypatch
):
    """Also where the account was due before, and is claimed between the two words."""
    dying = opened(place)

    async def dies(batch, accounts):
        assert await store.due(9, MINUTE) == [ACCOUNT]
        await store.done([ACCOUNT])
        assert await RedisProfiles._put(dying, batch, accounts) == []
        raise KeyboardInterrupt

    monkeypatch.setattr(dying, "_put", dies)
    await store.add(batch(1, writer=WRITERS[1]))
    with pytest.raises(KeyboardInterrupt):
        await dying.add(batch(1))
    (found,) = await store.find([ACCOUNT])
    assert found["requests"] == 2
    assert await store.due(9, MINUTE) == []  # it may be alive
    ((member, at),) = raw.zrange(soon_key(store), 0, -1, withscores=True)
    second, micro = raw.time()
    assert 0 < at - second * 1_000_000 - micro <= SOON
    raw.zadd(soon_key(store), {member: 1})  # so long ago
    assert await store.due(9, MINUTE) == [ACCOUNT]
    assert not raw.exists(soon_key(store))
    await dying.close()


@on_servers
async def test_a_writer_takes_back_its_own_first_word_alone(store, raw):
    other = WRITERS[1] + ACCOUNT.encode()
    raw.zadd(soon_key(store), {other: 2**52})
    await store.add(batch(1))
    assert raw.zrange(soon_key(store), 0, -1) == [other]
    assert await store.due(9, MINUTE) == [ACCOUNT]
    await store.done([ACCOUNT])
    assert await store.due(9, MINUTE) == []


@on_servers
async def test_who_has_waited_longest_is_claimed_first(store):
    names = [f"a{number}" for number in range(40)]
    for number, name in enumerate(names):
        await store.add(batch(number, name))
        await store.add(batch(number + 100, "a0"))  # changes again and again, and keeps its place
    first = await store.due(40, MINUTE)
    assert sorted(first) == sorted(names)
    if len(store._by_shard(names)) == 1:
        assert first == names


async def test_what_comes_back_takes_its_place_by_when_it_changed(valkey):
    with valkey.client() as client:
        client.flushall()
    store = opened(valkey.url)
    await store.add(batch(1, "claimed"))
    assert await store.due(1, 1) == ["claimed"]
    for number, name in enumerate(("first", "claimed", "last")):
        await store.add(batch(2 + number, name))
    await store._run(due_keys("t", 0), "soon", -1, WRITERS[1], b"first")
    assert [await store.due(1, MINUTE) for _ in range(3)] == [["first"], ["claimed"], ["last"]]
    await store.add(batch(9, "other"))
    await store.add(batch(10, "gone"))
    assert await store.due(1, 1) == ["other"]
    await store._run(due_keys("t", 0), "soon", -1, WRITERS[1], b"dead")
    assert await store.due(1, MINUTE) == ["gone"]
    assert sorted(await store.due(9, MINUTE)) == ["dead", "other"]
    await store.close()


@on_servers
async def test_claims_of_several_leases_are_given_back_together(store):
    await store.add(batch(1, "a", "b", "c"))
    found = [
        *await store.due(1, MINUTE),
        *await store.due(1, 3 * MINUTE),
        *await store.due(1, 2 * MINUTE),
    ]
    assert sorted(found) == ["a", "b", "c"]
    await store.done(found)
    assert await store.due(9, MINUTE) == []
    await store.add(batch(2, "a", "b", "c"))
    assert sorted(await store.due(9, MINUTE)) == ["a", "b", "c"]


async def test_what_is_claimed_hides_nobody_behind_it_and_is_no_excuse_for_more(valkey):
    with valkey.client() as client:
        client.flushall()
    store = opened(valkey.url)
    held = ["a", "b", "c"]
    await store.add(batch(1, *held))
    assert sorted(await store.due(9, MINUTE)) == held
    await store.add(batch(2, *held))
    await store.add(batch(3, "d"))
    assert await store.due(1, MINUTE) == ["d"]
    await store.add(batch(4, *"efgh"))
    assert len(await store.due(1, MINUTE)) == 1
    await store.done(held)
    assert sorted(await store.due(3, MINUTE)) == held
    await store.close()


async def test_no_shard_of_a_cluster_waits_for_the_others(cluster):
    with cluster.client() as client:
        client.flushall()
    store = opened(cluster.url.replace("redis", "redis+cluster"))
    names = [f"a{number}" for number in range(200)]
    shards = len(store._by_shard(names))
    assert shards == SHARDS
    await store.add(batch(1, *names))
    met = set()
    for _ in range(SHARDS):
        (name,) = await store.due(1, MINUTE)
        met |= {keys for keys, _ in store._by_shard([name])}
    assert len(met) == SHARDS
    await store.close()


@on_servers
async def test_claims_of_dead_claimers_are_shared_out_once(place, store):
    names = {f"a{number}" for number in range(30)}
    await store.add(batch(1, *sorted(names)))
    dying = opened(place)
    assert len(await dying.due(20, 1)) == 20
    await dying.close()
    others = [opened(place) for _ in range(4)]
    found = await asyncio.gather(*(other.due(10, MINUTE) for other in others))
    assert sum(map(len, found)) == 30
    assert set().union(*found) == names
    for other in others:
        await other.close()
