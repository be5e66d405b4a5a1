"""Distinct: how near the estimate comes, and that it forgets."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits import distinct, rolling
from proxy.limits.buckets import Distinct
from proxy.limits.charges import Charge
from proxy.store.memory import MemoryStore

T0 = 1_795_435_200_123_457
DAY = 86_400_000_000


def fingerprints(count, seed):
    chosen = random.Random(seed)
    return [f"{chosen.getrandbits(64):016x}" for _ in range(count)]


def used(bucket, values):
    return len({distinct.cell(bucket, value) for value in values})


@pytest.mark.parametrize("amount", [400, 10_000])
@pytest.mark.parametrize("seed", range(5))
def test_the_estimate_is_within_three_percent_of_the_amount(amount, seed):
    bucket = Distinct(amount, DAY)
    values = fingerprints(amount, seed)
    assert len(set(values)) == amount
    told = distinct.estimate(used(bucket, values), distinct.cells(bucket))
    assert abs(told - amount) <= amount * 0.03


@pytest.mark.parametrize("amount", range(1, 21))
async def test_a_small_amount_is_counted_exactly(amount):
    bucket, store = Distinct(amount, DAY), MemoryStore()
    values = fingerprints(amount + 1, 1)
    assert used(bucket, values) == amount + 1
    for left, value in zip(reversed(range(amount)), values, strict=False):
        for _ in range(2):
            told = (await store.charge([Charge("t", "k", bucket, 1, token=value)], T0)).receipts[0]
            assert (told.fits, told.remaining) == (True, left)
    last = await store.charge([Charge("t", "k", bucket, 1, token=values[-1])], T0)
    assert not last.admitted


@pytest.mark.parametrize(
    ("amount", "cells"),
    [(1, 4096), (1024, 4096), (1025, 8192), (16_384, 65_536), (16_385, 131_072), (10**6, 131_072)],
)
def test_memory_grows_with_the_amount_and_ends_somewhere(amount, cells):
    assert distinct.cells(Distinct(amount, DAY)) == cells


@pytest.mark.parametrize("amount", [1, 20, 400, 1024, 10_000, 100_000, 10**6, 10**7])
def test_the_most_cells_are_the_last_whose_estimate_is_within_the_amount(amount):
    bucket = Distinct(amount, DAY)
    of, most = distinct.cells(bucket), distinct.most_cells(bucket)
    assert distinct.estimate(most, of) <= amount
    assert most == of or distinct.estimate(most + 1, of) > amount


def test_the_estimate_grows_with_every_cell_and_is_finite_when_all_are_used():
    told = [distinct.estimate(each, 4096) for each in range(4097)]
    assert told == sorted(told)
    assert (told[0], told[1], told[-1]) == (0, 1, 34_070)  # 4096 ln 4096


def test_a_value_seen_again_moves_to_the_slice_of_now():
    state = distinct.State()
    for index, current in ((7, 100), (7, 100), (8, 100), (7, 110)):
        rolling.advance(state.live, 1, current)
        distinct.note(state, index, current)
    assert (state.live.total, state.live.taken) == (2, {100: 1, 110: 1})


def test_a_value_of_a_slice_that_went_by_counts_as_new():
    state = distinct.State()
    rolling.advance(state.live, 1, 100)
    distinct.note(state, 7, 100)
    rolling.advance(state.live, 1, 125)
    assert state.live.total == 0
    distinct.note(state, 7, 125)
    assert (state.live.total, state.seen) == (1, {7: 125})


def test_what_has_gone_by_is_not_kept_for_ever():
    counter = distinct.Counter(Distinct(10_000, 24))
    for now, value in enumerate(fingerprints(1000, 5)):
        counter.look(Charge("t", "k", counter.bucket, 1, token=value), T0 + now)
    assert counter.state.live.total <= 25
    assert len(counter.state.seen) <= distinct.SPARE + 2 * 25 + 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-30, 60)), max_size=60))
def test_forgetting_changes_no_count(steps):
    kept, now = (distinct.State(), distinct.State()), 1000
    for index, passed in steps:
        now = max(0, now + passed)
        for state in kept:
            current = rolling.advance(state.live, 1, now)
            distinct.note(state, index, current)
        distinct.forget(kept[1])
        assert kept[0].live.total == kept[1].live.total


async def test_looking_notes_nothing():
    bucket, store = Distinct(1, DAY), MemoryStore()
    for value in fingerprints(3, 2):
        told = (await store.charge([Charge("t", "k", bucket, 0, token=value)], T0)).receipts[0]
        assert (told.fits, told.remaining, told.reset) == (True, 1, 0)


async def test_waiting_as_told_is_enough_for_a_value_that_is_known():
    bucket, store = Distinct(2, 240), MemoryStore()
    values = fingerprints(3, 3)
    for now, value in enumerate(values):
        told = (
            await store.charge([Charge("t", "k", bucket, 1, token=value)], T0 + 10 * now)
        ).receipts[0]
    assert not told.fits
    look = Charge("t", "k", bucket, 0)
    there = T0 + 20 + told.retry_after
    assert not (await store.charge([look], there - 1)).admitted
    assert (await store.charge([look], there)).admitted
