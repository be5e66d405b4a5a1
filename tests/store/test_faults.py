"""A server that freezes, dies, forgets and comes back, under callers who wait for nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest

from proxy.core.errors import StoreUnavailableError
from proxy.limits.buckets import Budget, Lease, Rate, Window
from proxy.limits.charges import Charge, Settlement
from proxy.limits.keys import bucket_key
from proxy.store.open import open_store

DEADLINE = 0.05
SLACK = 10  # what a busy machine may add, in deadlines
AMOUNT = 1_000_000
BUDGET = Budget(AMOUNT, Window.MONTH)


def charge(cost=1, *, bucket=BUDGET, limit="l", binding=True, token=""):
    tag, key = bucket_key("t", "account", "acme", "p", limit, bucket)
    return Charge(tag, key, bucket, cost, binding, token)


@pytest.fixture
async def store(own_server):
    opened = open_store(own_server.url, deadline_us=int(DEADLINE * 1_000_000))
    await eventually(lambda: answers(opened))
    assert await used(opened) == 0  # the server knows the script from now on
    yield opened
    await opened.close()


async def eventually(true, seconds=10.0):
    """Wait until an asynchronous claim holds."""
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.01)


async def answers(store):
    try:
        await store.ping()
    except StoreUnavailableError:
        return False
    return not store.breaker_open


async def used(store):
    """Return what the server has counted, None while it does not answer."""
    try:
        charged = await store.charge([charge(0)])
    except StoreUnavailableError:
        return None
    return AMOUNT - charged.receipts[0].remaining


def freeze(server):
    os.kill(server.process.pid, signal.SIGSTOP)


def thaw(server):
    os.kill(server.process.pid, signal.SIGCONT)


async def missed(store):
    """Call in vain until the breaker opens."""
    while not store.breaker_open:
        with pytest.raises(StoreUnavailableError):
            await store.charge([charge(0)])


class Crowd:
    """Callers who charge one after another and note how that ended."""

    def __init__(self, store, size=20):
        self.admitted = self.unavailable = 0
        self.slowest = 0.0
        self._store = store
        self._tasks = [asyncio.ensure_future(self._walk()) for _ in range(size)]

    async def _walk(self):
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._store.charge([charge()])
                self.admitted += 1
            except StoreUnavailableError:
                self.unavailable += 1
            self.slowest = max(self.slowest, loop.time() - began)
            await asyncio.sleep(0.002)

    async def go_home(self):
        """Stop everyone between two calls, or in one that is given back then."""
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


async def test_a_frozen_server_holds_nobody_up_and_the_counters_are_exact_afterwards(
    own_server, store
):
    crowd = Crowd(store)
    await asyncio.sleep(0.2)
    freeze(own_server)
    await asyncio.sleep(1)
    assert store.breaker_open
    refused = crowd.unavailable
    thaw(own_server)
    await eventually(lambda: answers(store))
    before = crowd.admitted
    await asyncio.sleep(0.2)
    await crowd.go_home()
    assert refused > 0
    assert crowd.admitted > before > 0
    assert crowd.slowest < DEADLINE * SLACK

    async def exact():
        return await used(store) == crowd.admitted

    await eventually(exact)
    # It did count some calls whose callers had been told that it is away.
    assert store.late > 0
    assert (len(store.backlog), store.backlog.lost) == (0, 0)


async def test_a_server_that_comes_back_empty_is_used_again(own_server, store):
    crowd = Crowd(store)
    await asyncio.sleep(0.1)
    own_server.kill()
    await asyncio.sleep(0.2)
    assert store.breaker_open
    await asyncio.to_thread(own_server.start)
    await eventually(lambda: answers(store))
    before = crowd.admitted
    await asyncio.sleep(0.2)
    await crowd.go_home()
    assert crowd.admitted > before
    assert crowd.slowest < DEADLINE * SLACK
    assert 0 < await used(store) <= crowd.admitted


async def test_a_server_that_forgot_our_scripts_is_told_them_again(own_server):
    store = open_store(own_server.url, deadline_us=5_000_000)
    crowd = Crowd(store)
    with own_server.client() as client:
        for _ in range(30):
            await asyncio.to_thread(client.script_flush)
            await asyncio.sleep(0.01)
        calls = client.info("commandstats")
    await crowd.go_home()
    assert calls["cmdstat_eval"]["calls"] > 10
    assert (crowd.unavailable, store.timeouts) == (0, 0)

    async def exact():
        return await used(store) == crowd.admitted

    await eventually(exact)
    await store.close()


async def test_a_settlement_made_while_the_server_is_away_is_made_once_it_is_back(
    own_server, store
):
    plain = charge(10)
    mark = (await store.charge([plain])).receipts[0].mark
    freeze(own_server)
    # This one is on its way: it will be done, so it is not to be said again.
    assert await store.settle([Settlement(plain, -1, mark)]) is None
    assert len(store.backlog) == 0
    await missed(store)
    assert await store.settle([Settlement(plain, -3, mark)]) is None
    assert len(store.backlog) == 1
    thaw(own_server)

    async def settled():
        return await used(store) == 6 and len(store.backlog) == 0

    await eventually(settled)


async def test_of_settlements_that_may_have_been_made_no_refund_is_made_twice(own_server, store):
    plain, lease = charge(10), charge(bucket=Lease(1, 60_000_000), limit="slots", token="a")
    mark = (await store.charge([plain, lease])).receipts[0].mark
    freeze(own_server)
    corrections = [Settlement(plain, -4, mark), Settlement(plain, 4, mark), Settlement(lease, 0, 0)]
    assert await store.settle(corrections) is None
    own_server.kill()

    async def told():
        return len(store.backlog) == 2 and store.backlog.lost == 1

    await eventually(told)


async def test_what_was_served_while_the_server_was_away_is_counted_once_it_is_back(
    own_server, store
):
    freeze(own_server)
    await store.debit([charge(7)])  # is on its way
    await missed(store)
    await store.debit([charge(5)])  # is not even tried
    assert len(store.backlog) == 2
    thaw(own_server)

    async def counted():
        return await used(store) == 12 and len(store.backlog) == 0

    await eventually(counted)


async def test_a_debit_is_counted_past_the_limit(own_server, store):
    full = charge(bucket=Budget(1, Window.MONTH), limit="small")
    freeze(own_server)
    await missed(store)
    for _ in range(3):
        await store.debit([full])
    thaw(own_server)

    async def over():
        charged = await store.charge([charge(0, bucket=full.bucket, limit="small")])
        return not charged.admitted and len(store.backlog) == 0

    await eventually(lambda: answers(store))
    await eventually(over)
    with own_server.client() as client:
        assert client.get(full.key).split()[1] == b"3"


async def test_a_charge_whose_caller_went_away_is_given_back(own_server, store):
    freeze(own_server)
    gone = asyncio.ensure_future(store.charge([charge(9)]))
    await asyncio.sleep(0.01)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    thaw(own_server)

    async def given_back():
        return store.late == 1 and await used(store) == 0

    await eventually(given_back)


async def test_a_charge_answered_in_the_moment_in_which_its_caller_goes_is_given_back(store):
    tasks = []

    async def leave_at_once(number):
        # The answers to all of a turn come together: the first to wake sends the others away.
        await store.charge([charge(3)])
        for task in tasks[number + 1 :]:
            task.cancel()

    tasks += [asyncio.ensure_future(leave_at_once(number)) for number in range(5)]
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in ended[1:]] == [asyncio.CancelledError] * 4

    async def given_back():
        return await used(store) == 3

    await eventually(given_back)


async def test_an_open_breaker_answers_without_waiting(own_server, store):
    freeze(own_server)
    await missed(store)
    began, timeouts = asyncio.get_running_loop().time(), store.timeouts
    for _ in range(100):
        with pytest.raises(StoreUnavailableError):
            await store.charge([charge()])
    assert asyncio.get_running_loop().time() - began < 100 * DEADLINE / 4
    assert store.timeouts == timeouts
    thaw(own_server)
    await eventually(lambda: answers(store))
    assert await used(store) == 0


@pytest.mark.parametrize("what", ["silent", "nobody"])
async def test_an_address_that_does_not_answer_holds_a_call_no_longer_than_its_deadline(what):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if what == "silent":
            listener.listen(64)
        url = f"redis://someone:s3cret@127.0.0.1:{listener.getsockname()[1]}"
        store = open_store(url, deadline_us=int(DEADLINE * 1_000_000))
        loop = asyncio.get_running_loop()
        began = loop.time()
        ended = await asyncio.gather(
            *(store.charge([charge()]) for _ in range(10)), store.ping(), return_exceptions=True
        )
        assert loop.time() - began < DEADLINE * SLACK
        assert {type(each) for each in ended} == {StoreUnavailableError}
        assert not [each for each in ended if "s3cret" in f"{each!s} {each!r} {each.__cause__!r}"]
        assert store.breaker_open
        await store.settle([Settlement(charge(), -1, 0)])
        await store.debit([charge()])
        assert len(store.backlog) == 2
        await store.close()
        assert loop.time() - began < 20 * DEADLINE * SLACK


REFUSALS = [
    # what the operator did                                         what is said
    (("CONFIG", "SET", "requirepass", "other"), "wants another password"),
    (("CONFIG", "SET", "maxmemory", "1"), "is out of memory"),
    (("REPLICAOF", "127.0.0.1", "1"), "is a read-only replica|has lost its master"),
    (("ACL", "SETUSER", "default", "-evalsha", "-eval"), "does not permit us this"),
]


@pytest.mark.parametrize(("command", "said"), REFUSALS)
async def test_what_a_server_refuses_is_said_in_our_words(own_server, command, said):
    with own_server.client() as client:
        client.execute_command(*command)
    url = (
        own_server.url.replace("//", "//default:s3cret@")
        if "pass" in command[2]
        else own_server.url
    )
    store = open_store(url, deadline_us=2_000_000)
    with pytest.raises(StoreUnavailableError, match=said) as caught:
        await store.charge([charge(bucket=Rate(5, 7, 5))])
    assert "s3cret" not in f"{caught.value!s} {caught.value!r}"
    await store.close()


async def test_a_deposed_master_is_left_for_the_one_that_a_new_connection_finds(own_server, store):
    assert await used(store) == 0
    with own_server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(StoreUnavailableError):
        await store.charge([charge()])

    async def opened():
        return store.breaker_open

    await eventually(opened)
    with own_server.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
    await eventually(lambda: answers(store))
    await store.charge([charge(3)])
    assert await used(store) == 3


async def test_a_script_that_the_server_does_not_know_is_not_said_again_for_who_went_away(
    own_server, store
):
    with own_server.client() as client:
        client.script_flush()
    freeze(own_server)
    await missed(store)
    thaw(own_server)
    await eventually(lambda: answers(store))
    assert (await used(store), store.late) == (0, 0)
