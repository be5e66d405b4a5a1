"""Who is assessed, who is raised, and what the journal says of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.assessment.assessor import BATCH, LEASE, Assessor
from proxy.assessment.grounds import Grounds
from proxy.assessment.observer import DeltaObserver
from proxy.core.errors import StoreUnavailableError
from proxy.core.standing import Level, Standing
from proxy.metrics import Metrics
from proxy.policy.compiled import Policy, PolicySet, Rung
from proxy.store.memory import MemoryStore
from proxy.store.profiles import MemoryProfiles
from proxy.store.standings import MemoryStandings
from proxy.watch.calibration import Calibration
from proxy.watch.observation import Observation, Subject
from proxy.watch.profile import HALF_LIVES

NOW = 1_795_435_200_000_000
HOUR = 3_600_000_000
LADDER = (Rung(Level.WATCH, at=1.0, lasts=HOUR), Rung(Level.GUARDED, at=6.0, lasts=24 * HOUR))
POLICIES = PolicySet((Policy("p", "", lambda *_: True, (), ladder=LADDER),), "digest")
GROUNDS = Grounds(POLICIES, Calibration(), "tables", HALF_LIVES)  # only invariants are evidence


class Paper:
    """A journal that can be read."""

    def __init__(self) -> None:
        self.records: list[dict] = []
        self.dropped = 0

    def write(self, record) -> None:
        self.records.append(dict(record))


class House:
    """An observer and assessors around one store in memory."""

    def __init__(self, standings=MemoryStandings) -> None:
        self.clock = NOW
        self.profiles = MemoryProfiles()
        self.standings = standings(MemoryStore(), "t")
        self.paper, self.metrics = Paper(), Metrics()
        self.failed: list[str] = []
        self.broken: list[str] = []
        self.observer = DeltaObserver(
            self.profiles, self.metrics, lambda: GROUNDS, self.broken.append
        )
        self.assessor = self.another()

    def another(self) -> Assessor:
        return Assessor(
            self.profiles, self.standings, lambda: GROUNDS, self.paper, self.metrics,
            lambda error: self.failed.append(str(error)), self.broken.append, lambda: self.clock,
        )  # fmt: skip

    async def see(self, account="acme", foreign=1.0) -> None:
        """Note an exchange with reasoning that was another's: evidence by itself."""
        self.observer.observe(
            Observation(Subject(account, "org", "paid"), self.clock, self.clock, foreign=foreign)
        )
        await self.observer.write()

    async def level(self, account="acme") -> str:
        found = await self.standings.find(account, self.clock)
        return "clear" if found is None else found.level.value


@pytest.fixture
def house():
    return House()


def counted(metrics, result) -> float:
    return metrics._assessed.labels(result)._value.get()


async def test_who_shows_evidence_is_raised_and_the_journal_has_all_the_numbers(house):
    await house.see()
    assert await house.assessor.turn() == 1
    assert await house.level() == "watch"
    (record,) = house.paper.records
    assert {name: record[name] for name in ("v", "kind", "t", "account", "org", "before", "level")} == {
        "v": 1, "kind": "standing", "t": NOW, "account": "acme", "org": "org",
        "before": "clear", "level": "watch",
    }  # fmt: skip
    assert (record["until"], record["by"], record["policy"]) == (NOW + HOUR, "evidence", "p")
    assert (record["policies"], record["calibration"]) == ("digest", "tables")
    assert record["families"] == ["invariant"]
    assert record["findings"][0]["detector"] == "foreign_reasoning"  # the heaviest comes first
    assert record["total"] == pytest.approx(record["findings"][0]["llr"])
    assert record["findings"][0]["numbers"]
    assert record["reason"]
    assert record["lowers"]


async def test_who_shows_nothing_stays_clear_and_is_not_looked_at_again(house):
    await house.see(foreign=0.0)
    assert await house.assessor.turn() == 1
    assert (await house.level(), house.paper.records) == ("clear", [])
    assert await house.assessor.turn() == 0
    assert counted(house.metrics, "clear") == 1


async def test_more_evidence_raises_further_and_is_told_again(house):
    for _ in range(4):
        await house.see()
        await house.assessor.turn()
    assert await house.level() == "guarded"
    levels = [(record["before"], record["level"]) for record in house.paper.records]
    assert levels == [("clear", "watch"), ("watch", "guarded")]


