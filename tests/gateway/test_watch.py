"""An account that collects is raised without anybody's doing, in a whole gateway with a real store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

POLICY = """\
policy: everyone
limits:
  - {limit: requests, allow: 1_000_000 requests, per: 1m, by: [key]}
shapes:
  guarded: {clamp: {n: 1}}
ladder:
  - {level: watch, at: 1.0, for: 1h}
  - {level: guarded, at: 4.0, families: 2, shape: guarded, for: 24h}
"""
# Reachable within a hundred requests; `weir calibrate` makes real ones of honest traffic.
CALIBRATION = {
    "v": 1,
    "accounts": 1000,
    "archetypes": {"": 1000},
    "lasted": 86_400_000_000,
    "curves": {
        "template_concentration": {"scores": [0.5], "nats": [3.0]},
        "collected": {"scores": [0.5], "nats": [3.0]},
    },
    "together": {"scores": [1.0, 3.0, 6.0], "nats": [1.0, 3.0, 6.0]},
}
SETTINGS = "watch: {flush: 200ms}\nworkers: 2\n"
MANY = 120


@pytest.fixture(scope="module")
def house(started_once, tmp_path_factory):
    place = tmp_path_factory.mktemp("watched")
    (place / "weir.yaml").write_text(SETTINGS)
    flags = {"settings": place / "weir.yaml"}
    with started_once(everyone=POLICY, flags=flags) as gateway:
        # A calibration that comes later is taken as an edit of the policies is.
        before = json.loads(gateway.get("/readyz")[1])["checks"]["policies"]
        (gateway.policies / "calibration.json").write_text(json.dumps(CALIBRATION))
        gateway.eventually(
            lambda: json.loads(gateway.get("/readyz")[1])["checks"]["policies"] != before
        )
        gateway.where = ["--home", gateway.home, "--policies", gateway.policies]
        yield gateway


def ask(house, secret, text, n=1):
    """Return how many choices were given, and the decision's header."""
    with house.client(secret) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="standin", messages=[{"role": "user", "content": text}], n=n
        )
    return len(raw.parse().choices), raw.headers["x-weir-decision"]


def harvest(house, secret, many=MANY):
    """Ask one template again and again, each time of something else, as harvesters do."""
    asked = [
        f"[[tokens=80]] Write a detailed explanation with examples of the topic number {n} please."
        for n in range(many)
    ]
    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(lambda text: ask(house, secret, text), asked))


def accounts(house, *words) -> dict:
    *first, account = words
    where = house.where if first[0] == "show" else house.where[:2]
    return json.loads(house.weir("accounts", *first, *where, "--json", account))


@pytest.fixture(scope="module")
def raised(house):
    """An account that was raised by what it collected, with its secret."""
    secret = house.issue("harvest")[1]
    assert ask(house, secret, "[[tokens=3]] hello", n=2)[0] == 2
    harvest(house, secret)
    house.eventually(lambda: accounts(house, "show", "harvest")["level"] == "guarded", 15)
    return secret


def test_the_next_requests_are_shaped(house, raised):
    given, decision = ask(house, raised, "[[tokens=3]] hello", n=2)
    assert (given, decision.partition(";")[2]) == (1, 'codes="standing.guarded clamp.n"')


def test_everybody_can_read_why(house, raised):
    levels = house.eventually(
        lambda: [one for one in house.levels("harvest") if one["level"] == "guarded"]
    )
    assert levels[0]["by"] == "evidence"
    assert levels[0]["policy"] == "everyone"
    assert set(levels[0]["families"]) == {"content", "volume"}
    assert {one["detector"] for one in levels[0]["findings"]} >= set(CALIBRATION["curves"])
    story = house.weir("explain", "--account", "harvest", *house.where)
    for part in (
        "requests in the journal", "Level now: guarded", "by evidence", "Seen since",
        "template_concentration (content)", "What would bring the evidence down", "clear to",
    ):  # fmt: skip
        assert part in story


def test_an_account_that_asks_now_and_then_stays_clear(house):
    secret = house.issue("developer")[1]
    for number in range(6):
        ask(house, secret, f"[[tokens=30]] why does my build fail with code {number}?")
    shown = accounts(house, "show", "developer")
    assert shown["level"] == "clear"


def test_a_pardon_clears_it_and_holds_although_it_goes_on(house, raised):
    accounts(house, "pardon", "--reason", "an eval of theirs", "--by", "ada", "harvest")
    assert ask(house, raised, "[[tokens=3]] hello", n=2)[0] == 2
    harvest(house, raised, 24)
    before = metric(house, 'weir_watch_assessed_total{result="kept"}')
    ask(house, raised, "[[tokens=80]] Write a detailed explanation of one thing more please.")
    house.eventually(lambda: metric(house, 'weir_watch_assessed_total{result="kept"}') > before)
    assert accounts(house, "show", "harvest")["level"] == "clear"
    assert ask(house, raised, "[[tokens=3]] hello", n=2)[0] == 2
    story = house.weir("explain", "--account", "harvest", *house.where)
    assert "pardoned, by ada: an eval of theirs" in story


def metric(house, name) -> float:
    text = house.get("/metrics")[1]
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_a_profile_can_be_purged(house):
    secret = house.issue("leaver")[1]
    ask(house, secret, "[[tokens=3]] hello")
    house.eventually(lambda: accounts(house, "show", "leaver")["evidence"]["seen"])
    purge = ("forget", "--reason", "they asked us to", "--by", "ada", "leaver")
    assert accounts(house, *purge)["changed"]
    assert accounts(house, "show", "leaver")["evidence"]["seen"] is None
    assert not accounts(house, *purge)["changed"]


def test_what_is_noted_is_counted(house, raised):
    assert metric(house, "weir_watch_observed_total") >= MANY
    assert metric(house, "weir_watch_dropped_total") == 0
    assert metric(house, "weir_watch_lag_seconds_count") > 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--store", "memory"), "within the process that serves"),
        (("--home", "nowhere"), "pepper: is missing"),
    ],
    ids=["memory", "no-pepper"],
)
def test_a_watcher_that_cannot_work_says_why(tmp_path, words, sentence):
    done = subprocess.run(
        [sys.executable, "-m", "proxy.cli", "watch", *words], cwd=tmp_path, text=True,
        capture_output=True, check=False, env={**os.environ}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
