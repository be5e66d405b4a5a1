"""What only memory has to care about: forgetting. And what a test of it alone shows fastest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling, Window
from proxy.limits.charges import Charge, Settlement
from proxy.store.memory import MemoryStore

T0 = 1_795_435_200_123_457
DAY = 86_400_000_000
EVERY = [
    Rate(5, 7, 5), Budget(5, Window.DAY), Rolling(5, DAY), Exposure(5, DAY), Lease(1, 50),
    Distinct(5, DAY),
]  # fmt: skip


def take(store, bucket, cost, now, token=""):
    return store.charge_now([Charge("t", "k", bucket, cost, token=token)], now).receipts[0]


@pytest.mark.parametrize("bucket", EVERY)
def test_buckets_that_nobody_comes_back_to_are_forgotten(bucket):
    store = MemoryStore()
    for index in range(20):
        refused = [
            Charge("t", f"k{index}", bucket, 1, token="1"),
            Charge("t", f"full{index}", Budget(0, Window.HOUR), 1),
        ]
        assert not store.charge_now(refused, T0).admitted
        plain = Charge("t", f"p{index}", bucket, 1, token="1")
        receipt = store.charge_now([plain], T0).receipts[0]
        store.settle_now([Settlement(plain, 1, receipt.mark)], T0)
    for _ in range(4096):
        store.charge_now([], T0 + 100 * DAY)
    assert len(store) == 0


def test_a_large_store_is_swept_once_in_as_many_charges_as_it_has_buckets():
    store = MemoryStore()
    store.charge_now([Charge("t", f"k{index}", Rate(5, 7, 5), 1) for index in range(5000)], T0)
    held = []
    for _ in range(4999):
        store.charge_now([], T0 + DAY)
        held.append(len(store))
    assert (held[-2], held[-1]) == (5000, 0)


@pytest.mark.parametrize("bucket", [Rolling(5, DAY), Distinct(5, DAY)])
def test_who_only_looks_leaves_nothing_behind(bucket):
    store, look = MemoryStore(), Charge("t", "k", bucket, 0, token="1")
    later = store.charge_now([look], T0 + DAY).receipts[0]
    assert store.charge_now([look], T0).receipts[0].mark == later.mark - 24


@pytest.mark.parametrize("bucket", EVERY)
def test_a_correction_of_what_was_never_taken_creates_no_window_and_no_slice(bucket):
    store, plain = MemoryStore(), Charge("t", "k", bucket, 0, token="1")
    mark = store.charge_now([plain], T0).receipts[0].mark
    other = Charge("t", "other", bucket, 1, token="1")
    store.charge_now([Charge("t", "full", Budget(0, Window.HOUR), 1), other], T0)
    store.settle_now([Settlement(other, 3, mark)], T0)
    used = 5 - take_of(store, other) if not isinstance(bucket, Lease) else 0
    assert used == {Rate: 3, Exposure: 3, Distinct: 1}.get(type(bucket), 0)


def take_of(store, charge):
    look = Charge("t", charge.key, charge.bucket, 0)
    return store.charge_now([look], T0).receipts[0].remaining


@pytest.mark.parametrize("bucket", EVERY)
def test_a_clock_that_goes_back_gives_nothing_back(bucket):
    store = MemoryStore()
    for token in "12345":
        take(store, bucket, 1, T0 + DAY, token)
    assert not take(store, bucket, 1, T0 + DAY - 1, "6").fits


RATES = st.builds(
    Rate, amount=st.integers(1, 12), period=st.integers(1, 40), burst=st.integers(1, 9)
)


@given(RATES, RATES, st.integers(0, 9))
def test_an_edited_rate_goes_on_from_the_level_it_finds(before, after, used):
    store = MemoryStore()
    used = min(used, before.burst)
    take(store, before, used, T0)
    assert take(store, after, 0, T0).remaining == max(0, after.burst - used)


async def test_the_facade_reads_the_clock_it_was_given():
    moments = iter([T0, T0 + 1, T0 + DAY])
    store = MemoryStore(lambda: next(moments))
    one = Charge("t", "k", Rolling(5, DAY), 5)
    charged = await store.charge([one])
    assert (charged.at, charged.admitted) == (T0, True)
    assert await store.settle([Settlement(one, -5, charged.receipts[0].mark)]) == T0 + 1
    assert (await store.charge([one])).admitted
