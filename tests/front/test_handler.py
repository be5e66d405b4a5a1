"""What the walk leaves behind when something in it breaks that nobody expected to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest

from proxy.core.decision import Mode, OnStoreError
from proxy.core.principal import Principal
from proxy.core.sealing import Sealing
from proxy.engine import Context
from proxy.front.admission import Admission, Rules
from proxy.front.app import open_door
from proxy.front.chores import Chores
from proxy.front.handler import Handler
from proxy.front.observing import Watch
from proxy.front.ownership import Ownership
from proxy.front.sealed import Seals
from proxy.front.service import Service
from proxy.front.waiting import WaitingRoom
from proxy.limits.buckets import Budget, Lease, Window
from proxy.metrics import Metrics
from proxy.policy.compiled import Limit, Policy, PolicySet, Scope, Unit
from proxy.policy.models import Models
from proxy.runner import bound
from proxy.settings.schema import LimitSettings
from proxy.store.memory import MemoryStore
from proxy.store.objects import MemoryObjects
from proxy.watch.features import Lens

BODY = b'{"model":"m","max_tokens":7,"messages":[{"role":"user","content":"hi"}]}'


def limit(name: str, unit: Unit, bucket: object) -> Limit:
    by = (Scope.ACCOUNT,)
    return Limit("p", name, unit, by, bucket, Mode.ENFORCE, OnStoreError.DENY)


LIMITS = (
    limit("slots", Unit.CONCURRENT, Lease(1, 60_000_000)),
    limit("words", Unit.OUTPUT_TOKENS, Budget(7, Window.MONTH)),
)


class Everybody:
    async def authenticate(self, headers: object) -> Principal:
        return Principal("k", "acme", "acme")


class BrokenModel:
    """A model API whose client fails in a way that no adapter has translated."""

    name = "broken"

    def choose(self, dialect: str, model: str) -> BrokenModel:
        return self

    def open(self, *asked: object):
        raise ZeroDivisionError("nobody expected this")


class Paper:
    """A journal that can be read."""

    def __init__(self) -> None:
        self.records: list[dict] = []
        self.dropped = 0

    def write(self, record: dict) -> None:
        self.records.append(dict(record))


class ForgetfulStore(MemoryStore):
    """A store with a mistake in it: it cannot settle."""

    async def settle(self, settlements: object, now: int | None = None) -> int:
        raise ZeroDivisionError("nobody expected this")


@asynccontextmanager
async def open_house(store: MemoryStore):
    chores, paper, metrics = Chores(), Paper(), Metrics()

    def fingerprint(_text: str) -> str:
        return "0" * 16

    admission = Admission(store, MemoryStore(), Context("t", fingerprint), metrics, 1)
    handler = Handler(
        authenticator=Everybody(),
        admission=admission,
        service=Service(admission, Ownership(MemoryObjects(), admission, metrics), chores),
        waiting=WaitingRoom(1),
        rules=Rules(PolicySet((Policy("p", "", lambda *_: True, LIMITS),), "d"), Models()),
        upstreams=BrokenModel(),
        journal=paper,
        metrics=metrics,
        fingerprint=fingerprint,
        seals=Seals(Sealing(bytes(32))),
        watch=Watch(Lens(bytes(32))),
        trusted=(),
        body_limit=1000,
        body_timeout=5,
    )
    listening = bound("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/chat/completions"
    runner = await open_door(handler, listening, LimitSettings(), 1)
    try:
        yield url, handler, paper
    finally:
        await runner.cleanup()
        await chores.drain(5)


async def ask(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(url, data=BODY) as answer:
        return answer.status, await answer.text()


async def test_a_mistake_of_ours_is_a_500_that_keeps_nothing_and_is_recorded_once(caplog):
    async with open_house(MemoryStore()) as (url, handler, paper):
        # One slot and seven words in all: a second try finds both only if they were given back.
        for _ in range(3):
            status, text = await ask(url)
            assert status == 500
            assert "nobody expected" not in text
        await handler.service.chores.drain(5)
        assert handler.admission.held == {}
        told = [(one["status"], one["code"], one["end"]) for one in paper.records]
        assert told == [(500, "weir.failed", "error")] * 3
        assert [one["limits"][1]["charged"] for one in paper.records] == [0, 0, 0]


async def test_a_settlement_that_fails_still_leaves_a_record():
    failures: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: failures.append(told))
    async with open_house(ForgetfulStore()) as (url, handler, paper):
        await ask(url)
        await handler.service.chores.drain(5)
    assert len(paper.records) == 1
    assert [type(one["exception"]) for one in failures] == [ZeroDivisionError]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
