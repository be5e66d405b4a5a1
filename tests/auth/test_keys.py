"""Opaque keys: form, checksum, hash, and what a record may hold."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.keys import (
    KEY_LENGTH,
    KeyRecord,
    State,
    checked,
    hash_key,
    looks_like_key,
    merged,
    mistakes,
    new_key,
)
from proxy.core.errors import SettingsError

GOOD = KeyRecord(id="key_0123456789abcdef", hash="0" * 64, account="acme", org="acme", created=10)


def test_a_new_key_is_recognised_and_no_two_are_the_same():
    keys = [new_key() for _ in range(200)]
    assert all(looks_like_key(key.secret) for key in keys)
    assert len({key.secret for key in keys}) == len({key.id for key in keys}) == 200
    assert {len(key.secret) for key in keys} == {KEY_LENGTH}


@given(st.integers(0, KEY_LENGTH - 1), st.sampled_from("09azAZ-_. "))
def test_a_key_with_one_character_changed_is_told_from_its_checksum(place, letter):
    secret = new_key().secret
    changed = secret[:place] + letter + secret[place + 1 :]
    assert looks_like_key(changed) == (changed == secret)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "weir_live_",
        "weir_live_" + "0" * 33,
        "sk-" + "a" * 40,
        new_key().secret[:-1],
        new_key().secret + "a",
        new_key().secret + "\n",
        " " + new_key().secret,
        new_key().secret.replace("live", "test"),
        new_key().secret[:-1] + "\u0660",
        new_key().secret[:-1] + "\ud800",
        "\0" * KEY_LENGTH,
    ],
    ids=range(12),  # keys are made anew each time: they name no test
)
def test_what_is_no_key_does_not_look_like_one(text):
    assert not looks_like_key(text)


def test_the_hash_depends_on_secret_and_pepper():
    secret = new_key().secret
    hashes = {hash_key(b"a" * 32, secret), hash_key(b"b" * 32, secret), hash_key(b"a" * 32, "x")}
    assert len(hashes) == 3
    assert all(len(text) == 64 and secret not in text for text in hashes)


def test_a_secret_stays_out_of_the_repr_and_text_of_a_new_key():
    key = new_key()
    assert key.secret not in f"{key!r} {key} {[key]}"
    assert key.id in repr(key)


def test_a_hash_stays_out_of_the_repr_of_a_record():
    assert "0" * 64 not in repr(GOOD)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"id": "key_x"}, "is no key id"),
        ({"hash": "weir_live_secret"}, "hash: must be 64 hex digits"),
        ({"account": ""}, "account: '' must be 1 to 128"),
        ({"account": "a b"}, "account: 'a b' must be"),
        ({"account": "a\n"}, "account: 'a\\n' must be"),
        ({"account": "{tag}"}, "account: '{tag}' must be"),
        ({"account": "a" * 129}, "must be 1 to 128"),
        ({"account": "acmé"}, "account: 'acmé' must be"),
        ({"org": ""}, "org: '' must be"),
        ({"plan": "free plan"}, "plan: 'free plan' must be"),
        ({"purpose": "*"}, "purpose: '*' must be"),
        ({"attributes": {"a b": "x"}}, "attributes: 'a b' must be"),
        ({"attributes": {"a": ""}}, "attributes: 'a' must be"),
        ({"attributes": {"a": "x\x00"}}, "attributes: 'a' must be"),
        ({"attributes": {"a": "x" * 257}}, "attributes: 'a' must be"),
        ({"attributes": {"a": 1}}, "attributes: 'a' must be"),
        ({"attributes": {f"a{i}": "x" for i in range(33)}}, "attributes: at most 32"),
        ({"expires": 10}, "expires: must be later"),
        ({"replaced_by": "key_no", "grace_until": 4}, "replaced_by: 'key_no' is no key id"),
        ({"grace_until": 5}, "grace_until: goes with replaced_by"),
        ({"replaced_by": "key_0123456789abcdeF"}, "grace_until: goes with replaced_by"),
    ],
)
def test_each_mistake_in_a_record_has_its_sentence(change, sentence):
    with pytest.raises(SettingsError) as error:
        checked(replace(GOOD, **change))
    assert sentence in str(error.value)


def test_all_mistakes_are_told_at_once():
    assert len(list(mistakes(replace(GOOD, account="", plan=" ", purpose=" ")))) == 3


@pytest.mark.parametrize(
    ("change", "now", "state"),
    [
        ({}, 99, State.ACTIVE),
        ({"expires": 50}, 49, State.ACTIVE),
        ({"expires": 50}, 50, State.EXPIRED),
        ({"replaced_by": "k", "grace_until": 60}, 59, State.REPLACED),
        ({"replaced_by": "k", "grace_until": 60}, 60, State.EXPIRED),
        ({"replaced_by": "k", "grace_until": 60, "expires": 20}, 30, State.EXPIRED),
        ({"revoked_at": 70}, 10, State.REVOKED),
        ({"revoked_at": 70, "expires": 5}, 10, State.REVOKED),
    ],
)
def test_a_key_is_worth(change, now, state):
    assert replace(GOOD, **change).state(now) is state


records = st.builds(
    KeyRecord,
    id=st.just("key_0123456789abcdef"),
    hash=st.just("0" * 64),
    account=st.sampled_from("ab"),
    org=st.just("o"),
    attributes=st.just(MappingProxyType({})),
    changed=st.integers(0, 3),
    revoked_at=st.none() | st.integers(0, 3),
)


@given(records, records)
def test_a_revocation_survives_every_merge_and_the_newer_version_wins(ours, theirs):
    both = merged(ours, theirs)
    revocations = {ours.revoked_at, theirs.revoked_at} - {None}
    assert both.revoked_at == (min(revocations) if revocations else None)
    assert both.account == (theirs.account if theirs.changed > ours.changed else ours.account)
    assert merged(both, theirs) == merged(both, ours) == both