async def test_what_goes_on_is_prolonged_but_not_with_every_request(house):
    await house.see()
    await house.assessor.turn()
    for minutes in (1, 2, 30):
        house.clock = NOW + minutes * 60_000_000
        await house.see(foreign=0.0)
        await house.assessor.turn()
    assert (await house.standings.find("acme", house.clock)).until == house.clock + HOUR
    levels = [(record["before"], record["level"]) for record in house.paper.records]
    assert levels == [("clear", "watch"), ("watch", "watch")]
    assert counted(house.metrics, "kept") == 2


async def test_a_pardon_holds_for_as_long_as_the_level_would_have(house):
    await house.see()
    await house.assessor.turn()
    await house.standings.pardon("acme", NOW, "ada", "an eval of theirs")
    house.clock = NOW + HOUR - 1
    await house.see(foreign=0.0)
    await house.assessor.turn()
    assert (await house.level(), len(house.paper.records)) == ("clear", 1)
    house.clock = NOW + HOUR
    await house.see(foreign=0.0)
    await house.assessor.turn()
    assert (await house.level(), len(house.paper.records)) == ("watch", 2)


async def test_what_a_person_has_set_is_not_lowered(house):
    theirs = Standing(Level.RESTRICTED, NOW, NOW + 30 * 24 * HOUR, "ada", "a book")
    await house.standings.set("acme", theirs)
    await house.see()
    await house.assessor.turn()
    assert await house.standings.find("acme", NOW) == theirs
    assert house.paper.records == []


async def test_an_account_is_assessed_once_however_many_assess(house):
    for number in range(2 * BATCH):
        house.observer.observe(Observation(Subject(f"account-{number}"), NOW, NOW, foreign=1.0))
    await house.observer.write()
    crowd = [house.another() for _ in range(4)]
    found = await asyncio.gather(*(assessor.turn() for assessor in crowd))
    assert sum(found) == 2 * BATCH
    accounts = [record["account"] for record in house.paper.records]
    assert len(accounts) == len(set(accounts)) == 2 * BATCH


async def test_a_profile_that_is_gone_is_nothing_to_assess(house):
    await house.see()
    await house.profiles.forget("acme")
    await house.assessor.turn()
    assert (await house.level(), house.paper.records) == ("clear", [])


class AwayStandings(MemoryStandings):
    """A server that does not answer."""

    async def lift(self, account, standing, now):
        raise StoreUnavailableError("nobody answers")


async def test_what_could_not_be_written_is_due_again_when_its_lease_ends():
    house = House(AwayStandings)
    await house.see()
    assert await house.assessor.turn() == 1
    assert house.failed == ["nobody answers"]
    assert counted(house.metrics, "failed") == 1
    assert house.paper.records == []
    # It is still claimed: it comes back by itself, without another request.
    assert LEASE > 0
    assert await house.assessor.turn() == 0


class AwayProfiles(MemoryProfiles):
    """A server that does not answer."""

    async def due(self, most, lease):
        raise StoreUnavailableError("nobody answers")


async def test_a_store_that_is_away_is_told_once_until_it_is_back(house):
    back, house.assessor.profiles = house.assessor.profiles, AwayProfiles()
    assert [await house.assessor.turn() for _ in range(3)] == [None] * 3
    assert house.failed == ["nobody answers"]
    house.assessor.profiles = back
    assert await house.assessor.turn() == 0
    house.assessor.profiles = AwayProfiles()
    await house.assessor.turn()
    assert len(house.failed) == 2


class BrokenProfiles(MemoryProfiles):
    """A store with a mistake in it."""

    async def add(self, batch):
        raise KeyError("acme")

    async def due(self, most, lease):
        raise KeyError("acme")


async def test_a_mistake_in_the_store_is_told_without_content_and_ends_nothing(house):
    house.assessor.profiles = house.observer.profiles = BrokenProfiles()
    await house.see()
    assert await house.assessor.turn() is None
    assert (house.broken, house.observer.dropped) == (["KeyError", "KeyError"], 1)
    assert house.observer.waiting == 0


async def test_a_mistake_in_one_assessment_is_told_without_content_and_stops_nobody(house):
    await house.see("a")
    await house.see("b")
    broken = iter([True])

    def speaking():
        if next(broken, False):
            bad = PolicySet((Policy("p", "", lambda *_: 1 // 0, ()),), "digest")
            return replace(GROUNDS, policies=bad)
        return GROUNDS

    house.assessor.grounds = speaking
    assert await house.assessor.turn() == 2
    assert house.broken == ["ZeroDivisionError"]
    assert [record["account"] for record in house.paper.records] == ["b"]
