"""Gateways and a watcher are killed under load: profiles tell what was answered, up to a flush."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from http import HTTPStatus

import pytest

from proxy.limits.keys import due_keys
from proxy.store.embedded import start_embedded
from proxy.store.open import open_client, open_profiles, open_standings

FLUSH = 0.5
SLACK = 0.7  # seconds that a flush may take, or wait for its turn, while all of this runs
SECONDS = 9.0
ACCOUNTS = [f"account-{number}" for number in range(6)]
DAY = 86_400_000_000
POLICY = """\
policy: everyone
limits:
  - {limit: requests, allow: 1_000_000 requests, per: 1m, by: [key]}
ladder:
  - {level: watch, at: 0.5, for: 24h}
"""
# Whoever asks more than once is seen: so it can be told who was assessed.
CALIBRATION = {
    "v": 1, "accounts": 100, "archetypes": {"": 100}, "lasted": DAY,
    "curves": {"template_concentration": {"scores": [0.01], "nats": [2.0]}},
    "together": {"scores": [1.0], "nats": [1.0]},
}  # fmt: skip


class Watcher:
    """A `weir watch` that is started again whenever it was killed."""

    def __init__(self, *words) -> None:
        self._words = [sys.executable, "-m", "proxy.cli", "watch", *map(str, words)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline().startswith("watching ")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(20)
        self.process.stdout.close()
        return code


class Load:
    """Threads that ask both gateways until told to stop, and note what was answered when."""

    def __init__(self, gateways, secrets) -> None:
        self.stopping = threading.Event()
        self.answered: list[tuple[str, int, float]] = []
        self.unsure: Counter[str] = Counter()
        self._threads = [
            threading.Thread(target=self._ask, args=(place, gateway, secrets, seed))
            for seed in range(3)
            for place, gateway in enumerate(gateways)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, place, gateway, secrets, seed) -> None:
        dice, line = random.Random(seed), None
        while not self.stopping.is_set():
            account, number = dice.choice(ACCOUNTS), dice.randrange(10**9)
            text = f"[[tokens=70]] Please write a long explanation of the subject {number} now."
            body = json.dumps({"model": "standin", "messages": [{"role": "user", "content": text}]})
            sent = False
            try:
                line = line or http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
                line.connect() if line.sock is None else None
                sent = True
                line.request("POST", "/v1/chat/completions", body, {
                    "authorization": f"Bearer {secrets[account]}",
                    "content-type": "application/json",
                })  # fmt: skip
                with line.getresponse() as answer:
                    answer.read()
                if answer.status != HTTPStatus.OK:  # a worker that has just begun
                    self.unsure[account] += 1
                    continue
                self.answered.append((account, place, time.monotonic()))
            except (OSError, http.client.HTTPException):
                self.unsure[account] += sent
                line = line.close() if line else None
                time.sleep(0.05)
        if line:
            line.close()


@pytest.fixture
def houses(tmp_path, start_gateway):
    """Two gateways and a watcher on one store, all three with the same pepper."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "calibration.json").write_text(json.dumps(CALIBRATION))
    (tmp_path / "weir.yaml").write_text(f"watch: {{flush: {FLUSH * 1000:.0f}ms, assess: false}}\n")
    with start_embedded(tmp_path / "store") as server:
        flags = {"settings": tmp_path / "weir.yaml", "store": server.url}
        flags["keys"] = tmp_path / "a" / "keys.yaml"
        first = start_gateway(tmp_path / "a", flags, POLICY)
        for home in ("b", "w"):
            (tmp_path / home).mkdir(mode=0o700)
            shutil.copy2(tmp_path / "a" / "pepper", tmp_path / home / "pepper")
        second = start_gateway(tmp_path / "b", flags, POLICY)
        watcher = Watcher(
            "--home", tmp_path / "w", "--settings", tmp_path / "weir.yaml",
            "--store", server.url, "--policies", first.policies,
        )  # fmt: skip
        yield first, second, watcher, server.url, (tmp_path / "a" / "pepper").read_text().strip()
        watcher.stop()
        for gateway in (first, second):
            gateway.stop()  # while its store is there


def killed_worker(gateway) -> float:
    """Kill a gateway's worker outright; return when. Its supervisor starts another."""
    (worker,) = gateway.workers()
    os.kill(worker, signal.SIGKILL)
    return time.monotonic()


async def known(url, pepper):
    """Return what the profiles say of requests, and who has a standing."""
    profiles = open_profiles(url, "default", pepper.encode(), keep=DAY)
    standings = open_standings(url, "default")
    found = await profiles.find(ACCOUNTS)
    now = time.time_ns() // 1000
    levels = [await standings.find(account, now) for account in ACCOUNTS]
    await profiles.close()
    await standings.close()
    requests = {
        account: 0 if profile is None else round(profile["requests"])
        for account, profile in zip(ACCOUNTS, found, strict=True)
    }
    return requests, {account for account, level in zip(ACCOUNTS, levels, strict=True) if level}


async def unfinished(url):
    """Return how many accounts are due, claimed, or about to change."""
    client = open_client(url)
    found = [
        await client.execute_command("EXISTS", key)
        and await client.execute_command("ZCARD", key)
        for key in due_keys("default", 0)
    ]  # fmt: skip
    await client.aclose()
    return sum(found)


def test_what_dies_loses_a_flush_counts_nothing_twice_and_leaves_nothing_unassessed(houses):
    first, second, watcher, url, pepper = houses
    gateways = (first, second)
    secrets = {account: first.issue(account)[1] for account in ACCOUNTS}
    assert first.eventually(
        lambda: all(second.models(secret) == 200 for secret in secrets.values()), 10
    )
    dice, deaths = random.Random(4), []
    with Load(gateways, secrets) as load:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(dice.uniform(0.8, 1.8))
            place = dice.randrange(3)
            if place == 2:
                watcher.kill()
                watcher.start()
            elif gateways[place].workers():
                deaths.append((place, killed_worker(gateways[place])))
    assert len(deaths) >= 2
    time.sleep(FLUSH + SLACK)

    requests, _ = asyncio.run(known(url, pepper))
    answered = Counter(account for account, _, _ in load.answered)
    lost = Counter(
        account
        for account, place, at in load.answered
        if any(place == dead and when - FLUSH - SLACK < at <= when for dead, when in deaths)
    )
    for account in ACCOUNTS:
        least, most = answered[account] - lost[account], answered[account] + load.unsure[account]
        assert least <= requests[account] <= most, (account, lost[account], load.unsure[account])
    assert sum(requests.values()) > 0.6 * sum(answered.values())

    # What a dead watcher had claimed comes back after its lease: at once for who asks again.
    def everybody_is_assessed():
        return asyncio.run(known(url, pepper))[1] == set(ACCOUNTS)

    assert first.eventually(everybody_is_assessed, 35)
    assert first.eventually(lambda: asyncio.run(unfinished(url)) == 0, 35)
    assert watcher.stop() == 0
    watcher.start()
