"""How long it takes from an answer to the level that it leads to, in a whole gateway under load.

    python bench/lag.py                              the defaults: flushes every 2 s, 200 accounts
    python bench/lag.py --flush 500ms --profiles 100000

A crowd loads the gateway with other accounts meanwhile. Each probe asks four times, which the test
calibration takes for evidence, and looks for its account's level in the store from then on.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import pathlib
import random
import statistics
import tempfile
import threading
import time

import run

from proxy.auth.keyring import Keyring
from proxy.auth.pepper import ensure_pepper
from proxy.core.quantities import parse_duration
from proxy.store.embedded import embedded_url
from proxy.store.open import open_profiles, open_standings
from proxy.watch.observation import Observation, Subject
from proxy.watch.profile import Profile

POLICY = """\
policy: everyone
limits:
  - {limit: requests, allow: 1_000_000_000 requests, per: 1m, by: [key]}
ladder:
  - {level: watch, at: 0.5, for: 24h}
"""
CALIBRATION = {
    "v": 1, "accounts": 100, "archetypes": {"": 100}, "lasted": 86_400_000_000,
    "curves": {"template_concentration": {"scores": [0.01], "nats": [2.0]}},
    "together": {"scores": [1.0], "nats": [1.0]},
}  # fmt: skip
DAY = 86_400_000_000
PATIENCE = 60.0


def house(stack: contextlib.ExitStack, room: pathlib.Path, flush: str, model: int) -> run.Target:
    """Start a gateway that assesses by a calibration within everybody's reach."""
    policies = room / "policies"
    policies.mkdir()
    (policies / "everyone.yaml").write_text(POLICY)
    (policies / "calibration.json").write_text(json.dumps(CALIBRATION))
    (room / "weir.yaml").write_text(f"watch: {{flush: {flush}}}")
    more = ("--settings", str(room / "weir.yaml"))
    return run.start_weir(stack, room, model, None, policies, more)


async def fill(url: str, pepper: bytes, many: int) -> None:
    """Put profiles of other accounts into the store, and none of them to be assessed."""
    from proxy.ports import Batch  # noqa: PLC0415 - only here

    profiles = open_profiles(url, "default", pepper, keep=DAY)
    now = time.time_ns() // 1000
    for number, start in enumerate(range(0, many, 250), 1):
        deltas = {}
        for account in range(start, min(start + 250, many)):
            delta = deltas[f"other-{account}"] = Profile(now)
            delta.observe(Observation(Subject(f"other-{account}"), now, now))
        await profiles.add(Batch(b"lagbench", number, deltas))
        while due := await profiles.due(1000, 60_000_000):
            await profiles.done(due)
    await profiles.close()


def asked(port: int, secret: str, number: int) -> float:
    """Ask four times; return the moment at which the last answer was there."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for turn in range(4):
        text = f"[[tokens=80]] Write a long explanation of the subject {number} and {turn} please."
        body = json.dumps({"model": "standin", "messages": [{"role": "user", "content": text}]})
        line.request("POST", run.PATH, body, {
            "authorization": f"Bearer {secret}", "content-type": "application/json",
        })  # fmt: skip
        answer = line.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"lag: a probe got {answer.status}")
    line.close()
    return time.monotonic()


async def lags(
    url: str, port: int, secrets: dict[str, str], at_once: int, flush: float
) -> list[float]:
    """Return how long each probe's level took, seconds."""
    dice = random.Random(7)
    standings = open_standings(url, "default")
    turns = asyncio.Semaphore(at_once)

    async def one(number: int, account: str, secret: str) -> float:
        async with turns:
            await asyncio.sleep(dice.uniform(0, flush))  # else all begin where a flush has ended
            answered = await asyncio.to_thread(asked, port, secret, number)
            while time.monotonic() - answered < PATIENCE:
                if await standings.find(account, time.time_ns() // 1000):
                    return time.monotonic() - answered
                await asyncio.sleep(0.01)
            return PATIENCE

    work = [one(number, *pair) for number, pair in enumerate(secrets.items())]
    found = await asyncio.gather(*work)
    await standings.close()
    return sorted(found)


def crowd(target: run.Target, seconds: float, connections: int, room: pathlib.Path) -> dict:
    """Load the gateway from another process."""
    return run.load(target, run.CASES[0], seconds, connections, room)


def main() -> None:
    """Measure, print, and leave nothing running."""
    reading = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reading.add_argument("--probes", type=int, default=200, help="accounts whose lag is measured")
    reading.add_argument("--at-once", type=int, default=8, help="probes at one time")
    reading.add_argument("--connections", type=int, default=8, help="of the crowd; 0 for none")
    reading.add_argument("--profiles", type=int, default=1000, help="of other accounts, at first")
    reading.add_argument("--flush", default="2s", help="watch.flush")
    told = reading.parse_args()
    with contextlib.ExitStack() as stack:
        room = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-lag-")))
        model = run.start_model(stack, room)
        target = house(stack, room, told.flush, model.port)
        home = room / "home"
        pepper = ensure_pepper(home, {}, home / "keys.yaml")
        ring = Keyring(home / "keys.yaml", pepper)
        secrets = {f"probe-{n}": ring.issue(f"probe-{n}").secret for n in range(told.probes)}
        url = embedded_url(home)
        asyncio.run(fill(url, pepper, told.profiles))
        time.sleep(3)  # the new keys are read, and what was filled in is assessed
        flush = parse_duration(told.flush) / 1e6
        seconds = told.probes / told.at_once * (1.2 * flush + 0.2) + 3
        seen: dict = {}
        if told.connections:
            loading = threading.Thread(
                target=lambda: seen.update(crowd(target, seconds, told.connections, room))
            )
            loading.start()
        found = asyncio.run(lags(url, target.port, secrets, told.at_once, flush))
        if told.connections:
            loading.join()
        rate = seen["requests"] / seen["seconds"] if seen else 0.0
        place = lambda share: found[min(len(found) - 1, int(share * len(found)))]  # noqa: E731
        print(
            f"flush {told.flush}, {told.profiles:,} other profiles, a crowd of {rate:,.0f}"
            f" requests/s, {len(found)} accounts: answer to level"
            f" p50 {statistics.median(found):.2f} s, p90 {place(0.9):.2f} s,"
            f" p99 {place(0.99):.2f} s, most {found[-1]:.2f} s"
        )


if __name__ == "__main__":
    main()
