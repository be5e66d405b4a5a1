"""What stays on the server, for how long, and what a hostile number does to it."""

from __future__ import annotations

import pytest

from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling, Window
from proxy.limits.charges import Charge, Settlement
from proxy.limits.keys import bucket_key
from proxy.store.memory import MemoryStore
from proxy.store.open import open_store

S = 1_000_000
DAY = 86_400 * S
T0 = 1_795_435_200_123_457
MIDNIGHT = 1_795_478_400 * S


def charge(bucket, cost=1, *, limit="l", binding=True, slot="a"):
    return Charge(
        *bucket_key("t", "account", "acme", "p", limit, bucket), bucket, cost, binding, slot
    )


@pytest.fixture
async def store(valkey):
    with valkey.client() as client:
        client.flushall()
    opened = open_store(valkey.url, deadline_us=2 * S)
    yield opened
    await opened.close()


LIVES = [
    # bucket                  cost  seconds that it means something
    (Rate(10, 100 * S, 10),   10,   100),
    (Rate(10, 100 * S, 10),   1,    10),
    (Budget(10, Window.DAY),  1,    (MIDNIGHT - T0) / S),
    (Rolling(10, DAY),        1,    26 * 3600),
    (Lease(10, 60 * S),       1,    60),
    (Distinct(10, DAY),       1,    26 * 3600),
    (Exposure(10, DAY),       1,    40 * 86_400),
]  # fmt: skip


@pytest.mark.parametrize(("bucket", "cost", "seconds"), LIVES)
async def test_a_key_expires_a_minute_after_it_has_lost_its_meaning(
    store, valkey, bucket, cost, seconds
):
    one = charge(bucket, cost)
    receipt = (await store.charge([one], T0)).receipts[0]
    if not isinstance(bucket, (Lease, Distinct)):
        await store.settle([Settlement(one, 0, receipt.mark)], T0)
    if isinstance(bucket, Lease):
        await store.renew([one], T0)
    with valkey.client() as client:
        keys = list(client.scan_iter())
        assert len(keys) == (2 if isinstance(bucket, Distinct) else 1)
        for key in keys:
            left = client.pttl(key) / 1000
            assert seconds + 60 - 5 < left <= seconds + 60 + (90 if seconds > 86_400 else 1)


@pytest.mark.parametrize(
    "bucket", [bucket for bucket, *_ in LIVES if not isinstance(bucket, Distinct)]
)
async def test_looking_or_being_refused_leaves_nothing_behind(store, valkey, bucket):
    plan = [charge(bucket), charge(Budget(0, Window.HOUR), limit="full")]
    assert not (await store.charge(plan, T0)).admitted
    with valkey.client() as client:
        assert client.dbsize() == 0


HUGE = 10**30


@pytest.mark.parametrize("bucket", [
    Rate(10, 7 * S, 10), Rate(999_983, 61, 10), Budget(10, Window.MONTH), Rolling(10, DAY), Exposure(10, DAY),
])  # fmt: skip
async def test_an_absurd_cost_neither_breaks_the_script_nor_outlives_its_correction(store, bucket):
    memory = MemoryStore()
    shadow = charge(bucket, HUGE, binding=False)
    for _ in range(3):
        real = await store.charge([shadow], T0)
        assert real == await memory.charge([shadow], T0)
        assert real.admitted
        assert (real.receipts[0].fits, real.receipts[0].retry_after) == (False, None)
    for each in (store, memory):
        for _ in range(4):
            await each.settle([Settlement(shadow, -HUGE, real.receipts[0].mark)], T0)
    plain = charge(bucket, 10)
    assert (await store.charge([plain], T0)) == (await memory.charge([plain], T0))
    assert not (await store.charge([plain], T0)).admitted


async def test_a_lone_surrogate_in_a_subject_is_counted_like_any_other(store):
    bucket = Budget(1, Window.DAY)
    odd = Charge(*bucket_key("t", "model", "\ud800", "p", "l", bucket), bucket, 1)
    assert (await store.charge([odd], T0)).admitted
    assert not (await store.charge([odd], T0)).admitted


async def test_a_clock_in_another_window_than_the_servers_is_put_right_by_the_answer(
    store, monkeypatch
):
    monkeypatch.setattr("proxy.store.redis._clock", lambda: T0 - 400 * DAY)
    one = charge(Budget(2, Window.HOUR))
    first, second = await store.charge([one]), await store.charge([one])
    assert [each.receipts[0].remaining for each in (first, second)] == [1, 0]
