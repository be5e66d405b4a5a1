"""Who is raised, how often that is written, and what becomes of a store that is away."""

from __future__ import annotations

import pytest

from proxy.core.decision import Decision, Effect, Raise, Reason
from proxy.core.errors import StoreUnavailableError
from proxy.core.standing import Level
from proxy.front.chores import Chores
from proxy.front.raising import MINUTE, MOST_LATELY, Levels
from proxy.limits.charges import Charged
from proxy.metrics import Metrics
from proxy.store.memory import MemoryStore
from proxy.store.standings import MemoryStandings

NOW = 1_795_435_200_000_000
HOUR = 3_600_000_000


def raising(level=Level.GUARDED, limit="l", lasts=HOUR):
    told = Raise(
        level, lasts, Reason("limit.raised", "p", limit, "account", "requests", "rate", 9, 1)
    )
    return Decision(Effect.ALLOW, (told.reason,), raised=(told,))


def charged(at):
    return Charged(admitted=True, receipts=(), at=at)


class AwayStore(MemoryStandings):
    """A server that does not answer."""

    async def lift(self, account, standing, now):
        raise StoreUnavailableError("nobody answers")


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def house(metrics):
    """Make the levels of a worker, with what failed beside them."""

    def house(kind=MemoryStandings):
        failed: list[str] = []
        standings = kind(MemoryStore(), "t")
        levels = Levels(standings, Chores(), metrics, lambda error: failed.append(str(error)))
        return levels, standings, failed

    return house


def counted(metrics, result):
    return sum(
        sample.value
        for family in metrics._raises.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["result"] == result
    )


async def test_a_limit_writes_an_accounts_level_once_a_minute(house, metrics):
    levels, standings, _ = house()
    for after in (0, 1, MINUTE - 1, MINUTE, MINUTE + 1):
        levels.note("acme", raising(), charged(NOW + after))
        await levels.chores.drain(1)
    assert counted(metrics, "set") == 2
    assert (await standings.find("acme", NOW)).until == NOW + MINUTE + HOUR


async def test_a_short_level_is_prolonged_before_it_ends(house, metrics):
    levels, standings, _ = house()
    for after in (0, MINUTE // 10 - 1, MINUTE // 10):
        levels.note("acme", raising(lasts=MINUTE), charged(NOW + after))
        await levels.chores.drain(1)
    assert counted(metrics, "set") == 2
    assert (await standings.find("acme", NOW)).until == NOW + MINUTE // 10 + MINUTE


async def test_other_accounts_and_other_limits_do_not_wait_for_it(house, metrics):
    levels, standings, _ = house()
    levels.note("acme", raising(), charged(NOW))
    levels.note("acme", raising(Level.RESTRICTED, "m"), charged(NOW + 1))
    levels.note("other", raising(), charged(NOW + 2))
    await levels.chores.drain(1)
    assert counted(metrics, "set") == 3
    assert (await standings.find("acme", NOW)).level is Level.RESTRICTED
    assert (await standings.find("other", NOW)).level is Level.GUARDED


async def test_a_decision_that_raises_nothing_starts_nothing(house):
    levels, _, _ = house()
    levels.note("acme", Decision(Effect.ALLOW), charged(NOW))
    assert (len(levels.chores), len(levels.lately)) == (0, 0)


async def test_what_lifts_nothing_is_counted_as_kept(house, metrics):
    levels, standings, _ = house()
    await standings.pardon("acme", NOW, "ada", "known")
    levels.note("acme", raising(), charged(NOW + 1))
    await levels.chores.drain(1)
    assert (counted(metrics, "set"), counted(metrics, "kept")) == (0, 1)


async def test_a_store_that_is_away_is_counted_and_told_and_asked_again_after_a_minute(
    house, metrics
):
    levels, _, failed = house(AwayStore)
    for after in (0, 1, MINUTE):
        levels.note("acme", raising(), charged(NOW + after))
        await levels.chores.drain(1)
    assert failed == ["nobody answers"] * 2
    assert counted(metrics, "failed") == 2


async def test_what_is_remembered_is_bounded(house):
    levels, _, _ = house()
    for number in range(MOST_LATELY + 3):
        levels.note(f"account-{number}", raising(), charged(NOW))
    assert len(levels.lately) == MOST_LATELY
    assert ("account-0", "limit p/l") not in levels.lately
    await levels.chores.drain(5)
