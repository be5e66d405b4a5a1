"""A limit that overflows raises the account's level, in a whole gateway; it ends, or is pardoned."""

from __future__ import annotations

import json
import re
import time

import pytest

POLICY = """\
policy: everyone
limits:
  - {limit: requests, allow: 1_000_000 requests, per: 1m, by: [key]}
  - {limit: breadth, allow: 3 requests, per: 24h, by: [account],
     otherwise: {level: guarded, for: 72h}}
  - {limit: guess, allow: 1 requests, per: 24h, by: [account], mode: shadow,
     otherwise: {level: restricted, for: 72h}}
shapes:
  guarded: {clamp: {n: 1}}
ladder:
  - {level: guarded, shape: guarded}
  - {level: restricted, refuse: ask_us}
"""
ASK = [{"role": "user", "content": "[[tokens=3]] hello"}]


@pytest.fixture(scope="module")
def house(started_once):
    with started_once(everyone=POLICY, flags={"workers": 2}) as gateway:
        yield gateway


def accounts(house, *words) -> dict:
    *first, account = words
    return json.loads(house.weir("accounts", *first, "--home", house.home, "--json", account))


def ask(house, secret):
    """Return how many of two choices were given, and the decision's header."""
    with house.client(secret) as client:
        raw = client.chat.completions.with_raw_response.create(model="standin", messages=ASK, n=2)
    return len(raw.parse().choices), raw.headers["x-weir-decision"]


def overflow(house, account):
    """Ask until the account is raised; return its secret and the decision that raised it."""
    secret = house.issue(account)[1]
    for _ in range(3):
        assert ask(house, secret)[0] == 2
    given, decision = ask(house, secret)
    assert given == 2  # the request itself is decided by the standing that it came with
    with house.store() as store:
        house.eventually(lambda: store.keys(f"*:{account}}}:standing"), 5)
    return secret, decision


def raises(house) -> dict[str, float]:
    text = house.get("/metrics")[1]
    found = re.findall(r"^weir_level_raises_total\{(.+)\} (\S+)$", text, re.MULTILINE)
    return {labels: float(count) for labels, count in found}


def test_the_next_requests_are_shaped_by_the_rung_and_everybody_can_read_why(house):
    before = sum(raises(house).values())
    secret, decision = overflow(house, "harvest")
    assert decision.partition(";")[2] == 'codes="limit.raised"'
    assert {ask(house, secret)[0] for _ in range(12)} == {1}  # on all workers
    shown = accounts(house, "show", "harvest")
    assert (shown["level"], shown["by"]) == ("guarded", "limit everyone/breadth")
    assert shown["reason"] == (
        "everyone/breadth has no room: 1 requests asked, 0 left of 3 by account; guarded for 3d"
    )
    (entry,) = shown["history"]  # twelve more requests had no room, and told nothing new
    assert entry["by"] == "limit everyone/breadth"
    told = raises(house)
    assert sum(told.values()) == before + 1
    assert [labels for labels in told if 'result="set"' in labels and 'level="guarded"' in labels]
    story = house.weir("explain", decision.partition(";")[0], "--home", house.home)
    assert "everyone/breadth had no room: it raises the level of the account" in story
    assert "else guarded for 3d" in story


def test_the_record_tells_who_raised_and_later_by_which_level_it_was_decided(house):
    secret, decision = overflow(house, "recorded")
    record = house.record(decision)
    assert (record["level"], record["effect"]) == ("clear", "allow")
    assert record["reasons"] == ["limit.raised:everyone/breadth", "limit.shadow:everyone/guess"]
    record = house.record(ask(house, secret)[1])
    assert (record["level"], record["effect"]) == ("guarded", "shape")
    assert record["reasons"] == ["standing.guarded:everyone/guarded", "limit.shadow:everyone/guess"]


def test_it_expires_by_itself_and_is_raised_again_where_it_goes_on(house):
    secret, _ = overflow(house, "brief")
    # Time is the store's: what would have run out a second ago is put in its place.
    with house.store() as store:
        (key,) = [one for one in store.keys("*standing") if b"brief" in one]
        told = json.loads(store.get(key))
        assert told["until"] - told["since"] == 72 * 3600 * 1_000_000
        assert 71 * 3_600_000 < store.pttl(key) <= 72 * 3_600_000 + 1
        store.set(key, json.dumps({**told, "until": int(time.time() * 1e6) - 1_000_000}))
    given, decision = ask(house, secret)
    assert (given, decision.partition(";")[2]) == (2, 'codes="limit.raised"')


def test_a_pardon_clears_it_and_the_limit_does_not_raise_it_again(house):
    secret, _ = overflow(house, "known")
    assert ask(house, secret)[0] == 1
    accounts(house, "pardon", "--reason", "an eval of theirs", "--by", "ada", "known")
    kept = sum(count for labels, count in raises(house).items() if 'result="kept"' in labels)
    # Twelve connections: also a worker that has not raised this account yet tries to, once.
    assert {ask(house, secret)[0] for _ in range(12)} == {2}
    house.eventually(
        lambda: sum(n for labels, n in raises(house).items() if 'result="kept"' in labels) > kept
    )
    assert ask(house, secret)[0] == 2
    shown = accounts(house, "show", "known")
    assert [(one["level"], one["by"]) for one in shown["history"]] == [
        ("clear", "ada"), ("guarded", "limit everyone/breadth"),
    ]  # fmt: skip


def test_what_a_person_set_for_longer_stays(house):
    secret = house.issue("theirs")[1]
    accounts(house, "set-level", "guarded", "--for", "30d", "--reason", "a book", "--by", "ada", "theirs")  # fmt: skip
    for _ in range(5):
        given, decision = ask(house, secret)
        assert (given, decision.partition(";")[2]) == (1, 'codes="standing.guarded clamp.n"')
    shown = accounts(house, "show", "theirs")
    assert (shown["level"], shown["by"], len(shown["history"])) == ("guarded", "ada", 1)
