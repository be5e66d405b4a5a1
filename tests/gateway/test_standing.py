"""A level that an operator sets is felt by every worker, and ends by itself or by pardon."""

from __future__ import annotations

import json
import time

import anthropic
import openai
import pytest

LADDER = """\
policy: everyone
limits:
  - {limit: requests, allow: 1_000_000 requests, per: 1m, by: [key]}
  - {limit: day, allow: 1_000_000 requests, per: day, by: [account]}
shapes:
  guarded: {strip: [logprobs], clamp: {n: 1}}
  restricted: {extends: guarded, hide: [reasoning], truncate: {output_tokens: 5}}
ladder:
  - {level: guarded, shape: guarded}
  - {level: restricted, shape: restricted}
  - {level: contained, refuse: account_under_review}
"""
ASK = [{"role": "user", "content": "[[tokens=20]] hello"}]


@pytest.fixture(scope="module")
def house(started_once):
    with started_once(everyone=LADDER, flags={"workers": 2}) as gateway:
        yield gateway


def accounts(house, *words) -> dict:
    *first, account = words
    return json.loads(house.weir("accounts", *first, "--home", house.home, "--json", account))


def ask(house, secret, **more):
    with house.client(secret) as client:
        return client.chat.completions.with_raw_response.create(
            model="standin", messages=ASK, **more
        )


def choices(house, secret) -> set[int]:
    """Return how many choices a request for two gets, by twelve connections: all workers answer."""
    return {len(ask(house, secret, n=2).parse().choices) for _ in range(12)}


def test_a_level_is_felt_by_every_worker_within_two_seconds_and_pardoned(house):
    secret = house.issue("suspect")[1]
    assert choices(house, secret) == {2}
    accounts(house, "set-level", "guarded", "--for", "1h", "--reason", "odd templates", "suspect")
    began = time.monotonic()
    assert choices(house, secret) == {1}
    assert time.monotonic() - began < 2
    shown = accounts(house, "show", "suspect")
    assert (shown["level"], shown["reason"]) == ("guarded", "odd templates")
    accounts(house, "pardon", "--reason", "it was an eval", "suspect")
    assert choices(house, secret) == {2}


def test_a_higher_level_does_what_its_rung_says_and_the_record_tells(house):
    secret = house.issue("worse")[1]
    accounts(house, "set-level", "restricted", "--for", "1h", "--reason", "harvest", "worse")
    with house.client(secret) as client:
        answer = client.chat.completions.with_raw_response.create(
            model="standin", messages=ASK, n=2, stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer.parse())
    assert len(text.split()) == 5
    assert answer.headers["x-weir-decision"].endswith(
        '"standing.restricted clamp.n truncate.output_tokens hide.reasoning"'
    )
    decision = answer.headers["x-weir-decision"].partition(";")[0]
    record = house.record(decision)
    assert (record["level"], record["effect"], record["cut"]) == ("restricted", "shape", True)
    assert record["shapes"] == ["everyone/restricted"]
    story = house.weir("explain", decision, "--home", house.home)
    assert "The account stands at restricted" in story


def test_a_contained_account_is_refused_in_its_sdks_own_words_and_pays_nothing(house):
    secret = house.issue("thief")[1]
    ask(house, secret)
    accounts(house, "set-level", "contained", "--for", "1h", "--reason", "replayed blobs", "thief")
    with house.client(secret, max_retries=2) as client, house.claude(secret) as claude:
        for ask_for, wrong in (
            (lambda: client.chat.completions.create(model="standin", messages=ASK), openai.PermissionDeniedError),
            (lambda: client.completions.create(model="standin", prompt="x"), openai.PermissionDeniedError),
            (lambda: client.embeddings.create(model="standin", input="x"), openai.PermissionDeniedError),
            (lambda: client.responses.create(model="standin", input="x", stream=True), openai.PermissionDeniedError),
            (lambda: claude.messages.create(model="standin", max_tokens=9, messages=ASK), anthropic.PermissionDeniedError),
        ):  # fmt: skip
            with pytest.raises(wrong) as caught:
                ask_for()
            assert caught.value.response.headers["x-should-retry"] == "false"
            assert "account_under_review" in caught.value.response.text
            assert "replayed" not in caught.value.response.text  # for operators' eyes
    records = house.eventual_records("thief", 6)
    assert [one["effect"] for one in records].count("refuse") == 5  # nobody retried
    house.weir("accounts", "pardon", "--reason", "x", "--home", house.home, "thief")
    decision = ask(house, secret).headers["x-weir-decision"]
    (day,) = [one for one in house.record(decision)["limits"] if one["limit"] == "day"]
    # One before, this one, and none of the five refused.
    assert day["amount"] - day["remaining"] == 2


def test_a_level_ends_by_itself(house):
    secret = house.issue("brief")[1]
    accounts(house, "set-level", "guarded", "--for", "1m", "--reason", "a minute", "brief")
    assert choices(house, secret) == {1}
    # Time is the store's: what would have run out a second ago is put in its place.
    with house.store() as store:
        (key,) = [one for one in store.keys("*standing") if b"brief" in one]
        told = json.loads(store.get(key))
        assert 0 < store.pttl(key) <= 60_001
        store.set(key, json.dumps({**told, "until": int(time.time() * 1e6) - 1_000_000}))
    assert choices(house, secret) == {2}


def test_a_contained_account_stays_so_while_the_store_is_away(house):
    secret = house.issue("waiting")[1]
    accounts(house, "set-level", "contained", "--for", "1h", "--reason", "x", "waiting")
    for _ in range(12):
        with pytest.raises(openai.PermissionDeniedError):
            ask(house, secret)
    with house.frozen_store():
        for _ in range(4):
            with pytest.raises((openai.PermissionDeniedError, openai.InternalServerError)):
                ask(house, secret)


def test_the_history_names_who_and_why(house):
    house.issue("known")
    accounts(
        house, "set-level", "watch", "--for", "2h", "--reason", "first", "--by", "ada", "known"
    )
    accounts(
        house, "set-level", "guarded", "--for", "2h", "--reason", "second", "--by", "bob", "known"
    )
    accounts(house, "pardon", "--reason", "third", "--by", "eve", "known")
    shown = accounts(house, "show", "known")
    assert shown["level"] == "clear"
    assert [(one["level"], one["by"], one["reason"]) for one in shown["history"]] == [
        ("clear", "eve", "third"), ("guarded", "bob", "second"), ("watch", "ada", "first"),
    ]  # fmt: skip
