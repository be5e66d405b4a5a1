"""What the property tests meet too seldom: each line of the scripts against the model, by hand."""

from __future__ import annotations

import pytest

from proxy.limits.buckets import Budget, Exposure, Rate, Window
from proxy.limits.charges import Charge, Settlement
from proxy.limits.keys import bucket_key
from proxy.store.memory import MemoryStore
from proxy.store.open import open_store

S = 1_000_000
T0 = 1_795_435_200_123_457


def charge(bucket, cost=1, *, binding=True, limit="l"):
    return Charge(*bucket_key("t", "account", "acme", "p", limit, bucket), bucket, cost, binding)


@pytest.fixture
async def both(valkey):
    """Memory and a real server, to be told the same."""
    with valkey.client() as client:
        client.flushall()
    opened = open_store(valkey.url, deadline_us=5 * S)
    yield MemoryStore(), opened
    await opened.close()


async def same(both, plan, now):
    model, real = [await store.charge(plan, now) for store in both]
    assert real == model
    return real


def server_time(valkey):
    with valkey.client() as client:
        seconds, micros = client.time()
    return seconds * S + micros


async def test_the_moment_is_the_servers_to_the_microsecond(both, valkey):
    _, store = both
    one = charge(Budget(5, Window.MONTH))
    for _ in range(20):  # a wrong sign of the microseconds shows within two of them
        before = server_time(valkey)
        charged = await store.charge([one])
        between = server_time(valkey)
        settled = await store.settle([Settlement(one, -1, charged.receipts[0].mark)])
        assert before <= charged.at <= between <= settled <= server_time(valkey)


@pytest.mark.parametrize("halves", [1, 2, 3.5, 7.25, 20, 60])
async def test_an_exposure_decays_alike_over_many_half_lives(both, halves):
    of = Exposure(2**40, 1024 * 7)
    await same(both, [charge(of, 2**40 - 3)], T0)
    later = T0 + int(halves * of.half_life) + 7
    await same(both, [charge(of, 2**40, binding=False)], later)
    await same(both, [charge(of, 1)], later + 7)


@pytest.mark.parametrize("halves", [0, 1, 2.25, 6.5])
async def test_a_correction_of_an_exposure_has_decayed_as_its_charge_has(both, halves):
    of = Exposure(2**40, 1024 * 7)
    one = charge(of, 2**39)
    mark = (await same(both, [one], T0)).receipts[0].mark
    later = T0 + int(halves * of.half_life) + 7
    for store in both:
        await store.settle([Settlement(one, -(2**38), mark)], later)
    left = (await same(both, [charge(of, 0)], later)).receipts[0].remaining
    assert abs(left - (2**40 - 2**38 * 2**-halves)) < 2**40 / 256


async def test_a_rate_that_was_edited_is_settled_in_its_new_scale(both):
    old, new = Rate(5, 3, 4), Rate(7, 11, 4)
    await same(both, [charge(old, 4)], T0)
    for store in both:
        await store.settle([Settlement(charge(new, 4), -1, 0)], T0 + 1)
    await same(both, [charge(new, 2)], T0 + 1)
    await same(both, [charge(old, 1)], T0 + 2)


async def test_a_clock_that_goes_back_is_taken_alike(both):
    plan = [
        charge(Rate(5, 3 * S, 4), limit="rate"),
        charge(Budget(5, Window.HOUR), limit="budget"),
        charge(Exposure(5, 1024 * S), limit="exposure"),
    ]
    for now in (T0, T0 - S, T0 - 3700 * S, T0 + S, T0 - 1):
        charged = await same(both, plan, now)
        corrections = [
            Settlement(each, 1, receipt.mark)
            for each, receipt in zip(plan, charged.receipts, strict=True)
            if receipt.taken
        ]
        for store in both:
            await store.settle(corrections, now - 2 * S)
