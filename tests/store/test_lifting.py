"""Levels that limits raise, as stores keep them: one contract for all."""

from __future__ import annotations

import asyncio

import pytest

from proxy.core.errors import StoreUnavailableError
from proxy.core.standing import Level, Standing, standing_of
from proxy.limits.keys import standing_key
from proxy.store import scripts
from proxy.store.open import open_standings, open_store, standings_beside
from proxy.store.standings import HISTORY_MS, MOST_HISTORY, MemoryStandings, RedisStandings

S = 1_000_000
H = 3600 * S
NOW = 4_102_444_800 * S + 7  # a standing is kept by the server's clock, so its end lies ahead
ACCOUNT = "a}b{c:d"
_, KEY = standing_key("t", ACCOUNT)


def raised(level, hours, since=NOW, by="limit p/l"):
    return Standing(Level(level), since, since + hours * H, by, 'no "room", über 5')


def set_by_ada(level, hours, since=NOW - H):
    return Standing(Level(level), since, NOW + hours * H, "ada", "a book")


async def test_a_clear_account_is_lifted_and_its_charges_and_history_tell(store, standings):
    assert await standings.lift(ACCOUNT, raised("guarded", 2), NOW)
    assert await standings.find(ACCOUNT, NOW) == raised("guarded", 2)
    assert (await store.charge([], NOW, KEY)).standing == raised("guarded", 2)
    assert (await store.charge([], NOW + 2 * H, KEY)).standing is None
    assert await standings.history(ACCOUNT) == [raised("guarded", 2)]
    assert await standings.find("other", NOW) is None


# a person set             a limit raises          then it is lifted, and who has the word now
LIFTS = [
    (("contained", 1),     ("restricted", 9),      False),
    (("restricted", 1),    ("guarded", 9),         False),
    (("guarded", 2),       ("guarded", 2),         False),
    (("guarded", 9),       ("guarded", 2),         False),
    (("guarded", 2),       ("guarded", 9),         True),
    (("watch", 1),         ("guarded", 9),         True),
    (("watch", 0),         ("watch", 9),           True),
]  # fmt: skip


@pytest.mark.parametrize(("by_hand", "by_limit", "lifts"), LIFTS)
async def test_a_level_that_a_person_set_is_never_lowered_nor_shortened(
    standings, by_hand, by_limit, lifts
):
    await standings.set(ACCOUNT, set_by_ada(*by_hand))
    assert await standings.lift(ACCOUNT, raised(*by_limit), NOW) is lifts
    found = await standings.find(ACCOUNT, NOW)
    assert found == (raised(*by_limit) if lifts else set_by_ada(*by_hand))
    assert len(await standings.history(ACCOUNT)) == 1 + lifts


async def test_what_a_person_set_for_longer_holds_again_when_the_higher_level_ends(
    store, standings
):
    ada = set_by_ada("watch", 100)
    await standings.set(ACCOUNT, ada)
    await standings.lift(ACCOUNT, raised("guarded", 9), NOW)
    await standings.lift(ACCOUNT, raised("restricted", 5), NOW)
    for hours, level in ((0, "restricted"), (5, "guarded"), (9, "watch"), (99, "watch")):
        assert (await standings.find(ACCOUNT, NOW + hours * H)).level == level
        assert (await store.charge([], NOW + hours * H, KEY)).standing.level == level
    assert await standings.find(ACCOUNT, NOW + 9 * H) == ada
    assert await standings.find(ACCOUNT, ada.until) is None
    assert (await store.charge([], ada.until, KEY)).standing is None


async def test_a_pardon_ends_what_lies_under_a_level_too(store, standings):
    await standings.set(ACCOUNT, set_by_ada("watch", 100))
    await standings.lift(ACCOUNT, raised("guarded", 9), NOW)
    assert await standings.pardon(ACCOUNT, NOW + 50 * H, "bob", "known")
    assert (await store.charge([], NOW, KEY)).standing is None
    assert await standings.find(ACCOUNT, NOW) is None


async def test_a_pardon_holds_against_limits_for_as_long_as_their_level_would(standings):
    await standings.lift(ACCOUNT, raised("guarded", 9), NOW)
    await standings.pardon(ACCOUNT, NOW + H, "bob", "known")
    assert not await standings.lift(ACCOUNT, raised("guarded", 9, NOW + 10 * H - 1), NOW + 10 * H)
    assert await standings.find(ACCOUNT, NOW + 10 * H) is None
    assert await standings.lift(ACCOUNT, raised("guarded", 9, NOW + 10 * H), NOW + 10 * H)
    assert [one.level for one in await standings.history(ACCOUNT)] == [
        "guarded",
        "clear",
        "guarded",
    ]


async def test_a_level_that_goes_on_is_one_entry_since_its_beginning(standings):
    await standings.set(ACCOUNT, set_by_ada("watch", 1))
    for hours in range(MOST_HISTORY + 5):
        moment = NOW + hours * H
        assert await standings.lift(ACCOUNT, raised("guarded", 9, moment), moment)
    history = await standings.history(ACCOUNT)
    assert [(one.level, one.since) for one in history] == [("guarded", NOW), ("watch", NOW - H)]
    assert history[0].until == NOW + (MOST_HISTORY + 4 + 9) * H
    assert await standings.find(ACCOUNT, NOW) == history[0]


