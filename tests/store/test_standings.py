"""Standings as people set and read them: in memory, on Valkey, on a cluster, on Redis."""

from __future__ import annotations

import pytest

from proxy.core.errors import SettingsError, StoreUnavailableError
from proxy.core.standing import Level, Standing
from proxy.limits.buckets import Rate
from proxy.limits.charges import Charge
from proxy.limits.keys import bucket_key, standing_key
from proxy.store.memory import SWEEP, MemoryStore
from proxy.store.open import open_standings, open_store
from proxy.store.standings import HISTORY_MS, MOST_HISTORY, MemoryStandings

S = 1_000_000
H = 3600 * S
LATER = 4_102_444_800 * S + 7
RESTRICTED = Standing(Level.RESTRICTED, LATER, LATER + H, "ada", 'asks "everything", über 5 €')
ACCOUNT = "a}b{c:d"  # braces are what a cluster finds the node of a key by
_, KEY = standing_key("t", ACCOUNT)


async def test_a_level_is_found_until_it_has_run_out(standings):
    assert await standings.find(ACCOUNT, LATER) is None
    await standings.set(ACCOUNT, RESTRICTED)
    assert await standings.find(ACCOUNT, LATER) == RESTRICTED
    assert await standings.find(ACCOUNT, RESTRICTED.until - 1) == RESTRICTED
    assert await standings.find(ACCOUNT, RESTRICTED.until) is None
    assert await standings.find("a}b{c", LATER) is None


async def test_a_level_of_an_account_with_braces_in_its_name_is_told(store, standings):
    await standings.set(ACCOUNT, RESTRICTED)
    bucket = Rate(5, S, 5)
    mine = Charge(*bucket_key("t", "account", ACCOUNT, "p", "l", bucket), bucket, 1)
    assert (await store.charge([mine], LATER, KEY)).standing == RESTRICTED


@pytest.mark.parametrize(("now", "was_set"), [(LATER + 1, True), (RESTRICTED.until, False)])
async def test_a_pardon_tells_whether_there_was_something_to_pardon(standings, now, was_set):
    await standings.set(ACCOUNT, RESTRICTED)
    assert await standings.pardon(ACCOUNT, now, "bob", "a mistake of ours") is was_set
    assert await standings.find(ACCOUNT, LATER) is None
    assert await standings.pardon(ACCOUNT, now, "bob", "a mistake of ours") is False


async def test_a_history_tells_levels_and_pardons_the_newest_first(standings):
    assert await standings.history(ACCOUNT) == []
    contained = Standing(Level.CONTAINED, LATER + 1, LATER + H, "eve", "more")
    await standings.set(ACCOUNT, RESTRICTED)
    await standings.set(ACCOUNT, contained)
    await standings.pardon(ACCOUNT, LATER + 2, "bob", "a mistake of ours")
    pardon = Standing(Level.CLEAR, LATER + 2, LATER + 2, "bob", "a mistake of ours")
    assert await standings.history(ACCOUNT) == [pardon, contained, RESTRICTED]
    assert await standings.history("other") == []


async def test_a_history_keeps_its_last_hundred_entries(standings):
    for number in range(MOST_HISTORY + 3):
        await standings.set(ACCOUNT, Standing(Level.WATCH, LATER + number, LATER + H))
    told = [entry.since - LATER for entry in await standings.history(ACCOUNT)]
    assert told == list(range(MOST_HISTORY + 2, 2, -1))


async def test_two_installations_on_one_server_do_not_share_standings(valkey):
    with valkey.client() as client:
        client.flushall()
    ours, theirs = (open_standings(valkey.url, env) for env in ("t", "u"))
    await ours.set(ACCOUNT, RESTRICTED)
    assert await theirs.find(ACCOUNT, LATER) is None
    assert await theirs.history(ACCOUNT) == []
    await ours.close()
    await theirs.close()


