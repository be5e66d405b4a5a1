"""What the property tests meet too seldom: each line of the scripts against the model, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.limits import budget
from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling, Window
from proxy.limits.charges import Charge, Settlement
from proxy.limits.keys import bucket_key
from proxy.store import scripts
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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Rate(5, 12, 4), Rate(4, 12, 4)),  # the period stays: it is part of the key
        (Rate(4, 12, 4), Rate(5, 12, 4)),
        (Rate(3, 6, 9), Rate(2, 6, 9)),
        (Rate(1, S, 2**30), Rate(S, S, 2**30)),
        (Rate(S, S, 2**30), Rate(1, S, 2**30)),
    ],
)
async def test_a_rate_that_was_edited_goes_on_from_the_level_it_finds(both, old, new):
    await same(both, [charge(old, old.burst - 1)], T0)
    await same(both, [charge(new, 1)], T0 + 1)
    await same(both, [charge(old, 1, binding=False)], T0 + 2)
    await same(both, [charge(new, new.burst)], T0 + 3)


@pytest.mark.parametrize("away", [-1, 0, 1, 2])
@pytest.mark.parametrize("odd", [0, 1, -1])
async def test_the_script_picks_the_window_by_its_own_clock(valkey, away, odd):
    one = charge(Budget(5, Window.DAY))
    starts = budget.around(Window.DAY, T0)
    now = starts[away + 1] + odd
    keys, args = scripts.charge_words([one], now, T0)
    with valkey.client() as client:
        client.flushall()
        for count in range(2):
            answer = client.eval(scripts.CHARGE.text, len(keys), *keys, *args)
            if not starts[0] <= now < starts[3]:
                assert answer == [b"%d" % now, b"clock"]
                assert client.dbsize() == 0
                continue
            (receipt,) = scripts.charged([one], answer).receipts
            assert (receipt.mark, receipt.remaining) == (budget.start(Window.DAY, now), 4 - count)
            turns = budget.end(Window.DAY, receipt.mark)
            assert -1 < (turns - now) / 1000 + 60_000 - client.pttl(one.key) < 1000


@pytest.mark.parametrize(
    ("standing", "put", "told"),
    [
        ("", None, []),
        ("s", None, [b""]),
        ("s", lambda client: client.set("s", b"its bytes"), [b"its bytes"]),
    ],
)
def test_the_script_tells_a_standing_only_where_it_is_asked_for(valkey, standing, put, told):
    one = charge(Rate(5, S, 5))
    keys, args = scripts.charge_words([one], T0, T0, standing)
    with valkey.client() as client:
        client.flushall()
        if put:
            put(client)
        answer = client.eval(scripts.CHARGE.text, len(keys), *keys, *args)
    assert answer[:2] == [b"%d" % T0, b"1"]
    assert answer[scripts.HEAD + scripts.EACH :] == told


def test_the_script_tells_what_is_no_string_as_bytes_that_nobody_can_read(valkey):
    keys, args = scripts.charge_words([], T0, T0, "s")
    with valkey.client() as client:
        client.flushall()
        client.lpush("s", "a list")
        answer = client.eval(scripts.CHARGE.text, len(keys), *keys, *args)
    assert isinstance(answer[-1], bytes)
    with pytest.raises(ValueError, match="unexpected"):
        scripts.standing_told(answer)


@pytest.mark.parametrize("before", range(-1, 3))
async def test_distinct_counts_on_where_the_code_of_a_slice_begins_anew(both, before):
    of, turn = Distinct(3, 240), T0 // 10 // 65_535 + 1
    first = (turn * 65_535 - before) * 10
    for later, value in ((0, 1), (0, 1), (10, 2), (10, 1), (20, 1), (240, 3), (250, 1), (260, 2)):
        one = replace(charge(of), token=f"{value:016x}")
        await same(both, [one], first + later)


async def test_a_rate_that_was_edited_is_settled_in_its_new_scale(both):
    old, new = Rate(5, 12, 4), Rate(4, 12, 4)
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


@pytest.mark.parametrize(
    ("bucket", "means"),  # seconds for which what one charge leaves means something
    [
        (Rate(1, 100 * S, 2), 200),
        (Rolling(5, 240 * S), 260),
        (Lease(2, 30 * S), 30),
        (Distinct(5, 240 * S), 260),
        (Exposure(5, 1024 * S), 40_960),
    ],
)
async def test_a_charge_alone_sets_how_long_its_key_lives(both, valkey, bucket, means):
    _, store = both
    await store.charge([replace(charge(bucket, 1), token="a" * 16)], T0)
    again = replace(charge(bucket, 1), token="b" * 16)
    await store.charge([again], T0)
    with valkey.client() as client:
        for key in client.scan_iter():
            assert means * 1000 + 59_000 < client.pttl(key) <= means * 1000 + 60_000


@pytest.mark.parametrize("delta", [-2, 0, 3])
@pytest.mark.parametrize(
    ("old", "new"), [(Rate(5, 12, 9), Rate(4, 12, 9)), (Rate(2, 6, 9), Rate(3, 6, 9))]
)
async def test_a_settlement_after_an_edit_goes_on_from_the_level_it_finds(both, old, new, delta):
    await same(both, [charge(old, 8)], T0)
    await same(both, [charge(old, 1)], T0 + 2)
    for store in both:
        await store.settle([Settlement(charge(new, 8), delta, 0)], T0 + 3)
    await same(both, [charge(new, 1, binding=False)], T0 + 3)


@pytest.mark.parametrize("slices", [0, 1, 23, 24, 25, 26])
@pytest.mark.parametrize("odd", [0, 3])
async def test_a_refund_counts_for_as_long_as_its_slice_does(both, slices, odd):
    of = Rolling(9, 240)
    mark = (await same(both, [charge(of, 5)], T0 - T0 % 10)).receipts[0].mark
    now = T0 - T0 % 10 + slices * 10 + odd
    for store in both:
        await store.settle([Settlement(charge(of, 5), -3, mark)], now)
        empty = Settlement(charge(of, 5, limit="nothing yet"), 3, mark)
        assert await store.settle([empty], now) == now
    await same(both, [charge(of, 1), charge(of, 1, limit="nothing yet")], now)
