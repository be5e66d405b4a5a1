"""Memory is the model: over any story of a small world both stores give the same receipts."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling, Window
from proxy.limits.charges import Charge, Settlement
from proxy.limits.keys import bucket_key
from proxy.store.memory import MemoryStore
from proxy.store.open import open_store

T0 = 1_795_435_200_123_457

BUCKETS = st.sampled_from([
    Rate(3, 7, 2), Rate(7, 1_000_000, 7), Rate(5, 3, 4), Rate(2, 11, 5), Rate(999_983, 61, 50),
    Budget(4, Window.HOUR), Budget(9, Window.DAY), Budget(9, Window.WEEK), Budget(9, Window.MONTH),
    Rolling(5, 240), Rolling(5, 7), Rolling(6, 86_400_000_000),
    Lease(2, 50), Lease(1, 3_600_000_000),
    Distinct(2, 240), Distinct(3, 86_400_000_000),
    Exposure(5, 1024), Exposure(7, 30_000), Exposure(20, 86_400_000_000),
])  # fmt: skip
STEPS = st.one_of(
    st.integers(0, 12), st.integers(0, 5000),
    st.sampled_from([3_600_000_001, 43_200_000_000, 86_400_000_003, 2_678_400_000_000]),
)  # fmt: skip
TURN = st.tuples(
    STEPS,
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 6), st.booleans(), st.integers(0, 3)),
        min_size=1, max_size=4, unique_by=lambda one: one[0],
    ),
    st.one_of(st.none(), st.integers(-7, 7)),
)  # fmt: skip


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(buckets=st.lists(BUCKETS, min_size=4, max_size=4), turns=st.lists(TURN, max_size=12))
def test_redis_does_what_memory_does(valkey, loop, buckets, turns):
    loop.run(_same(valkey, buckets, turns))


async def _same(valkey, buckets, turns) -> None:
    with valkey.client() as client:
        client.flushall()
    memory, redis = MemoryStore(), open_store(valkey.url, deadline_us=5_000_000)
    now = T0
    try:
        for step, asked, delta in turns:
            now += step
            plan = []
            for index, cost, binding, token in asked:
                bucket = buckets[index]
                tag, key = bucket_key("t", "account", "a", "p", str(index), bucket)
                if isinstance(bucket, (Lease, Distinct)):
                    cost = 1  # noqa: PLW2901
                plan.append(Charge(tag, key, bucket, cost, binding, f"{token:016x}"))
            model, real = await memory.charge(plan, now), await redis.charge(plan, now)
            assert real == model
            if delta is not None:
                settlements = [
                    Settlement(charge, delta, receipt.mark)
                    for charge, receipt in zip(plan, model.receipts, strict=True)
                    if receipt.taken and not isinstance(charge.bucket, Distinct)
                ]
                await memory.settle(settlements, now + 1)
                await redis.settle(settlements, now + 1)
    finally:
        await redis.close()