async def test_another_limits_level_is_an_entry_of_its_own(standings):
    await standings.lift(ACCOUNT, raised("guarded", 9), NOW)
    await standings.lift(ACCOUNT, raised("guarded", 20, by="limit p/other"), NOW)
    await standings.lift(ACCOUNT, raised("guarded", 30), NOW)
    assert [one.by for one in await standings.history(ACCOUNT)] == [
        "limit p/l", "limit p/other", "limit p/l",
    ]  # fmt: skip


async def test_of_many_workers_at_once_the_highest_level_stays(place, standings):
    if isinstance(standings, MemoryStandings):
        return await _race([standings])
    others = [open_standings(place, "t") for _ in range(3)]
    try:
        await _race([standings, *others])
    finally:
        for other in others:
            await other.close()


async def _race(workers):
    levels = ("watch", "restricted", "guarded", "watch", "guarded", "watch")
    hours = {"watch": 1, "guarded": 2, "restricted": 9}
    async with asyncio.TaskGroup() as tasks:
        for number, level in enumerate(levels):
            worker = workers[number % len(workers)]
            tasks.create_task(worker.lift(ACCOUNT, raised(level, hours[level]), NOW))
    assert await workers[0].find(ACCOUNT, NOW) == raised("restricted", 9)


async def test_a_server_keeps_a_level_until_all_of_it_has_run_out(valkey):
    with valkey.client() as client:
        client.flushall()
        standings = open_standings(valkey.url, "t")
        await standings.set(ACCOUNT, set_by_ada("watch", 100))
        await standings.lift(ACCOUNT, raised("guarded", 9), NOW)
        assert client.pexpiretime(KEY) == (NOW + 100 * H) // 1000 + 1
        await standings.close()


async def test_a_server_keeps_a_hundred_entries_for_400_days_after_a_lift(valkey):
    with valkey.client() as client:
        client.flushall()
        standings = open_standings(valkey.url, "t")
        for number in range(MOST_HISTORY):
            await standings.set(ACCOUNT, raised("watch", 1, NOW + number))
        client.pexpire(f"{KEY}:history", 1_000_000)
        assert await standings.lift(ACCOUNT, raised("guarded", 9), NOW)
        assert client.llen(f"{KEY}:history") == MOST_HISTORY
        assert HISTORY_MS - 10_000 < client.pttl(f"{KEY}:history") <= HISTORY_MS
        await standings.close()


STALE = [
    # the standing now,                 its newest entry now,     are they what was read?
    (b"",                               b"",                      True),
    (set_by_ada("contained", 1).to_bytes(), b"",                  False),
    (b"",                               b"a pardon, just now",    False),
]  # fmt: skip


@pytest.mark.parametrize(("kept", "newest", "same"), STALE)
def test_what_somebody_has_said_since_it_was_read_is_not_overwritten(valkey, kept, newest, same):
    history, standing = f"{KEY}:history", raised("restricted", 9).to_bytes()
    with valkey.client() as client:
        client.flushall()
        if kept:
            client.set(KEY, kept)
        if newest:
            client.lpush(history, newest)
        until, script = (NOW + 9 * H) // 1000, scripts.LIFT.text
        answer = client.eval(script, 2, KEY, history, standing, until, b"new", 9, 9000, "", "", "0")
        assert answer == (b"1" if same else b"")
        assert (client.get(KEY) or b"") == (standing if same else kept)
        entries = [newest] if newest else []
        assert client.lrange(history, 0, -1) == ([b"new"] if same else entries)


def test_a_history_that_is_gone_is_other_than_what_was_read(valkey):
    with valkey.client() as client:
        client.flushall()
        words = (b"new", (NOW + H) // 1000, b"new", 9, 9000, "", "an entry", "1")
        assert client.eval(scripts.LIFT.text, 2, KEY, f"{KEY}:history", *words) == b""
        assert client.exists(KEY) == 0


async def test_a_server_that_is_away_is_told_as_unavailable(own_server):
    standings = open_standings(own_server.url, "t")
    own_server.kill()
    with pytest.raises(StoreUnavailableError):
        await standings.lift(ACCOUNT, raised("watch", 1), NOW)
    await standings.close()


async def test_those_who_serve_from_memory_have_the_standings_of_their_own_store(valkey):
    store = open_store("memory", deadline_us=S)
    beside = standings_beside(store, "memory", "t")
    await beside.lift(ACCOUNT, raised("watch", 1), NOW)
    assert (await store.charge([], NOW, KEY)).standing == raised("watch", 1)
    server = open_store(valkey.url, deadline_us=S)
    other = standings_beside(server, valkey.url, "t")
    assert isinstance(other, RedisStandings)
    await other.close()
    await server.close()


@pytest.mark.parametrize(
    "under",
    [
        b'{"level":"guarded","since":1,"until":9,"by":"","reason":""}',
        b'{"level":"restricted","since":1,"until":9,"by":"","reason":""}',
        b'{"level":"watch","since":1,"until":5,"by":"","reason":""}',
        b'{"level":"watch"}', b"[1]", b'"watch"', b"7",
    ],
)  # fmt: skip
def test_a_level_lies_under_a_higher_one_that_ends_earlier_or_is_no_standing(under):
    whole = b'{"level":"guarded","since":1,"until":5,"by":"","reason":"","under":%s}'
    with pytest.raises(ValueError, match="no standing"):
        standing_of(whole % under)
    inner = Standing(Level.WATCH, 1, 9, "ada", "odd")
    kept = Standing(Level.GUARDED, 1, 5, "limit p/l", "full", inner)
    assert standing_of(kept.to_bytes()) == kept