async def test_a_server_forgets_a_level_when_it_has_run_out_and_its_history_after_400_days(valkey):
    with valkey.client() as client:
        client.flushall()
        standings = open_standings(valkey.url, "t")
        await standings.set(ACCOUNT, RESTRICTED)
        assert client.pexpiretime(KEY) == RESTRICTED.until // 1000 + 1
        for _ in range(MOST_HISTORY):
            await standings.set(ACCOUNT, RESTRICTED)
        assert client.llen(f"{KEY}:history") == MOST_HISTORY
        assert HISTORY_MS - 10_000 < client.pttl(f"{KEY}:history") <= HISTORY_MS
        await standings.set(ACCOUNT, Standing(Level.WATCH, 1, 5_000))
        assert client.exists(KEY) == 0
        await standings.close()


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_a_charge_of_an_account_and_its_standing_are_one_call(request, scheme):
    server = request.getfixturevalue("valkey" if scheme == "redis" else "cluster")

    def calls():
        with server.client() as client:
            told = client.info("commandstats")
        return sum(each["calls"] for name, each in told.items() if "eval" in name)

    store = open_store(server.url.replace("redis", scheme), deadline_us=2 * S)
    await store.charge([], standing=KEY)
    before = calls()
    bucket = Rate(5, S, 5)
    mine = Charge(*bucket_key("t", "account", ACCOUNT, "p", "l", bucket), bucket, 1)
    await store.charge([mine], standing=KEY)
    assert calls() == before + 1
    await store.close()


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize(
    "put",
    [
        lambda client: client.set(KEY, b""),
        lambda client: client.set(KEY, b"\xff{"),
        lambda client: client.set(KEY, b'{"level":"furious"}'),
        lambda client: client.set(KEY, b"[1]"),
        lambda client: client.lpush(KEY, "a list"),
    ],
    ids=["empty", "no JSON", "no level", "no object", "no string"],
)
async def test_a_standing_that_cannot_be_read_is_none_and_takes_no_charge_down(
    request, scheme, put
):
    server = request.getfixturevalue("valkey" if scheme == "redis" else "cluster")
    with server.client() as client:
        client.flushall()
        put(client)
        empty = client.type(KEY) == b"string" and client.strlen(KEY) == 0
    store = open_store(server.url.replace("redis", scheme), deadline_us=2 * S)
    bucket = Rate(5, S, 5)
    one = Charge(*bucket_key("t", "account", ACCOUNT, "p", "l", bucket), bucket, 1)
    charged = await store.charge([one], LATER, KEY)
    assert (charged.admitted, charged.receipts[0].remaining) == (True, 4)
    assert charged.standing is None
    assert store.unreadable == (0 if empty else 1)
    await store.close()


async def test_what_cannot_be_read_is_left_out_of_find_and_history(valkey):
    with valkey.client() as client:
        client.flushall()
        standings = open_standings(valkey.url, "t")
        await standings.set(ACCOUNT, RESTRICTED)
        client.set(KEY, b"torn")
        client.lpush(f"{KEY}:history", b"torn")
        assert await standings.find(ACCOUNT, LATER) is None
        assert await standings.history(ACCOUNT) == [RESTRICTED]
        await standings.close()


async def test_a_dead_server_is_told_as_unavailable_and_nothing_else(own_server):
    standings = open_standings(own_server.url, "t")
    store = open_store(own_server.url, deadline_us=S // 2)
    own_server.kill()
    for call in (
        lambda: standings.set(ACCOUNT, RESTRICTED),
        lambda: standings.pardon(ACCOUNT, LATER, "bob", "why"),
        lambda: standings.find(ACCOUNT, LATER),
        lambda: standings.history(ACCOUNT),
        lambda: store.charge([], standing=KEY),
    ):
        with pytest.raises(StoreUnavailableError):
            await call()
    await standings.close()
    await store.close()


def test_no_command_reaches_the_standings_in_anothers_memory():
    with pytest.raises(SettingsError, match="memory keeps standings within the process"):
        open_standings("memory", "t")


async def test_memory_forgets_levels_that_have_run_out():
    store = MemoryStore()
    standings = MemoryStandings(store, "t")
    await standings.set(ACCOUNT, RESTRICTED)
    await standings.set("other", Standing(Level.WATCH, LATER, LATER + 9 * H))
    for _ in range(SWEEP):
        store.charge_now([], RESTRICTED.until)
    assert list(store.standings) == [standing_key("t", "other")[1]]
