"""What is noted is written once, and stays where the store is away."""

from __future__ import annotations

import pytest

from proxy.assessment.grounds import grounds_of
from proxy.assessment.observer import MOST_AT_ONCE, DeltaObserver
from proxy.metrics import Metrics
from proxy.policy.compiled import PolicySet
from proxy.policy.loader import Loaded
from proxy.policy.models import Models
from proxy.store.profiles import MemoryProfiles
from proxy.watch.observation import Observation, Subject

NOW = 1_795_435_200_000_000
GROUNDS = grounds_of(Loaded(PolicySet((), "d"), Models()))


def seen(account="acme", at=NOW):
    return Observation(Subject(account, "acme", "paid"), at, at + 1_000)


class AwayStore(MemoryProfiles):
    """A store that answers when it likes: batches are kept, and perhaps taken all the same."""

    def __init__(self, answers: list[str]) -> None:
        super().__init__()
        self.answers, self.batches = answers, []

    async def add(self, batch):
        self.batches.append(batch)
        match self.answers.pop(0) if self.answers else "takes":
            case "away":
                return list(batch.deltas)
            case "takes, and says nothing":
                await super().add(batch)
                return list(batch.deltas)
            case "takes the first":
                first, *others = batch.deltas
                await super().add(
                    type(batch)(batch.writer, batch.number, {first: batch.deltas[first]})
                )
                return others
        return await super().add(batch)


@pytest.fixture
def house():
    def house(*answers, **more):
        store = AwayStore(list(answers))
        return DeltaObserver(store, Metrics(), lambda: GROUNDS, [].append, **more), store

    return house


async def requests(store, account="acme") -> float:
    (found,) = await store.find([account])
    return 0.0 if found is None else round(found["requests"], 3)


async def test_what_was_seen_between_two_writes_is_one_delta_an_account(house):
    observer, store = house()
    for number in range(3):
        observer.observe(seen(at=NOW + number))
    observer.observe(seen("other"))
    await observer.write()
    assert [sorted(batch.deltas) for batch in store.batches] == [["acme", "other"]]
    assert (await requests(store), await requests(store, "other")) == (3, 1)
    assert observer.waiting == 0


async def test_nothing_is_written_where_nothing_was_seen(house):
    observer, store = house()
    await observer.write()
    assert store.batches == []


@pytest.mark.parametrize("answer", ["away", "takes, and says nothing", "takes the first"])
async def test_what_may_not_have_been_stored_is_sent_again_as_it_was_and_counts_once(house, answer):
    observer, store = house(answer)
    for account in ("acme", "other"):
        observer.observe(seen(account))
    await observer.write()
    assert observer.waiting
    observer.observe(seen("other"))
    await observer.write()
    first, again, *_ = store.batches
    assert (again.writer, again.number) == (first.writer, first.number)
    await observer.write()
    assert (await requests(store), await requests(store, "other")) == (1, 2)
    assert observer.waiting == 0


async def test_an_account_whose_last_delta_is_unsure_waits_and_the_others_do_not(house):
    observer, store = house("away", "away")
    observer.observe(seen("acme"))
    await observer.write()
    observer.observe(seen("acme"))
    observer.observe(seen("other"))
    await observer.write()
    assert [list(batch.deltas) for batch in store.batches] == [["acme"], ["acme"], ["other"]]
    assert (await requests(store), await requests(store, "other")) == (0, 1)
    await observer.write()
    assert await requests(store) == 2


async def test_batches_are_numbered_and_bounded(house):
    observer, store = house()
    for number in range(MOST_AT_ONCE + 1):
        observer.observe(seen(f"account-{number}"))
    await observer.write()
    assert [(batch.number, len(batch.deltas)) for batch in store.batches] == [
        (1, MOST_AT_ONCE), (2, 1),
    ]  # fmt: skip
    assert len({batch.writer for batch in store.batches}) == 1


async def test_further_accounts_are_dropped_and_counted_while_too_many_wait(house):
    observer, store = house("away", most=2)
    for account in ("a", "b", "c", "a", "c"):
        observer.observe(seen(account))
    assert (observer.waiting, observer.dropped) == (2, 2)
    await observer.write()
    observer.observe(seen("d"))
    assert observer.dropped == 3
    await observer.write()
    observer.observe(seen("d"))
    await observer.finish()
    assert [await requests(store, name) for name in "abcd"] == [2, 1, 0, 1]


async def test_a_policys_half_life_goes_with_the_delta(house):
    observer, store = house()
    slower = PolicySet((), "d", half_lives={"content": 5})
    observer.grounds = lambda: grounds_of(Loaded(slower, Models()))
    observer.observe(seen())
    await observer.write()
    assert store.batches[0].deltas["acme"].half_lives["content"] == 5
