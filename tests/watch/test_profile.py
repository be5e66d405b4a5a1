"""A profile is the sum of what was seen, however it was dealt out, and stays small."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.watch.counting import LASTS, Sampled, Slices, distinct, missing_mass
from proxy.watch.layout import PLACES, RANGES, SIZE
from proxy.watch.observation import Subject
from proxy.watch.profile import HALF_LIVES, LENGTH, Profile, profile_of

NOON = 1_780_000_000_000_000
DAY = 86_400_000_000
MOST_BYTES = 3_400


def whole(exchanges):
    profile = Profile()
    for each in exchanges:
        profile.observe(each)
    return profile


def alike(one: Profile, other: Profile) -> None:
    assert one.at == other.at
    assert one.first == other.first
    np.testing.assert_allclose(one.sums, other.sums, rtol=2e-4, atol=2e-4)
    for own, others in zip(one.sets.each(), other.sets.each(), strict=True):
        assert (own.total() == others.total()).all()


moments = st.lists(st.integers(0, 40 * 24), min_size=1, max_size=24)


@given(hours=moments, dealt=st.randoms(use_true_random=False), writers=st.integers(1, 4))
def test_profiles_add_up_however_the_exchanges_were_dealt(seen, hours, dealt, writers):
    exchanges = [
        seen(number % 7, NOON + hour * 3_600_000_000, user=number % 3, served=(number,))
        for number, hour in enumerate(sorted(hours))
    ]
    parts = [Profile() for _ in range(writers)]
    for each in exchanges:
        dealt.choice(parts).observe(each)
    dealt.shuffle(parts)
    together = Profile()
    for part in parts:
        together.add(part)
    alike(together, whole(exchanges))


@given(hours=moments, order=st.randoms(use_true_random=False))
def test_the_order_in_which_exchanges_come_changes_nothing(seen, hours, order):
    exchanges = [seen(n, NOON + hour * 3_600_000_000) for n, hour in enumerate(hours)]
    shuffled = list(exchanges)
    order.shuffle(shuffled)
    one, other = whole(exchanges), whole(shuffled)
    np.testing.assert_allclose(one.sums, other.sums, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(("family", "name"), [
    ("content", "asked"), ("reasoning", "sent"), ("parameters", "tuned"),
    ("volume", "requests"), ("recent", "lately"),
])  # fmt: skip
def test_each_family_halves_in_its_own_time(seen, family, name):
    profile = whole([seen()])
    profile.advance(NOON + HALF_LIVES[family])
    assert profile[name] == pytest.approx(0.5, rel=1e-3)


def test_half_lives_can_be_others(seen):
    profile = Profile(0, {**HALF_LIVES, "content": DAY})
    profile.observe(seen())
    profile.advance(NOON + DAY)
    assert profile["asked"] == pytest.approx(0.5, rel=1e-3)
    assert profile["sent"] > 0.9


def test_what_is_stored_reads_back_and_is_small(seen):
    dice = random.Random(3)
    profile = whole(
        seen(number, NOON + number * 60_000_000, served=(number, number + 9), user=number,
             output_tokens=dice.randrange(3_000), gap=dice.randrange(10**9))
        for number in range(3_000)
    )  # fmt: skip
    stored = profile.to_bytes()
    assert len(stored) <= MOST_BYTES
    back = profile_of(stored)
    assert back.to_bytes() == stored
    assert back.subject == Subject("acme", "acme", "free")
    alike(back, profile)


def test_names_that_are_long_do_not_make_a_profile_large(seen):
    profile = whole([seen(subject=Subject("a" * 5_000, "o" * 5_000, "p" * 5_000))])
    assert len(profile.to_bytes()) <= MOST_BYTES
    assert profile_of(profile.to_bytes()).subject == Subject("", plan="p" * 8)


@given(st.binary(max_size=4_000))
def test_garbage_is_no_profile(data):
    with pytest.raises(ValueError, match="no profile"):
        profile_of(data)


@given(at=st.integers(0, LENGTH), flip=st.integers(1, 255))
def test_a_damaged_profile_is_read_or_refused_and_nothing_else(seen, at, flip):
    stored = bytearray(whole([seen(n) for n in range(9)]).to_bytes())
    stored[at % len(stored)] ^= flip
    try:
        profile_of(bytes(stored))
    except ValueError:
        return


def test_a_bomb_is_refused_unread(seen):
    bomb = whole([seen()]).to_bytes()[:2] + b"\0" * 18 + zlib.compress(bytes(50_000_000))
    with pytest.raises(ValueError, match="no profile"):
        profile_of(bomb)


def test_what_was_refused_by_us_is_counted_as_asked_for_only_in_volume(seen):
    profile = whole([seen(how="refused")])
    assert profile["requests"] == 1
    assert profile["asked"] == profile["answers"] == 0
    assert not profile.sets.prompts.total().any()


def test_a_retry_is_no_new_question(seen):
    profile = whole([seen(1), seen(1, retry=1)])
    assert profile["requests"] == 2
    assert profile["asked"] == 1


def test_sums_have_one_place_each():
    taken = list(PLACES.values()) + [n for r in RANGES.values() for n in range(r.start, r.stop)]
    assert sorted(taken) == list(range(SIZE))


@given(values=st.lists(st.integers(0, 2**63), max_size=60), half=st.integers(0, 60))
def test_counters_of_two_slices_add_up(values, half):
    one, other, both = Slices(64), Slices(64), Slices(64)
    for place, value in enumerate(values):
        at = NOON + (LASTS if place % 3 else 0)
        (one if place < half else other).note(value, at)
        both.note(value, at)
    one.add(other)
    assert (one.total() == both.total()).all()
    back = Slices(64)
    back.load(one.to_bytes(), one.number)
    assert (back.now == one.now).all()
    assert (back.before == one.before).all()


def test_counters_forget_after_two_slices():
    counted = Slices(64, 1)
    counted.note(5, NOON)
    assert counted.holds(5)
    counted.advance(NOON + LASTS)
    assert counted.holds(5)
    counted.advance(NOON + 2 * LASTS)
    assert not counted.holds(5)
    counted.note(7, NOON)  # of a time that is forgotten already
    assert not counted.holds(7)


@pytest.mark.parametrize("many", [1, 40, 150, 400, 5_000, 60_000])
def test_distinct_values_are_estimated(many):
    counted = Sampled(1024)
    for value in np.random.default_rng(many).integers(2**62, size=many):
        counted.note(int(value), NOON)
        counted.note(int(value), NOON)
    assert distinct(counted.total()) == pytest.approx(many, rel=0.3, abs=2)


def test_full_cells_stand_for_many():
    assert distinct(np.ones(64, np.uint8)) > 10_000


@pytest.mark.parametrize("many", [10, 150, 1_000, 20_000])
def test_missing_mass_is_one_for_all_new_and_falls_with_repeats(many):
    counted = Sampled(1024)
    assert missing_mass(counted.total()) == 0.0
    values = [int(value) for value in np.random.default_rng(many).integers(2**62, size=many)]
    for value in values:
        counted.note(value, NOON)
    assert missing_mass(counted.total()) > 0.8
    for value in values:
        counted.note(value, NOON)
    assert missing_mass(counted.total()) < 0.15
