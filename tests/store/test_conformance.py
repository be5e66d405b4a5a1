"""One contract, every store: the claims below hold in memory, on Valkey, on a cluster, on Redis."""

from __future__ import annotations

import pytest

from proxy.core.standing import Level, Standing
from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling, Window
from proxy.limits.charges import Charge, Settlement
from proxy.limits.keys import bucket_key, standing_key

S = 1_000_000
H = 3600 * S
T0 = 1_795_435_200_123_457  # an odd microsecond of 2026-11-23, a Monday
MIDNIGHT = 1_795_478_400 * S
LATER = 4_102_444_800 * S + 7  # a standing is kept by the server's clock, so its end lies ahead
GUARDED = Standing(Level.GUARDED, LATER, LATER + H, "ada", "asks every page of one book")
ACME, OTHER = standing_key("t", "acme")[1], standing_key("t", "other")[1]


def charge(bucket, cost=1, *, subject="acme", limit="l", binding=True, token=""):
    tag, key = bucket_key("t", "account", subject, "p", limit, bucket)
    return Charge(tag, key, bucket, cost, binding, token)


async def take(store, bucket, cost=1, now=T0, **more):
    return (await store.charge([charge(bucket, cost, **more)], now)).receipts[0]


@pytest.mark.parametrize(
    ("amount", "period"), [(7, S), (3, 1_000_003), (100, H), (999_983, 60 * S)]
)
async def test_a_rate_admits_its_burst_exactly_and_waiting_as_told_is_enough(store, amount, period):
    bucket = Rate(amount, period, min(amount, 7))
    for left in reversed(range(bucket.burst)):
        receipt = await take(store, bucket)
        assert (receipt.fits, receipt.remaining) == (True, left)
    refused = await take(store, bucket)
    assert (refused.fits, refused.taken, refused.remaining) == (False, False, 0)
    assert refused.retry_after > 0
    assert not (await take(store, bucket, now=T0 + refused.retry_after - 1)).fits
    assert (await take(store, bucket, now=T0 + refused.retry_after)).fits


async def test_a_charge_above_the_burst_never_fits(store):
    receipt = await take(store, Rate(60, 60 * S, 20), 21)
    assert (receipt.fits, receipt.retry_after, receipt.remaining) == (False, None, 20)


async def test_a_budget_refills_when_the_day_turns_and_not_before(store):
    bucket = Budget(10, Window.DAY)
    first = await take(store, bucket, 10)
    assert first.reset == MIDNIGHT - T0
    refused = await take(store, bucket, 1, MIDNIGHT - 1)
    assert (refused.fits, refused.retry_after) == (False, 1)
    assert (await take(store, bucket, 10, MIDNIGHT)).fits


async def test_a_correction_of_yesterdays_budget_leaves_today_alone(store):
    bucket = Budget(10, Window.DAY)
    yesterday = await take(store, bucket, 4)
    await take(store, bucket, 4, MIDNIGHT)
    await store.settle([Settlement(charge(bucket, 4), -4, yesterday.mark)], MIDNIGHT + 1)
    assert (await take(store, bucket, 1, MIDNIGHT + 2)).remaining == 5


async def test_rolling_gives_back_only_when_the_whole_period_has_passed(store):
    bucket = Rolling(10, 24 * H)
    await take(store, bucket, 6)
    await take(store, bucket, 4, T0 + 5 * H)
    refused = await take(store, bucket, 1, T0 + 23 * H)
    assert not refused.fits
    there = T0 + 23 * H + refused.retry_after
    assert T0 + 24 * H < there <= T0 + 25 * H
    assert not (await take(store, bucket, 1, there - 1)).fits
    assert (await take(store, bucket, 6, there)).fits
    assert not (await take(store, bucket, 1, there + 1)).fits


async def test_a_lease_is_held_until_given_back_or_expired(store):
    bucket = Lease(2, 60 * S)
    for token in "ab":
        assert (await take(store, bucket, token=token)).taken
    refused = await take(store, bucket, token="c")
    assert (refused.fits, refused.retry_after) == (False, S)
    await store.settle([Settlement(charge(bucket, token="a"), 0, 0)], T0 + 1)
    assert (await take(store, bucket, token="c", now=T0 + 2)).fits
    assert (await take(store, bucket, token="d", now=T0 + 60 * S)).remaining == 0
    assert (await take(store, bucket, token="e", now=T0 + 61 * S)).fits


async def test_a_renewed_lease_outlives_its_first_deadline_and_a_lost_one_is_not_revived(store):
    bucket = Lease(1, 60 * S)
    held = charge(bucket, token="a")
    await take(store, bucket, token="a")
    await store.renew([held, charge(bucket, token="ghost", limit="other")], T0 + 50 * S)
    assert not (await take(store, bucket, token="b", now=T0 + 61 * S)).fits
    assert (await take(store, bucket, token="b", now=T0 + 111 * S)).fits
    assert (await take(store, bucket, token="x", limit="other")).fits


async def test_distinct_counts_values_and_not_requests(store):
    bucket = Distinct(3, 24 * H)
    for value in ("0a", "0b", "0a", "0c", "0b"):
        assert (await take(store, bucket, token=value)).fits
    refused = await take(store, bucket, token="0d")
    assert (refused.fits, refused.taken) == (False, True)
    assert not (await take(store, bucket, token="0a", now=T0 + H)).fits
    assert (await take(store, bucket, token="0a", now=T0 + 26 * H)).remaining == 2


