"""Profiles and what is due: in memory, on Valkey, on a cluster, on Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from hashlib import blake2b

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.ports import Batch
from proxy.store.open import open_profiles
from proxy.store.profiles import MemoryProfiles
from proxy.watch.observation import Observation, Subject
from proxy.watch.profile import Profile

NOON = 1_780_000_000_000_000
MINUTE = 60_000_000
DAY = 86_400_000_000
ACCOUNT = "a}b{c:d"
PEPPER = b"pepper of these tests"


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
    stores = [opened(place) for _ in range(8)] if place != "memory" else [MemoryProfiles()] * 8
    every = 25

    async def write(number, store):
        for turn in range(every):
            left = True
            while left:
                left = await store.add(batch(f"w{number}", turn, ACCOUNT, f"own{number}"))

    await asyncio.gather(*(write(number, store) for number, store in enumerate(stores)))
    assert await counted(stores[0]) == 8 * every
    assert await counted(stores[1], "own3") == every
    for store in stores:
        await store.close()


# A turn: which writer, whether it sends its last batch again, accounts of it, exchanges of each.
TURNS = st.lists(
    st.tuples(
        st.integers(0, 2), st.booleans(), st.sets(st.integers(0, 2), min_size=1), st.integers(1, 3)
    ),
    max_size=8,
)
WORLDS = itertools.count()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(TURNS)
async def test_profiles_are_what_all_writers_saw_in_any_order(profiles, turns):
    world = next(WORLDS)
    numbers, last, expected = Counter(), {}, {}
    for name, again, accounts, times in turns:
        if not (again and name in last):
            numbers[name] += 1
            at = NOON + MINUTE * len(last) * (-1) ** name
            names = [f"{world}.{each}" for each in accounts]
            last[name] = batch(f"{world}.{name}", numbers[name], *names, times=times, at=at)
            for each, seen in last[name].deltas.items():
                expected.setdefault(each, Profile(0)).add(seen)
        assert await profiles.add(last[name]) == []
    found = await profiles.find(list(expected))
    for seen, wanted in zip(found, expected.values(), strict=True):
        assert seen.at == wanted.at
        assert seen.sums == pytest.approx(wanted.sums, rel=1e-4, abs=1e-4)
        assert all(
            (own.total() == others.total()).all()
            for own, others in zip(seen.sets.each(), wanted.sets.each(), strict=True)
        )
    assert set(await profiles.due(99, MINUTE)) >= set(expected)
    await profiles.done(list(expected))


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
