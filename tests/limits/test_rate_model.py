"""A rate against a second model: a leaky bucket in exact fractions, written without looking."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.limits import rate
from proxy.limits.buckets import Rate
from proxy.limits.charges import Charge, Settlement
from proxy.store.memory import MemoryStore

T0 = 1_795_435_200_123_457
S = 1_000_000

WORLDS = st.one_of(
    st.builds(Rate, st.integers(1, 7), st.integers(1, 13), st.integers(1, 6)),
    st.sampled_from([
        Rate(7, S, 7), Rate(60, 60 * S, 20), Rate(999_983, 61, 50), Rate(3, 1_000_003, 2),
        Rate(100, 3600 * S, 100), Rate(1, 86_400 * S, 1),
    ]),
)  # fmt: skip
TURNS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 9), st.integers(0, 300_001), st.just(3600 * S + 1)),
        st.integers(0, 8),
        st.booleans(),
        st.one_of(st.none(), st.integers(-9, 9)),
    ),
    max_size=20,
)


class Bucket:
    """Units of water as a fraction; it runs off at amount/period a microsecond."""

    def __init__(self, of: Rate) -> None:
        self.speed = Fraction(of.amount, of.period)
        self.brim = of.burst
        self.water = Fraction(0)
        self.seen = 0

    def pass_to(self, now: int) -> None:
        if now > self.seen:
            self.water = max(Fraction(0), self.water - (now - self.seen) * self.speed)
            self.seen = now

    def pour(self, cost: int, *, anyway: bool) -> tuple[bool, int, int | None, int]:
        over = self.water + cost - self.brim
        fits = over <= 0
        wait = 0 if fits else None if cost > self.brim else ceil(over / self.speed)
        if fits or anyway:
            self.water += cost
        left = max(0, floor(self.brim - self.water))
        return fits, left, wait, ceil(self.water / self.speed)


@settings(deadline=None)
@given(of=WORLDS, turns=TURNS)
async def test_a_rate_is_a_leaky_bucket_to_the_last_fraction(of, turns):
    model, store, now = Bucket(of), MemoryStore(), T0
    for step, cost, binding, delta in turns:
        now += step
        model.pass_to(now)
        charge = Charge("t", "k", of, cost, binding)
        (told,) = (await store.charge([charge], now)).receipts
        wanted = model.pour(cost, anyway=not binding)
        assert (told.fits, told.remaining, told.retry_after, told.reset) == wanted
        if delta is not None and told.taken:
            await store.settle([Settlement(charge, delta, told.mark)], now)
            model.water = max(Fraction(0), model.water + delta)


@settings(deadline=None)
@given(of=WORLDS, before=st.integers(0, 12), cost=st.integers(1, 6), later=st.integers(0, 3))
async def test_waiting_exactly_as_told_is_enough_and_a_microsecond_less_is_not(
    of, before, cost, later
):
    store = MemoryStore()
    await store.charge([Charge("t", "k", of, before, binding=False)], T0)
    now = T0 + later
    told = (await store.charge([Charge("t", "k", of, cost)], now)).receipts[0]
    if not told.fits and told.retry_after is not None:
        early = now + told.retry_after - 1
        assert not (await store.charge([Charge("t", "k", of, cost)], early)).admitted
        assert (await store.charge([Charge("t", "k", of, cost)], early + 1)).admitted


@pytest.mark.parametrize(
    ("amount", "period", "burst"),
    [
        (1, 31 * 86_400 * S, 1),
        (999_999_999, 86_400 * S, 999_999_999),
        (7, 2_592_000_000_001, 2**40),
    ],
)
def test_a_gauge_stays_within_what_a_double_counts_exactly(amount, period, burst):
    found = rate.gauge(Rate(amount, period, burst))
    assert found.drain >= 1
    assert found.capacity == burst * found.scale <= rate.EXACT
    true = Fraction(amount, period)
    # A period of so many digits beside so large a burst cannot be told exactly.
    if true.denominator * burst <= rate.EXACT:
        assert Fraction(found.drain, found.scale) == true
    else:
        assert found.scale <= rate.EXACT // burst


def test_a_rate_too_slow_to_be_told_still_drains():
    found = rate.gauge(Rate(1, 2**40, 2**40))
    assert Fraction(found.drain, found.scale) == Fraction(1, 2**10)


def test_a_level_in_another_scale_is_taken_over_and_rounded_up():
    old, new = Rate(1, 3, 9), Rate(1, 2, 9)
    assert (old.gauge.scale, new.gauge.scale) == (3, 2)
    # 5 thirds of a unit are 3.33 halves: rounded up to 4; then two microseconds drain one each.
    counter = rate.Counter(new, 5, T0, old.gauge.scale)
    assert [counter.left(T0), counter.left(T0 + 2)] == [4, 2]
    assert rate.Counter(Rate(1, 1000, 1), rate.FULL, T0, 1).left(T0) == rate.FULL


def test_a_clock_that_goes_back_waits():
    counter = rate.Counter(Rate(1, 1, 5), 4, T0, 1)
    assert counter.left(T0 - 100) == 4
    counter.charge(Charge("t", "k", counter.bucket, 1), (True, 4, 0, 0), T0 - 100, taken=True)
    assert (counter.level, counter.stamp) == (5, T0)


def test_what_is_beyond_all_measure_stays_countable():
    assert rate.raised(rate.FULL - 1, 5) == rate.FULL
    assert rate.raised(3, -5) == 0
    assert rate.scaled(rate.Gauge(1000, 1, 1), -(10**30)) == -rate.FULL