async def test_an_exposure_halves_every_half_life(store):
    bucket = Exposure(100, 24 * H)
    assert (await take(store, bucket, 100)).remaining == 0
    refused = await take(store, bucket, 50)
    assert abs(refused.retry_after - 24 * H) <= 24 * H // 1024 + 1
    assert not (await take(store, bucket, 50, T0 + refused.retry_after - 1)).fits
    assert (await take(store, bucket, 50, T0 + refused.retry_after)).fits


async def test_all_binding_charges_are_taken_or_none(store):
    roomy, narrow = Rate(100, 60 * S, 100), Budget(1, Window.DAY)
    plan = [
        charge(roomy, limit="roomy"),
        charge(narrow, limit="narrow", subject="other"),
        charge(roomy, limit="shadow", binding=False),
    ]
    assert (await store.charge(plan, T0)).admitted
    second = await store.charge(plan, T0)
    assert not second.admitted
    assert [receipt.taken for receipt in second.receipts] == [False, False, True]
    assert [receipt.fits for receipt in second.receipts] == [True, False, True]
    third = await store.charge(plan, T0)
    assert [receipt.remaining for receipt in third.receipts] == [99, 0, 97]


async def test_a_shadow_bucket_overflows_without_a_veto(store):
    shadow = charge(Budget(1, Window.DAY), 5, binding=False)
    charged = await store.charge([shadow, charge(Rate(5, S, 5), limit="real")], T0)
    assert charged.admitted
    assert [receipt.fits for receipt in charged.receipts] == [False, True]
    assert charged.receipts[0].taken


async def test_a_settlement_goes_past_the_limit_and_never_below_nothing(store):
    for bucket in (
        Rate(10, H, 10),
        Budget(10, Window.DAY),
        Rolling(10, 24 * H),
        Exposure(10, 24 * H),
    ):
        one = charge(bucket, 4)
        receipt = (await store.charge([one], T0)).receipts[0]
        await store.settle([Settlement(one, 20, receipt.mark)], T0)
        assert (await take(store, bucket, 1, T0 + 1)).remaining == 0
        await store.settle([Settlement(one, -1000, receipt.mark)], T0)
        assert (await take(store, bucket, 10, T0)).fits


async def test_a_bucket_named_twice_is_a_mistake_of_the_caller(store):
    with pytest.raises(ValueError, match="once"):
        await store.charge([charge(Rate(1, S, 1)), charge(Rate(1, S, 1))], T0)


async def test_the_servers_own_clock_serves_when_no_time_is_given(store):
    bucket = Budget(2, Window.MONTH)
    assert (await store.charge([charge(bucket)])).admitted
    charged = await store.charge([charge(bucket)])
    assert charged.receipts[0].remaining == 0
    assert charged.receipts[0].reset <= 31 * 24 * H
    await store.ping()


@pytest.mark.parametrize("subjects", [(), ("acme",), ("other",), ("acme", "other")])
async def test_a_standing_is_told_with_the_charges_whosever_they_are(store, standings, subjects):
    await standings.set("acme", GUARDED)
    plan = [charge(Budget(9, Window.MONTH), subject=subject) for subject in subjects]
    charged = await store.charge(plan, LATER, ACME)
    assert charged.standing == GUARDED
    assert (charged.admitted, charged.at) == (True, LATER)
    assert [receipt.remaining for receipt in charged.receipts] == [8] * len(plan)
    assert (await store.charge(plan, LATER)).standing is None
    assert (await store.charge(plan, LATER, OTHER)).standing is None


async def test_a_standing_is_told_to_who_finds_no_room_too(store, standings):
    await standings.set("acme", GUARDED)
    charged = await store.charge([charge(Rate(5, S, 5), 9)], LATER, ACME)
    assert (charged.admitted, charged.standing) == (False, GUARDED)


async def test_a_standing_has_run_out_at_its_microsecond_of_the_stores_clock(store, standings):
    await standings.set("acme", GUARDED)
    for now, told in ((LATER, GUARDED), (GUARDED.until - 1, GUARDED), (GUARDED.until, None)):
        assert (await store.charge([], now, ACME)).standing == told


async def test_a_standing_runs_out_by_the_servers_own_clock(store, standings):
    now = (await store.charge([], standing=ACME)).at
    await standings.set("acme", Standing(Level.WATCH, now - H, now + H))
    assert (await store.charge([], standing=ACME)).standing.level is Level.WATCH
    await standings.set("acme", Standing(Level.WATCH, now - H, now - 1))
    assert (await store.charge([], standing=ACME)).standing is None


async def test_the_last_level_that_was_set_is_the_one_that_is_told(store, standings):
    for level in (Level.CONTAINED, Level.WATCH):
        await standings.set("acme", Standing(level, LATER, LATER + H))
    assert (await store.charge([], LATER, ACME)).standing.level is Level.WATCH
    await standings.pardon("acme", LATER, "bob", "a customer we know")
    assert (await store.charge([], LATER, ACME)).standing is None
    assert store.unreadable == 0
