"""A replay of what a gateway recorded decides and charges as it did live, record for record."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from dataclasses import dataclass
from http.client import OK
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from proxy.auth.keyring import Keyring
from proxy.auth.pepper import ensure_pepper
from proxy.core.principal import Principal
from proxy.core.standing import Level, Standing
from proxy.policy.loader import load
from proxy.replay.player import Player
from proxy.replay.records import record_of
from proxy.store.embedded import embedded_url
from proxy.store.open import open_standings
from proxy.traffic.reading import Tally, entries

if TYPE_CHECKING:
    from proxy.policy.loader import Loaded
    from proxy.traffic.entry import Entry

REQUESTS, LANES = 2_200, 16
SETTINGS = """\
workers: 2
record: true
store: {deadline: 5s}
limits: {body: 60KB}
answers: {most_waiting: 6}
"""
MODELS = """\
models:
  - {model: "*", counter: words, max_output_tokens: 4096, reserve_output_tokens: 64,
     prices: {input: 1.0, cached_input: 0.25, output: 2.0}}
"""
EVERYONE = """\
policy: everyone
limits:
  - {limit: burst, allow: 1200 requests, per: 1m, burst: 60, by: [key]}
  - {limit: day, allow: 400_000 tokens, per: day, by: [org]}
  - {limit: spent, allow: 1.00 usd, per: month, by: [account, model]}
  - {limit: house, allow: 1_000_000 requests, per: day, by: [global]}
  - {limit: week, allow: 7000 output_tokens, per: 7d, by: [account], otherwise: {shape: less}}
  - {limit: streams, allow: 6 concurrent, by: [account]}
  - {limit: prompts, allow: 150 distinct prompts, per: 24h, by: [account], otherwise: flag}
  - {limit: prompts-tight, allow: 40 distinct prompts, per: 24h, by: [key], mode: shadow}
  - {limit: models, allow: 3 distinct models, per: 6h, by: [key], otherwise: {shape: slow}}
  - {limit: addresses, allow: 2 distinct addresses, per: 24h, by: [account], otherwise: flag}
  - {limit: from, allow: 900 requests, per: 1h, by: [ip], mode: shadow}
  - {limit: collected, allow: 9000 output_tokens, half_life: 7d, by: [account],
     otherwise: {level: guarded, for: 1h}}
  - {limit: taught, allow: 20_000 tokens, half_life: 1d, by: [org], mode: shadow}
capabilities:
  - forbid: [logit_bias+logprobs]
    because: together they leak the output layer
  - require: verified
    for: {reasoning: full}
    mode: shadow
shapes:
  less: {clamp: {output_tokens: 30, n: 1}}
  slow: {delay: 10ms}
  guarded: {strip: [logprobs], clamp: {n: 1, output_tokens: 40}}
  restricted: {extends: guarded, hide: [reasoning], truncate: {output_tokens: 12}, delay: 5ms}
ladder:
  - {level: guarded, shape: guarded}
  - {level: restricted, shape: restricted}
  - {level: contained, refuse: account_under_review}
"""
FREE = """\
policy: free
when: {plan: free}
limits:
  - {limit: minute, allow: 900 requests, per: 1m, burst: 40, by: [key]}
  - {limit: output, allow: 9000 output_tokens, per: day, by: [account]}
  - {limit: rolling, allow: 14_000 tokens, per: 24h, by: [org]}
