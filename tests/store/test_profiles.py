"""Profiles and what is due: in memory, on Valkey, on a cluster, on Redis."""

from __future__ import annotations

import asyncio
import signal
from hashlib import blake2b

import pytest
import redis

from proxy.core.errors import SettingsError, StoreUnavailableError
from proxy.limits.keys import due_keys, profile_key
from proxy.ports import Batch
from proxy.store.client import Client
from proxy.store.memory import MemoryStore
from proxy.store.open import open_client, open_profiles, profiles_beside
from proxy.store.profiles import PADDED, MemoryProfiles, RedisProfiles, Seal
from proxy.watch.observation import Observation, Subject
from proxy.watch.profile import Profile

NOON = 1_780_000_000_000_000
MINUTE = 60_000_000
DAY = 86_400_000_000
ACCOUNT = "a}b{c:d"
PEPPER = b"pepper of these tests"
MOST_BYTES = 4_096


def writer(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=8).digest()


def delta(times=1, at=NOON, account=ACCOUNT):
    made = Profile(at)
    for number in range(times):
        made.observe(Observation(Subject(account), at + number, at, output_tokens=5, user=number))
    return made


def batch(name, number, *accounts, times=1, at=NOON):
    return Batch(writer(name), number, {each: delta(times, at, each) for each in accounts})


def opened(place, pepper=PEPPER, keep=DAY):
    if place == "memory":
        return MemoryProfiles()
    return open_profiles(place, "t", pepper, keep=keep)


@pytest.fixture
async def profiles(place):
    found = opened(place)
    yield found
    await found.close()


async def counted(profiles, account=ACCOUNT):
    (found,) = await profiles.find([account])
    return None if found is None else round(found["requests"], 2)


async def test_deltas_add_up(profiles):
    assert await counted(profiles) is None
    assert await profiles.add(batch("a", 1, ACCOUNT, times=3)) == []
    assert await profiles.add(batch("b", 1, ACCOUNT, "other", times=2)) == []
    assert await counted(profiles) == 5
    assert await counted(profiles, "other") == 2


async def test_a_batch_that_is_sent_again_counts_once(profiles):
    for _ in range(3):
        assert await profiles.add(batch("a", 1, ACCOUNT)) == []
    await profiles.add(batch("b", 9, ACCOUNT))
    await profiles.add(batch("a", 1, ACCOUNT))
    assert await counted(profiles) == 2
    await profiles.add(batch("a", 2, ACCOUNT))
    assert await counted(profiles) == 3


async def test_writers_that_come_and_go_are_remembered_a_few(profiles):
    for number in range(9):
        await profiles.add(batch(f"w{number}", 1, ACCOUNT))
    await profiles.add(batch("w8", 1, ACCOUNT))
    assert await counted(profiles) == 9


async def test_no_delta_is_lost_among_many_writers(place):
    """Each writes as fast as it can to one account; all find somebody else there before them."""
    stores = [opened(place) for _ in range(4)] if place != "memory" else [MemoryProfiles()] * 4
    every = 12

    async def write(number, store):
        for turn in range(every):
            left = True
            while left:
                left = await store.add(batch(f"w{number}", turn, ACCOUNT, f"own{number}"))

    await asyncio.gather(*(write(number, store) for number, store in enumerate(stores)))
    assert await counted(stores[0]) == 4 * every
    assert await counted(stores[1], "own3") == every
    for store in stores:
        await store.close()


async def test_what_has_changed_is_due_once(profiles):
    await profiles.add(batch("a", 1, ACCOUNT, "other"))
    assert sorted(await profiles.due(9, MINUTE)) == [ACCOUNT, "other"]
    assert await profiles.due(9, MINUTE) == []
    await profiles.done([ACCOUNT, "other"])
    assert await profiles.due(9, MINUTE) == []


async def test_no_more_are_claimed_than_wanted(profiles):
    await profiles.add(batch("a", 1, *(f"a{n}" for n in range(20))))
    first = await profiles.due(8, MINUTE)
    assert len(first) == 8
    rest = await profiles.due(99, MINUTE)
    assert len({*first, *rest}) == 20


async def test_what_changes_while_it_is_claimed_stays_due(profiles):
    await profiles.add(batch("a", 1, ACCOUNT))
    assert await profiles.due(9, MINUTE) == [ACCOUNT]
    await profiles.add(batch("a", 2, ACCOUNT))
    assert await profiles.due(9, MINUTE) == []  # somebody is at it
    await profiles.done([ACCOUNT])
    assert await profiles.due(9, MINUTE) == [ACCOUNT]


async def test_what_a_claimer_that_died_had_comes_back(place):
    one = opened(place)
    other = one if place == "memory" else opened(place)
    await one.add(batch("a", 1, ACCOUNT))
    assert await one.due(9, 1) == [ACCOUNT]
    assert await other.due(9, MINUTE) == [ACCOUNT]
    if place != "memory":
        await one.done([ACCOUNT])  # too late: it is the other's
        assert await one.due(9, MINUTE) == []
    await other.done([ACCOUNT])
    assert await one.due(9, MINUTE) == []
    for store in {one, other}:
        await store.close()


