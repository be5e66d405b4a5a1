"""Profiles on servers: how they are stored, and what dies, lies or forgets meanwhile."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest
import redis

from proxy.core.errors import SettingsError, StoreUnavailableError
from proxy.limits.keys import due_keys, profile_key
from proxy.ports import Batch
from proxy.store import scripts
from proxy.store.memory import MemoryStore
from proxy.store.open import open_profiles, profiles_beside
from proxy.store.profiles import SHARDS, MemoryProfiles
from proxy.store.sealed import CLASSES, MOST_WRITERS, STRING_HEAD, Seal, noted
from proxy.watch.observation import Observation, Subject
from proxy.watch.profile import Profile

NOON = 1_780_000_000_000_000
MINUTE = 60_000_000
DAY = 86_400_000_000
ACCOUNT = "a}b{c:d"
KEY = profile_key("t", ACCOUNT)
PEPPER = b"pepper of these tests"
MOST_BYTES = 4_096
WRITERS = [b"writer %d" % number for number in range(9)]
SERVERS = ["valkey", "cluster", *(["redis"] if shutil.which("redis-server") else [])]
on_servers = pytest.mark.parametrize("place", SERVERS, indirect=True)


def delta(times=1, account=ACCOUNT):
    made = Profile(NOON)
    for number in range(times):
        made.observe(Observation(Subject(account), NOON + number, NOON, user=number))
    return made


def batch(number, *accounts, times=1, writer=WRITERS[0]):
    return Batch(writer, number, {each: delta(times, each) for each in accounts or (ACCOUNT,)})


async def counted(profiles, account=ACCOUNT):
    (found,) = await profiles.find([account])
    return None if found is None else round(found["requests"], 2)


def opened(url, pepper=PEPPER):
    return open_profiles(url, "t", pepper, keep=DAY)


def full():
    """Return a profile that does not compress, of a subject whose names are as long as may be."""
    dice = np.random.default_rng(1)
    found = Profile(NOON)
    found.first = NOON
    found.subject = Subject("a" * 30, "o" * 20, "p" * 9, "q" * 8, verified=True, model="m" * 20)
    found.sums = dice.standard_normal(found.sums.size).astype(np.float32)
    for each in found.sets.each():
        each.advance(NOON)
        each.now, each.before = (
            dice.integers(0, each.most + 1, each.size).astype(np.uint8) for _ in range(2)
        )
    return found


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


@on_servers
async def test_a_profile_is_kept_for_its_time(store, raw):
    await store.add(batch(1))
    assert 0 < raw.pttl(KEY) <= DAY // 1000
    raw.pexpire(KEY, 50)
    await store.add(batch(2))
    assert raw.pttl(KEY) > DAY // 1000 - 60_000


@on_servers
async def test_the_fullest_profile_takes_less_than_4096_bytes_of_memory(store, raw):
    for number, writer in enumerate(WRITERS):
        await store.add(Batch(writer, 2**40 + number, {ACCOUNT: full()}))
    assert MOST_BYTES - 512 <= raw.memory_usage(KEY, samples=0) < MOST_BYTES


@on_servers
async def test_stored_profiles_have_few_lengths(store, raw):
    lengths = set()
    for number in range(1, 40):
        await store.add(batch(number, times=number))
        lengths.add(raw.strlen(KEY) + STRING_HEAD)
    assert lengths <= set(CLASSES)
    assert len(lengths) <= 4


@on_servers
async def test_nothing_but_profiles_and_what_is_due_is_stored(store, raw):
    await store.add(batch(1))
    expected = {KEY} | {
        key for shard in range(SHARDS) for key in due_keys("t", shard)[:1] if raw.exists(key)
    }
    assert {key.decode() for key in raw.scan_iter()} == expected
    assert len(expected) == 2
    assert await store.due(9, MINUTE) == [ACCOUNT]
    await store.done([ACCOUNT])
    assert raw.keys() == [KEY.encode()]


@on_servers
@pytest.mark.parametrize(
    "stored", [b"", b"junk", b"\x02" + bytes(12), b"\x01" + bytes(400), b"\x02" + bytes(500)],
    ids=["empty", "junk", "cut", "other version", "forged"],
)  # fmt: skip
async def test_what_cannot_be_read_is_counted_and_begun_anew(store, raw, stored):
    raw.set(KEY, stored)
    assert await counted(store) is None
    assert store.unreadable == 1
    assert await store.add(batch(1)) == []
    assert await counted(store) == 1


@on_servers
async def test_a_key_of_another_type_harms_nobody_else(store, raw):
    raw.rpush(KEY, "what does this here")
    assert await store.find(["other", ACCOUNT]) == [None, None]
    assert store.unreadable == 1
    assert await store.add(batch(1, "other", ACCOUNT)) == []
    assert await counted(store) == await counted(store, "other") == 1


@on_servers
async def test_a_profile_opens_under_its_own_key_and_pepper_alone(place, store, raw):
    await store.add(batch(1))
    raw.set(profile_key("t", "other"), raw.get(KEY))
    assert await counted(store, "other") is None
    stranger = opened(place, pepper=b"another")
    assert await counted(stranger) is None
    assert (store.unreadable, stranger.unreadable) == (1, 1)
    await stranger.close()


@pytest.mark.parametrize("at", range(0, 541, 20))
def test_a_sealed_profile_with_one_bit_turned_does_not_open(at):
    stored = Seal(PEPPER).sealed(KEY, {WRITERS[0]: 7}, delta())
    assert len(stored) == 506 + 128 * ((len(stored) - 506) // 128)
    at %= len(stored)
    turned = stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
    assert Seal(PEPPER).opened(KEY, stored)[0] == {WRITERS[0]: 7}
    with pytest.raises(ValueError, match="no profile"):
        Seal(PEPPER).opened(KEY, turned)


def test_the_last_writers_are_remembered():
    writers = {}
    for number, name in enumerate(WRITERS):
        writers = noted(writers, name, number)
    assert list(writers) == WRITERS[-MOST_WRITERS:]
    assert noted(writers, WRITERS[3], 99)[WRITERS[3]] == 99


@on_servers
async def test_a_server_that_forgets_the_scripts_is_told_them_again(store, raw):
    for number in range(1, 4):
        assert await store.add(batch(number, *"abc")) == []
        raw.script_flush()
        assert sorted(await store.due(9, MINUTE)) == ["a", "b", "c"]
        raw.script_flush()
        await store.done("abc")
    assert await counted(store, "b") == 3


@asynccontextmanager
async def eating(port, meals):
    """Yield the port of a way to a server, and the answers to `meals`, which are lost on it."""
    lost = []

    async def serve(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        asked = b""

        async def there():
            nonlocal asked
            while piece := await reader.read(65_536):
                asked += piece
                far_writer.write(piece)
            far_writer.close()

        async def back():
            while (answer := await far_reader.read(65_536)) and not any(m in asked for m in meals):
                writer.write(answer)
            if answer:
                lost.append(answer)
            writer.close()

        await asyncio.gather(there(), back())
        await asyncio.gather(writer.wait_closed(), far_writer.wait_closed())

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], lost
    server.close()
    await server.wait_closed()


PROFILE = (scripts.PROFILE.text.encode(), scripts.PROFILE.sha.encode())


@pytest.mark.parametrize(
    ("meals", "left"),
    [(PROFILE, [[ACCOUNT], [], []]), ((b"soon",), [[ACCOUNT]] * 3), ((b"mark",), [[], [], []])],
    ids=["where it is put", "where it is announced", "where it is marked"],
)
async def test_what_was_stored_counts_once_where_answers_are_lost(valkey, meals, left):
    """The server does what it is told; the line breaks before it can say so."""
    with valkey.client() as client:
        client.flushall()
    direct = opened(valkey.url)
    await direct.add(batch(1, writer=WRITERS[1]))
    async with eating(valkey.port, meals) as (port, lost):
        store = opened(f"redis://127.0.0.1:{port}")
        assert [await store.add(batch(2)) for _ in left] == left
        assert lost
        await store.close()
    await direct.add(batch(3, writer=WRITERS[1]))
    assert await direct.add(batch(2)) == []
    assert await counted(direct) == 3
    assert await direct.due(9, MINUTE) == [ACCOUNT]
    await direct.close()


async def test_a_server_that_is_away_keeps_nothing_and_says_so(own_server):
    store = opened(own_server.url)
    await store.add(batch(1))
    await store.due(1, MINUTE)
    own_server.kill()
    assert await store.add(batch(1, ACCOUNT, "other")) == [ACCOUNT, "other"]
    calls = (store.due(1, 1), store.done([ACCOUNT]), store.find([ACCOUNT]), store.forget(ACCOUNT))
    for call in calls:
        with pytest.raises(StoreUnavailableError):
            await call
    await store.close()


async def test_a_server_out_of_memory_is_told_again_later(own_server):
    store = opened(own_server.url)
    with own_server.client() as client:
        client.config_set("maxmemory", 1)
        assert await store.add(batch(1)) == [ACCOUNT]
        client.config_set("maxmemory", 0)
    assert await store.add(batch(1)) == []
    assert await counted(store) == 1
    await store.close()


def test_memory_is_for_one_process():
    assert isinstance(profiles_beside(MemoryStore(), "memory", "t", b"", keep=1), MemoryProfiles)
    with pytest.raises(SettingsError, match="memory keeps profiles"):
        open_profiles("memory", "t", b"", keep=1)


def test_keys_have_their_tags():
    assert profile_key("t", "a{b}") == "weir1:t:{account:4:a{b}}:profile"
    assert due_keys("t", 7)[1:] == ("weir1:t:{watch:7}:claimed", "weir1:t:{watch:7}:soon")