"""
# Account, organisation and plan of each key, and the address that it comes from.
KEYS = (
    ("acme", "acme", "paid", "127.0.0.1"),
    ("acme", "acme", "paid", "127.0.0.2"),
    ("lab", "acme", "paid", "127.0.0.3"),
    ("thief", "thief", "paid", "127.0.0.4"),
    ("hobby", "hobby", "free", "127.0.0.5"),
    ("student", "school", "free", "127.0.0.6"),
)
HOUR = 3_600_000_000
LEVELS = (
    (0.85, "lab", Level.GUARDED), (0.70, "thief", Level.RESTRICTED), (0.45, "hobby", Level.WATCH),
    (0.40, "thief", Level.CONTAINED), (0.20, "lab", Level.CLEAR),
)  # fmt: skip
# What a recording cannot tell, or what a replay does not do.
ASIDE = {
    "settled_at", "upstream", "timings", "bytes_in", "bytes_out", "finish_reasons", "cut",
}  # fmt: skip


class Crowd:
    """Many clients at once, who ask for all kinds of things; by seed."""

    def __init__(self, weir, secrets: list[str]) -> None:
        self.url, self.home, self.secrets = weir.url, weir.home, secrets
        self.left = REQUESTS
        self.stored: dict[int, list[str]] = {number: [] for number in range(len(secrets))}
        self.sent: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    async def run(self) -> None:
        lanes = [self._lane(number) for number in range(LANES)]
        await asyncio.gather(*lanes, self._operator(), self._patient())

    async def _patient(self) -> None:
        """Wait for a background answer to its end, whatever the others happen to do.

        Refused for a limit or a standing, it asks again as another account.
        """
        body = {"model": "standin", "input": "Tell me of the sea. [[tokens=5]]", "background": True}
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            for who in itertools.cycle(range(len(self.secrets))):
                headers = {"authorization": f"Bearer {self.secrets[who]}"}
                url = f"{self.url}/v1/responses"
                async with session.post(url, json=body, headers=headers) as answer:
                    made = await answer.json()
                for _ in range(40 if answer.status == OK else 0):
                    async with session.get(f"{url}/{made['id']}", headers=headers) as answer:
                        if answer.status == OK and (await answer.json())["status"] == "completed":
                            return
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.02)

    async def _operator(self) -> None:
        """Put accounts at levels while requests are under way."""
        standings = open_standings(embedded_url(self.home), "default")
        for part, account, level in LEVELS:
            while self.left > REQUESTS * part:
                await asyncio.sleep(0.02)
            now = time.time_ns() // 1000
            if level is Level.CLEAR:
                await standings.pardon(account, now, "ada", "it was an eval")
            else:
                await standings.set(account, Standing(level, now, now + HOUR, "ada", "odd"))
        await standings.close()

    async def _lane(self, lane: int) -> None:
        chance = random.Random(lane)
        while self.left > 0:
            who = chance.randrange(len(self.secrets))
            local = (KEYS[who][3] if chance.random() < 0.97 else "127.0.0.9", 0)
            connector = aiohttp.TCPConnector(local_addr=local)
            async with aiohttp.ClientSession(connector=connector) as session:
                for _ in range(chance.randrange(1, 12)):
                    self.left -= 1
                    await self._one(session, chance, who)

    async def _one(self, session, chance, who: int) -> None:
        kind = chance.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        self.sent[kind] += 1
        method, path, body, more = KINDS[kind][1](self, chance, who)
        headers = {
            "authorization": f"Bearer {self.secrets[who]}",
            "anthropic-version": "2023-06-01",
        }
        if path.startswith("/v1/models") or "messages" not in path:
            headers.pop("anthropic-version")
        if chance.random() < 0.05:
            headers["x-stainless-retry-count"] = "1"
        headers |= more.get("headers", {})
        data = (
            json.dumps(body, indent=chance.choice([None, 1])).encode()
            if isinstance(body, dict)
            else body
        )
        try:
            async with session.request(
                method, self.url + path, data=data, headers=headers
            ) as answer:
                self.statuses[answer.status] += 1
                if more.get("leaves"):
                    await answer.content.readany()
                    answer.close()
                    return
                whole = await answer.read()
                if more.get("stores") and answer.content_type == "application/json":
                    made = json.loads(whole).get("id")
                    self.stored[who] += [made] if made else []
        except aiohttp.ClientError:
            self.statuses[0] += 1


def words(chance) -> str:
    text = " ".join(f"w{chance.randrange(60)}" for _ in range(chance.randrange(1, 12)))
    if chance.random() < 0.5:
        text = chance.choice(
            ["Why is the sky blue?", "Tell me of the sea.", "übersetze: žluťoučký"]
        )
    knobs = [f"tokens={chance.randrange(1, 60)}"]
    rare = ["error=503", "error=429", "error=200", "reset=3", "garbage=2", "usage=none", "cached=3",
            "error_at=2", "nodone", "reasoning=9 show_reasoning", "refusal=cyber"]  # fmt: skip
    if chance.random() < 0.3:
        knobs.append(chance.choice(rare))
    return f"{text} [[{' '.join(knobs)}]]"


def model(chance) -> str:
    return chance.choices(
        ["standin", "standin-mini", "standin-reasoner", "standin-rare"], [20, 2, 1, 0.04]
    )[0]


def some(chance, **knobs) -> dict:
    """Return some of some members."""
    return {name: value for name, value in knobs.items() if chance.random() < 0.2}


def chat(crowd, chance, who, **more):
    body = {
        "model": model(chance),
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": words(chance)}],
        **some(chance, n=2, logprobs=True, logit_bias={"5": 1}, max_tokens=20, temperature=0.2, seed=5,
               stop=["zz"], tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
               reasoning_effort="low", user="u1", stream=True),
    }  # fmt: skip
    return "POST", "/v1/chat/completions", body, more


def leaving(crowd, chance, who):
    path, body = chance.choice([
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": LONG}]}),
        ("/v1/responses", {"input": LONG, "store": False}),
        ("/v1/messages", {"messages": [{"role": "user", "content": LONG}], "max_tokens": 90}),
        ("/v1/completions", {"prompt": LONG, "max_tokens": 90}),
    ])  # fmt: skip
    return "POST", path, {"model": "standin", "stream": True, **body}, {"leaves": True}


def completion(crowd, chance, who):
    body = {
        "model": model(chance), "prompt": chance.choice([words(chance), [words(chance), "two"]]),
        **some(chance, n=2, best_of=3, max_tokens=9, echo=True, logprobs=2, stream=True),
    }  # fmt: skip
    if body.get("stream"):
        body.pop("best_of", None)
    return "POST", "/v1/completions", body, {}


def message(crowd, chance, who):
    body = {
        "model": model(chance), "max_tokens": chance.choice([5, 40, 2000]),
        "messages": [{"role": "user", "content": words(chance)}],
        **some(chance, system="Be kind.", thinking={"type": "enabled", "budget_tokens": 1024},
               stream=True, temperature=1.0),
    }  # fmt: skip
    if "thinking" in body:
        body["max_tokens"] = 2000
    return "POST", "/v1/messages", body, {}


def response(crowd, chance, who):
    body = {
        "model": model(chance), "input": words(chance),
        **some(chance, stream=True, max_output_tokens=20, instructions="Be brief.",
               include=["reasoning.encrypted_content"], reasoning={"effort": "low"}, background=True),
    }  # fmt: skip
    if crowd.stored[who] and chance.random() < 0.3:
        body["previous_response_id"] = chance.choice(crowd.stored[who])
    return "POST", "/v1/responses", body, {"stores": True}


def stored(crowd, chance, who):
    owner = who if chance.random() < 0.9 else (who + 3) % len(crowd.secrets)
    known = crowd.stored[owner]
    identity = chance.choice(known[-6:]) if known else "resp_unknown"
    method, path = chance.choice([
        ("GET", ""), ("GET", ""), ("GET", ""), ("GET", "?stream=true"), ("GET", "/input_items?limit=2"),
        ("POST", "/cancel"), ("DELETE", ""),
    ])  # fmt: skip
    if method == "DELETE" and identity in known:
        known.remove(identity)
    return method, f"/v1/responses/{identity}{path}", None, {}


def embedding(crowd, chance, who):
    return "POST", "/v1/embeddings", {"model": model(chance), "input": [words(chance), "two"]}, {}


def unmetered(crowd, chance, who):
    return chance.choice([
        ("GET", "/v1/models", None, {}),
        ("POST", "/v1/messages/count_tokens", {"model": "standin", "messages": [{"role": "user", "content": "a b"}]}, {}),
        ("POST", "/v1/responses/input_tokens", {"model": "standin", "input": "a b"}, {}),
    ])  # fmt: skip


def wrong(crowd, chance, who):
    return chance.choice([
        ("POST", "/v1/chat/completions", b'{"model": "standin", "mess', {}),
        ("POST", "/v1/chat/completions", {"model": "standin", "messages": "none"}, {}),
        ("POST", "/v1/chat/completions", b'{"model":"' + b"x" * 70_000, {}),
        ("GET", "/v1/nowhere", None, {}),
        ("POST", "/v1/chat/completions", {"model": "standin"}, {"headers": {"authorization": "Bearer no"}}),
    ])  # fmt: skip


LONG = "Tell me of the sea. [[tokens=80 pace=2ms]]"
KINDS = {
    "chat": (40, chat),
    "leaving": (5, leaving),
    "completion": (10, completion),
    "message": (14, message),
    "response": (16, response),
    "stored": (14, stored),
    "embedding": (5, embedding),
    "unmetered": (3, unmetered),
    "wrong": (4, wrong),
}


class Records:
    """What a player tells, as records by their ids; fills `Listener`."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.found: dict[str, dict] = {}

    def decided(self, played) -> None:
        pass

    def settled(self, played) -> None:
        record = record_of(played, self.digest).to_dict()
        self.found[record["id"]] = json.loads(json.dumps(record))