async def test_a_forgotten_profile_is_gone(profiles):
    await profiles.add(batch("a", 1, ACCOUNT))
    assert await profiles.forget(ACCOUNT)
    assert not await profiles.forget(ACCOUNT)
    assert await counted(profiles) is None


async def test_a_policys_half_life_counts_where_deltas_meet(profiles):
    fast = Profile(NOON, {**delta().half_lives, "volume": DAY})
    fast.observe(Observation(Subject(ACCOUNT), NOON + DAY, NOON + DAY))
    await profiles.add(batch("a", 1, ACCOUNT))
    await profiles.add(Batch(writer("a"), 2, {ACCOUNT: fast}))
    assert await counted(profiles) == 1.5


def on_server(valkey, **more):
    with valkey.client() as client:
        client.flushall()
    return opened(valkey.url, **more)


async def test_a_profile_is_kept_for_its_time_and_is_small(valkey):
    store = on_server(valkey, keep=DAY)
    await store.add(batch("a", 1, ACCOUNT, times=400))
    with valkey.client() as client:
        key = profile_key("t", ACCOUNT)
        assert 0 < client.pttl(key) <= DAY // 1000
        assert client.memory_usage(key) <= MOST_BYTES
        assert (client.strlen(key) - 29) % PADDED == 0
    await store.close()


@pytest.mark.parametrize("stored", [
    b"", b"junk", b"\x01" + bytes(12), b"\x02" + bytes(400), b"\x01" + bytes(500),
], ids=["empty", "junk", "cut", "other version", "forged"])  # fmt: skip
async def test_what_cannot_be_read_is_begun_anew(valkey, stored):
    store = on_server(valkey)
    with valkey.client() as client:
        client.set(profile_key("t", ACCOUNT), stored)
    assert await counted(store) is None
    assert store.unreadable == bool(stored)
    assert await store.add(batch("a", 1, ACCOUNT)) == []
    assert await counted(store) == 1
    await store.close()


async def test_a_profile_opens_under_its_own_key_and_pepper_alone(valkey):
    store = on_server(valkey)
    await store.add(batch("a", 1, ACCOUNT))
    with valkey.client() as client:
        stored = client.get(profile_key("t", ACCOUNT))
        client.set(profile_key("t", "other"), stored)
    assert await counted(store, "other") is None
    stranger = opened(valkey.url, pepper=b"another")
    assert await counted(stranger) is None
    assert stranger.unreadable == 1
    with pytest.raises(ValueError, match="no profile"):
        Seal(PEPPER).opened("k", stored)
    await store.close()
    await stranger.close()


async def test_a_writer_that_dies_halfway_leaves_its_account_due(valkey, monkeypatch):
    store = on_server(valkey)
    monkeypatch.setattr("proxy.store.profiles.SOON", 1)

    async def dies(self, batch, accounts):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RedisProfiles, "_put", dies)
        with pytest.raises(KeyboardInterrupt):
            await store.add(batch("a", 1, ACCOUNT))
    assert await store.due(9, MINUTE) == [ACCOUNT]
    await store.close()


async def test_a_lost_reply_is_no_second_count(own_server):
    """The server takes the batch, and is killed before it can say so: nobody knows its fate."""
    client = open_client(own_server.url, timeout=None)
    store = RedisProfiles(Client(client, 0.3), "t", PEPPER)
    await store.add(batch("a", 1, ACCOUNT))
    own_server.process.send_signal(signal.SIGSTOP)
    lost = batch("a", 2, ACCOUNT)
    assert await store.add(lost) == [ACCOUNT]
    own_server.process.send_signal(signal.SIGCONT)
    left = [ACCOUNT]
    async with asyncio.timeout(20):
        while left:
            left = await store.add(lost)
    assert await store.add(lost) == []
    assert await counted(store) == 2
    await store.close()


async def test_a_server_that_is_away_keeps_nothing_and_says_so(own_server):
    store = opened(own_server.url)
    own_server.kill()
    assert await store.add(batch("a", 1, ACCOUNT, "other")) == [ACCOUNT, "other"]
    for call in (store.due(1, 1), store.find([ACCOUNT]), store.forget(ACCOUNT)):
        with pytest.raises(StoreUnavailableError):
            await call
    await store.close()


def test_memory_is_for_one_process():
    assert isinstance(profiles_beside(MemoryStore(), "memory", "t", b"", keep=1), MemoryProfiles)
    with pytest.raises(SettingsError, match="memory keeps profiles"):
        open_profiles("memory", "t", b"", keep=1)


def test_keys_have_their_tags():
    assert profile_key("t", "a{b}") == "weir1:t:{account:4:a{b}}:profile"
    assert due_keys("t", 7) == ("weir1:t:{watch:7}:due", "weir1:t:{watch:7}:claimed")


async def test_nothing_but_profiles_and_marks_is_stored(valkey):
    store = on_server(valkey)
    await store.add(batch("a", 1, ACCOUNT))
    with valkey.client() as client:
        assert sorted(client.keys()) == sorted(
            each.encode() for each in (profile_key("t", ACCOUNT), due_keys("t", 0)[0])
        )
        with pytest.raises(redis.ResponseError):
            client.get(due_keys("t", 0)[0])
    await store.close()
