"""Rolling: whatever stretch of a period one looks at, no more than the amount was let through."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.limits import rolling
from proxy.limits.buckets import Rolling
from proxy.limits.charges import Charge, Settlement
from proxy.store.memory import MemoryStore

T0 = 1_795_435_200_123_457
WORLDS = st.builds(
    Rolling,
    st.integers(1, 6),
    st.one_of(st.integers(1, 60), st.sampled_from([240, 86_400_000_000])),
)
PARTS = st.one_of(st.integers(0, 3), st.integers(0, 40))
TURNS = st.lists(st.tuples(PARTS, st.integers(0, 3), st.integers(1, 7)), max_size=40)


def moments(of, turns):
    """Steps in 32nds of a period, and a few odd microseconds."""
    now = T0
    for parts, odd, cost in turns:
        now += parts * of.period // 32 + odd
        yield now, cost


@settings(deadline=None)
@given(of=WORLDS, turns=TURNS)
async def test_no_stretch_of_the_period_holds_more_than_the_amount(of, turns):
    store, let = MemoryStore(), []
    for now, cost in moments(of, turns):
        if (await store.charge([Charge("t", "k", of, cost)], now)).admitted:
            let.append((now, cost))
        assert sum(cost for at, cost in let if at > now - of.period) <= of.amount


@settings(deadline=None)
@given(of=WORLDS, turns=TURNS)
async def test_what_was_taken_is_given_back_at_most_one_slice_late(of, turns):
    store, let, width = MemoryStore(), [], rolling.slice_of(of)
    for now, cost in moments(of, turns):
        late = (rolling.SLICES + 1) * width
        room = of.amount - sum(cost for at, cost in let if at > now - late)
        told = (await store.charge([Charge("t", "k", of, cost)], now)).receipts[0]
        assert told.fits or cost > room
        if told.fits:
            let.append((now, cost))
        elif cost > of.amount:
            assert told.retry_after is None
        else:
            # Waiting as told is enough when nobody else comes: asked of a store of its own.
            alone = MemoryStore()
            for at, taken in let:
                await alone.charge([Charge("t", "k", of, taken)], at)
            early = now + told.retry_after - 1
            assert not (await alone.charge([Charge("t", "k", of, cost)], early)).admitted
            assert (await alone.charge([Charge("t", "k", of, cost)], early + 1)).admitted


def test_a_clock_that_goes_back_stays_in_the_slice_it_knows():
    state = rolling.State()
    assert rolling.advance(state, 10, 1000) == 100
    rolling.add(state, 100, 5)
    assert state.head == 76
    assert rolling.advance(state, 10, 700) == 76
    assert state.total == 5


def test_a_slice_never_holds_less_than_nothing():
    state = rolling.State()
    rolling.add(state, 3, 4)
    rolling.add(state, 3, -9)
    rolling.add(state, 4, -1)
    assert (state.total, state.taken) == (0, {3: 0, 4: 0})


def test_slices_that_have_gone_by_leave_with_what_they_held():
    state = rolling.State()
    for index, units in ((30, 1), (31, 2), (54, 4)):
        rolling.advance(state, 10, index * 10)
        rolling.add(state, index, units)
    assert rolling.advance(state, 10, 559) == 55
    assert (state.taken, state.total, state.head) == ({31: 2, 54: 4}, 6, 31)


def test_more_than_there_is_never_goes_by():
    state = rolling.State({5: 2}, 2, 0)
    assert rolling.freed(state, 10, 2) == (5 + 25) * 10
    assert rolling.freed(state, 10, 3) == 0


async def test_a_refund_of_a_slice_that_went_by_leaves_the_others_alone():
    of, store = Rolling(10, 240), MemoryStore()
    first = Charge("t", "k", of, 4)
    mark = (await store.charge([first], T0)).receipts[0].mark
    later = T0 + 10 * 26
    await store.charge([Charge("t", "k", of, 5)], later)
    await store.settle([Settlement(first, -4, mark)], later)
    assert (await store.charge([Charge("t", "k", of, 1)], later)).receipts[0].remaining == 4