@dataclass
class Recorded:
    """What a crowd left behind.

    live, found: the journal's records that came to a decision, and those of the replay, by id
    read:        the recording's entries
    """

    crowd: Crowd
    live: dict[str, dict]
    directory: Path
    rules: Loaded
    read: list[Entry]
    found: dict[str, dict]

    @property
    def digest(self) -> str:
        return self.rules.policies.digest


def replayed(directory: Path, policies: Path) -> tuple[Loaded, list[Entry], dict[str, dict]]:
    rules, tally = load(policies), Tally()
    read = list(entries([directory], tally))
    assert (tally.unreadable, tally.late, tally.complaints) == (0, 0, [])
    records = Records(rules.policies.digest)
    Player(rules, [records]).play(read)
    return rules, read, records.found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, started_once):
    """Let a crowd come to a gateway that records, then replay what it recorded."""
    place = tmp_path_factory.mktemp("recorded")
    (place / "weir.yaml").write_text(SETTINGS)
    texts = {"models": MODELS, "everyone": EVERYONE, "free": FREE}
    with started_once(flags={"settings": place / "weir.yaml"}, **texts) as weir:
        keys = Keyring(
            weir.home / "keys.yaml", ensure_pepper(weir.home, {}, weir.home / "keys.yaml")
        )
        issued = keys.issue_all(
            Principal(
                "", account, org, plan, verified=account == "lab", attributes={"region": "eu"}
            )
            for account, org, plan, _ in KEYS
        )
        secrets = [key.secret for key in issued]
        assert weir.eventually(lambda: all(weir.models(one) == 200 for one in secrets * 3))
        crowd = Crowd(weir, secrets)
        asyncio.run(crowd.run())
        home, policies = weir.home, weir.policies
    live = {one["id"]: one for one in weir.records(chat=False) if one["effect"]}
    return Recorded(crowd, live, home / "traffic", *replayed(home / "traffic", policies))


