"""Whose stored objects are: one contract in memory, on Valkey, on a cluster, on Redis."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from proxy.core.errors import StoreUnavailableError
from proxy.core.shape import NO_SHAPE, Shape
from proxy.core.stored import Claim
from proxy.limits.keys import object_key
from proxy.store.claims import claim_bytes, claim_of
from proxy.store.objects import KEPT_SECONDS, MemoryObjects
from proxy.store.open import open_objects

S = 1_000_000
EVERYTHING = Shape(
    names=("free/narrow", "über/€"),
    strip=frozenset({"logprobs", "seed"}),
    hide_reasoning=True,
    n=1,
    best_of=2,
    output_tokens=3,
    top_logprobs=0,
    temperature_min=0.0,
    temperature_max=1.5,
    effort="low",
    truncate=50,
    delay=250_000,
)
ACME = Claim("acme", "gpt", EVERYTHING, b'{"v":1}\n\x00\xff')
THIEF = Claim("thief", "gpt")


async def test_a_claim_is_found_as_it_was_made(objects):
    await objects.claim(["resp_1", "msg_{2}"], ACME)
    assert await objects.find(["msg_{2}", "resp_9", "resp_1"]) == [ACME, None, ACME]
    assert await objects.find([]) == []


async def test_what_was_claimed_first_stays_whose_it_is(objects):
    first = Claim("acme", "gpt", NO_SHAPE, b"reserved")
    await objects.claim(["resp_1"], first)
    await objects.claim(["resp_1", "resp_2"], THIEF)
    await objects.claim(["resp_1"], Claim("acme", "other"))
    assert await objects.find(["resp_1", "resp_2"]) == [first, THIEF]


async def test_a_reservation_is_given_out_once_and_the_claim_stays(objects):
    await objects.claim(["resp_1"], ACME)
    taken = await asyncio.gather(*(objects.take_reservation("resp_1") for _ in range(20)))
    assert sorted(taken) == [b""] * 19 + [ACME.reservation]
    assert await objects.find(["resp_1"]) == [Claim("acme", "gpt", EVERYTHING)]


async def test_there_is_nothing_to_take_where_nothing_was_reserved(objects):
    await objects.claim(["resp_1"], THIEF)
    assert await objects.take_reservation("resp_1") == b""
    assert await objects.take_reservation("resp_none") == b""
    assert await objects.find(["resp_1", "resp_none"]) == [THIEF, None]


async def test_a_forgotten_object_can_be_claimed_anew(objects):
    await objects.claim(["resp_1"], ACME)
    await objects.forget("resp_1")
    await objects.forget("resp_none")
    assert await objects.find(["resp_1"]) == [None]
    await objects.claim(["resp_1"], THIEF)
    assert await objects.find(["resp_1"]) == [THIEF]


async def test_a_hundred_who_ask_at_once_are_all_answered(objects):
    async def one(number):
        await objects.claim([f"resp_{number}"], Claim(f"a{number}"))
        return await objects.find([f"resp_{number}"])

    found = await asyncio.gather(*map(one, range(100)))
    assert found == [[Claim(f"a{number}")] for number in range(100)]


async def test_a_claim_is_kept_for_31_days_and_taking_does_not_prolong_it(valkey):
    objects, key = open_objects(valkey.url, "t", 2 * S), object_key("t", "resp_1")
    with valkey.client() as client:
        client.flushall()
        await objects.claim(["resp_1"], ACME)
        assert KEPT_SECONDS - 10 < client.ttl(key) <= KEPT_SECONDS == 31 * 86_400
        client.expire(key, 500)
        assert await objects.take_reservation("resp_1") == ACME.reservation
        await objects.claim(["resp_1"], ACME)
        assert 490 < client.ttl(key) <= 500
    await objects.close()


async def test_memory_keeps_a_claim_for_31_days_and_taking_does_not_prolong_it():
    now = 7
    objects = MemoryObjects(lambda: now)
    await objects.claim(["resp_1"], ACME)
    now += KEPT_SECONDS * S - 1
    assert await objects.take_reservation("resp_1") == ACME.reservation
    now += 1
    assert await objects.find(["resp_1"]) == [None]
    assert len(objects) == 0


async def test_memory_is_bounded_and_drops_what_was_used_longest_ago():
    objects = MemoryObjects(most=3)
    await objects.claim(["a", "b", "c"], ACME)
    await objects.find(["a"])
    await objects.claim(["d", "e"], ACME)
    assert [claim is not None for claim in await objects.find(list("abcde"))] == [
        True, False, False, True, True,
    ]  # fmt: skip
    assert len(objects) == 3


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"\n",
        b"[]\n",
        b'{"account":"a","model":"m"}\n',
        b'{"account":1,"model":"m","shape":{}}\n',
        b'{"account":"a","model":"m","shape":{"n":"1"}}\n',
        b'{"account":"a","model":"m","shape":{"n":true}}\n',
        b'{"account":"a","model":"m","shape":{"hide_reasoning":1}}\n',
        b'{"account":"a","model":"m","shape":{"temperature_max":"hot"}}\n',
        b'{"account":"a","model":"m","shape":{"strip":"seed"}}\n',
        b'{"account":"a","model":"m","shape":{"strip":[[]]}}\n',
        b'{"account":"a","model":"m","shape":{"effort":1}}\n',
        b'{"account":"a","model":"m","shape":{"blur":5}}\n',
    ],
)
async def test_a_claim_that_cannot_be_read_is_nobodys(valkey, kept):
    with pytest.raises(ValueError, match=r"(?i)no claim|no shape|input"):
        claim_of(kept)
    with valkey.client() as client:
        client.set(object_key("t", "resp_1"), kept)
    objects = open_objects(valkey.url, "t", 2 * S)
    assert await objects.find(["resp_1"]) == [None]
    assert objects.unreadable == 1
    await objects.close()


@pytest.mark.parametrize("claim", [ACME, THIEF, Claim("", shape=Shape(delay=1)), Claim("a\nb")])
def test_a_claim_is_read_as_it_was_written(claim):
    assert claim_of(claim_bytes(claim)) == claim


def test_a_claim_without_a_shape_has_the_one_that_changes_nothing():
    assert claim_of(claim_bytes(THIEF)).shape is NO_SHAPE


def calls(objects):
    return (
        lambda: objects.claim(["resp_1"], ACME),
        lambda: objects.find(["resp_1"]),
        lambda: objects.take_reservation("resp_1"),
        lambda: objects.forget("resp_1"),
    )


async def test_a_dead_server_is_told_as_unavailable_and_nothing_else(own_server):
    objects = open_objects(own_server.url, "t", S // 2)
    own_server.kill()
    for call in calls(objects):
        with pytest.raises(StoreUnavailableError):
            await call()
    await objects.close()


@pytest.mark.parametrize("known", [False, True], ids=["unconnected", "connected"])
async def test_a_frozen_server_holds_nobody_up_and_no_late_answer_reaches_another(
    own_server, known
):
    objects = open_objects(own_server.url, "t", 50_000)
    patient = open_objects(own_server.url, "t", 5 * S)
    await patient.claim(["resp_1"], ACME)
    if known:
        await objects.find(["resp_1"])
    os.kill(own_server.process.pid, signal.SIGSTOP)
    began = asyncio.get_running_loop().time()
    try:
        ended = await asyncio.gather(
            *(objects.find(["resp_1"]) for _ in range(100)), return_exceptions=True
        )
    finally:
        os.kill(own_server.process.pid, signal.SIGCONT)
    assert {type(each) for each in ended} == {StoreUnavailableError}
    assert asyncio.get_running_loop().time() - began < 1
    assert await patient.find(["resp_none", "resp_1"]) == [None, ACME]
    await patient.claim(["resp_2"], THIEF)
    slow = open_objects(own_server.url, "t", 5 * S)
    assert await slow.find(["resp_2"]) == [THIEF]
    for each in (objects, patient, slow):
        await each.close()
