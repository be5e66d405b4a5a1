"""Exposure: steps and factors against the plain formula."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits import exposure
from proxy.limits.buckets import Exposure
from proxy.limits.charges import Charge
from proxy.store.memory import MemoryStore

T0 = 1_795_435_200_123_457
DAY = 86_400_000_000


@given(value=st.floats(1e-3, 1e15), steps=st.integers(0, 200 * exposure.STEPS))
def test_decay_is_the_power_of_two_that_it_says(value, steps):
    wanted = value * 2.0 ** (-steps / exposure.STEPS)
    assert math.isclose(exposure.decayed(value, steps), wanted, rel_tol=1e-13)


@given(value=st.floats(1, 1e12), steps=st.integers(0, 5000))
def test_decay_never_grows(value, steps):
    assert exposure.decayed(value, steps + 1) < exposure.decayed(value, steps) <= value


def test_nothing_decays_backwards_and_everything_in_the_end():
    assert exposure.decayed(5.0, 0) == exposure.decayed(5.0, -3) == 5.0
    assert exposure.decayed(1e300, exposure.STEPS * (exposure.GONE + 1)) == 0.0
    assert exposure.decayed(1e300, exposure.STEPS * exposure.GONE) > 0.0


def test_the_factors_are_the_nearest_doubles():
    assert len(exposure.FACTORS) == 10
    for power, (bit, factor) in enumerate(exposure.FACTORS, start=1):
        assert bit == exposure.STEPS >> power
        assert math.isclose(factor, 2.0 ** -(2.0**-power), rel_tol=2**-52)
    assert exposure.STEPS == 2**10


@pytest.mark.parametrize(("half_life", "step"), [(1, 1), (1024, 1), (1025, 2), (DAY, 84_375_000)])
def test_a_step_is_a_1024th_rounded_up(half_life, step):
    assert exposure.step_of(Exposure(1, half_life)) == step


@given(
    half_life=st.sampled_from([1024, 30_000, 1_000_003, DAY]),
    amount=st.integers(1, 30),
    before=st.integers(0, 60),
    cost=st.integers(0, 30),
    odd=st.integers(0, 5000),
)
async def test_waiting_exactly_as_told_is_enough_and_a_microsecond_less_is_not(
    half_life, amount, before, cost, odd
):
    of, store, now = Exposure(amount, half_life), MemoryStore(), T0 + odd
    await store.charge([Charge("t", "k", of, before, binding=False)], T0)
    told = (await store.charge([Charge("t", "k", of, cost)], now)).receipts[0]
    assert (told.retry_after is None) == (cost > amount)
    if told.retry_after:
        early = now + told.retry_after - 1
        assert not (await store.charge([Charge("t", "k", of, cost)], early)).admitted
        assert (await store.charge([Charge("t", "k", of, cost)], early + 1)).admitted


def test_it_is_whole_again_when_less_than_a_unit_is_left():
    of = Exposure(100, 1024)
    told = exposure.receipt(of, 8, 0.0, 5000, 5000, fits=True, taken=True)
    assert (told.remaining, told.reset) == (92, 3 * 1024)
    told = exposure.receipt(of, 1, 0.0, 5000, 5000, fits=True, taken=True)
    assert (told.remaining, told.reset) == (99, 0)