def test_every_decision_and_every_charge_is_the_same(recorded):
    """Record for record: effect, reasons, shapes, each limit's receipt, tokens, price."""
    assert len(recorded.live) >= 2_000
    others = {
        identity: {
            name: (one[name], recorded.found[identity][name])
            for name in one
            if name not in ASIDE and one[name] != recorded.found[identity][name]
        }
        for identity, one in recorded.live.items()
    }
    assert {identity: other for identity, other in others.items() if other} == {}


def test_the_crowd_met_all_that_can_happen(recorded):
    """Equal records prove nothing about what never came up."""
    live = recorded.live.values()
    effects = Counter(one["effect"] for one in live)
    assert min(effects[each] for each in ("allow", "shape", "refuse")) > 100
    codes = Counter(reason.partition(":")[0] for one in live for reason in one["reasons"])
    assert {
        "limit.exceeded", "limit.shaped", "limit.flagged", "limit.raised", "limit.shadow",
        "capability.forbidden", "capability.shadow",
        "standing.guarded", "standing.restricted", "standing.contained",
    } <= codes.keys()  # fmt: skip
    assert {one["level"] for one in live} == {each.value for each in Level}
    kinds = {limit["kind"] for one in live for limit in one["limits"]}
    assert kinds == {"rate", "budget", "rolling", "lease", "distinct", "exposure"}
    # But for rates and slots, each kind has had no room in one limit at least.
    full = {limit["kind"] for one in live for limit in one["limits"] if not limit["fits"]}
    assert full == kinds
    assert {one["end"] for one in live} == {"complete", "refused", "error", "abandoned", "broken"}
    assert {"upstream.reset", "upstream.garbage"} <= {one["code"] for one in live}
    assert {one["dialect"] for one in live} == {
        "openai.chat", "openai.completions", "openai.responses", "openai.stored",
        "openai.embeddings", "anthropic.messages",
    }  # fmt: skip
    assert {200, 400, 401, 403, 404, 413, 429, 502, 503} <= recorded.crowd.statuses.keys()
    assert not any(one["blind"] for one in live)


def test_the_recording_has_what_only_the_store_and_the_worker_knew(recorded):
    read = recorded.read
    assert len(list(recorded.directory.glob("traffic-?.jsonl"))) == 2
    assert all(entry.fp and entry.fp.prompt and entry.fp.ip for entry in read)
    assert any(entry.answer and entry.answer.kept for entry in read)
    assert any(entry.released_at for entry in read)
    assert any(entry.level_until for entry in read)
    assert any(entry.facts and entry.facts.dialect == "openai.stored" for entry in read)
    assert {entry.effect for entry in read if entry.answer is None} == {"refuse"}


def test_a_replay_that_settles_at_another_moment_is_seen(recorded):
    """The comparison can fail: without the store's moments of settlement nothing is equal."""
    for entry in recorded.read:
        entry.settled_at = None
    records = Records(recorded.digest)
    Player(recorded.rules, [records]).play(recorded.read)
    assert any(
        records.found[identity]["limits"] != one["limits"]
        for identity, one in recorded.live.items()
    )
