"""Keys: two buckets never share one, whatever people call things."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from redis.crc import key_slot

from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling, Window
from proxy.limits.keys import bucket_key

TRICKY = st.text("{}:12s\\ud8ü😀\ud800", max_size=8)
SCOPE = st.sampled_from(["key", "account", "org", "ip", "model", "global"])
BUCKETS = st.sampled_from([
    Rate(1, 60, 1), Rate(1, 61, 1), Rolling(1, 60), Budget(1, Window.DAY), Budget(1, Window.WEEK),
    Lease(1, 60), Distinct(1, 60), Distinct(2000, 60), Exposure(1, 60), Exposure(1, 6),
])  # fmt: skip
REST = st.lists(TRICKY, max_size=3).map(tuple)
NAMES = st.tuples(SCOPE, TRICKY, TRICKY, TRICKY, BUCKETS, REST)
SLOTS = Lease(1, 60)


def key(*names):
    return bucket_key("default", *names)[1]


@given(one=NAMES, other=NAMES)
@example(("key", "a", "b", "c", SLOTS, ("1:x",)), ("key", "a", "b", "c", SLOTS, ("1", "x")))
@example(("key", "\ud800", "", "", SLOTS, ()), ("key", "\\ud800", "", "", SLOTS, ()))
def test_differing_names_make_differing_keys(one, other):
    assume(one != other)
    assert key(*one) != key(*other)


@given(
    text=st.text("{}:12s", min_size=1, max_size=10),
    cuts=st.lists(st.integers(0, 10), min_size=4, max_size=4),
)
def test_where_one_name_ends_and_the_next_begins_makes_a_difference(text, cuts):
    def parted(first, second):
        first, second = sorted((min(first, len(text)), min(second, len(text))))
        return text[:first], text[first:second], text[second:]

    one, other = parted(*cuts[:2]), parted(*cuts[2:])
    assert (key("key", *one, SLOTS) == key("key", *other, SLOTS)) == (one == other)


@given(subject=TRICKY, policy=TRICKY, limit=TRICKY, one=BUCKETS, other=BUCKETS)
def test_all_buckets_of_a_subject_live_on_one_node_also_with_braces(
    subject, policy, limit, one, other
):
    tag, first = bucket_key("default", "key", subject, policy, limit, one)
    again, second = bucket_key("default", "key", subject, limit, policy, other)
    assert tag == again
    slots = {key_slot(each.encode()) for each in (first, second, f"{first}:cells")}
    assert len(slots) == 1


def test_the_hash_tag_of_a_subject_with_a_brace_ends_at_it():
    tag, whole = bucket_key("default", "key", "a}b", "p", "l", SLOTS)
    assert tag == "key:3:a}b"
    assert whole == "weir1:default:{key:3:a}b}:1:p:1:l:lease:"
    assert key_slot(whole.encode()) == key_slot(b"key:3:a")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Rate(1, 60, 1), Rate(9, 60, 3)),
        (Rolling(1, 60), Rolling(2, 60)),
        (Budget(1, Window.DAY), Budget(2, Window.DAY)),
        (Lease(1, 60), Lease(2, 90)),
        (Distinct(1, 60), Distinct(900, 60)),
        (Exposure(1, 60), Exposure(2, 60)),
    ],
)
def test_what_changes_only_how_much_is_allowed_keeps_the_counters(one, other):
    assert key("key", "k", "p", "l", one) == key("key", "k", "p", "l", other)


def test_environments_are_apart():
    assert len({bucket_key(env, "key", "k", "p", "l", SLOTS)[1] for env in ("a", "b")}) == 2
