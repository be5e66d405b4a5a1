"""Traffic sent to a real house: it decides what its own policies say of it, to the last code."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter

import orjson
import pytest

from proxy.core.facts import Usage
from proxy.policy.loader import load
from proxy.replay.live import Keys, Options, run, target_of
from proxy.traffic.entry import Answer, Entry

START = 1_763_900_000_000_000
POLICIES = {
    "free": """\
policy: free
when: {plan: free}
capabilities:
  - {forbid: [logit_bias+logprobs]}
limits:
  - {limit: burst, allow: 30 requests, per: 24h, by: [account]}
  - {limit: output, allow: 400 output_tokens, per: day, by: [org], otherwise: {shape: small}}
  - {limit: huge, allow: 100 output_tokens, per: 24h, by: [key], mode: shadow}
shapes:
  small: {clamp: {n: 1, output_tokens: 8}, strip: [logprobs]}
""",
    "paid": """\
policy: paid
when: {plan: paid}
limits:
  - {limit: tokens, allow: 2_500 tokens, per: 24h, by: [account]}
  - {limit: slow, allow: 600 output_tokens, per: 24h, by: [account], otherwise: {shape: later}}
  - {limit: told, allow: 20 requests, per: 24h, by: [account], otherwise: flag}
shapes:
  later: {delay: 2ms}
""",
}
DOORS = (
    "chat",
    "chat stream",
    "messages",
    "messages stream",
    "completions",
    "embeddings",
    "models",
)


def request(rng: random.Random, number: int) -> dict:
    """Return the request of one entry, all of it a matter of its number."""
    door = rng.choice(DOORS)
    tokens = rng.randrange(1, 30)
    said = f"[[tokens={tokens}]] " + " ".join(rng.choices(["sea", "tree", "bird"], k=3))
    cap = {"max_tokens": rng.choice([20, 40])}
    body = {"model": "standin", "messages": [{"role": "user", "content": said}], **cap}
    if rng.random() < 0.1 and door.startswith("chat"):
        body |= {"n": 3, "logprobs": True}
    if rng.random() < 0.05 and door.startswith("chat"):
        body |= {"logit_bias": {"50256": -100}, "logprobs": True}
    if number % 37 == 36:
        return {"path": "/v1/chat/completions", "body": {"model": "standin", "messages": []}}
    match door.partition(" "):
        case "chat", _, stream:
            return {"path": "/v1/chat/completions", "body": {**body, "stream": bool(stream)}}
        case "messages", _, stream:
            return {"path": "/v1/messages", "body": {**body, "stream": bool(stream)}}
        case "completions", _, _:
            return {"path": "/v1/completions", "body": {"model": "standin", "prompt": said, **cap}}
        case "embeddings", _, _:
            return {"path": "/v1/embeddings", "body": {"model": "standin", "input": said}}
    return {"method": "GET", "path": "/v1/models"}


def mixed(count: int, seed: int = 7) -> list[Entry]:
    rng = random.Random(seed)
    accounts = [("free-1", "free"), ("free-2", "free"), ("paid-1", "paid"), ("paid-2", "paid")]
    found = []
    for number in range(count):
        account, plan = rng.choice(accounts)
        found.append(
            Entry(START + number * 10_000, f"k-{account}", account, account, plan, **request(rng, number))
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def house(started_once):
    with started_once(**POLICIES, flags={"workers": 2}) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def keys(house):
    """Return secrets of the traffic's keys; no policy speaks of the account that is calm."""
    issued = {}

    def of(entries: list[Entry]) -> Keys:
        for entry in entries:
            if entry.key not in issued:
                issued[entry.key] = house.issue(entry.account, entry.plan)[1]
        return Keys(issued)

    return of


def test_three_hundred_mixed_requests_are_decided_as_the_policies_say(house, keys):
    entries = mixed(300)
    # One at a time: what is then told otherwise is no matter of timing.
    options = Options(target_of(house.url), speed=None, concurrency=1)
    rules = load(house.policies)
    result = asyncio.run(run(options, entries, keys(entries), rules))
    found = result.comparison
    assert found is not None
    assert not found.first, "\n".join(result.lines())
    assert (found.compared, found.agreed, found.same_codes) == (300, 300, 300)
    assert {effect for effect, _ in found.matrix} == {
        "allow", "shape", "delay", "refuse", "free", "error",
    }  # fmt: skip
    assert result.measured.answered == 300
    assert "300 of 300 decided as the policies say (100 %)" in "\n".join(result.lines())
    told = orjson.dumps(result.as_dict()) + repr(result).encode() + "".join(result.lines()).encode()
    for secret in keys(entries).secrets.values():
        assert secret.encode() not in told


def test_policies_that_are_not_those_of_the_gateway_are_told_by_request_and_reason(
    house, keys, tmp_path
):
    entries = [
        Entry(START + at, "k-calm", "calm", "calm", "none", body={
            "model": "standin", "messages": [{"role": "user", "content": f"[[tokens=1]] {at}"}]})
        for at in range(10)
    ]  # fmt: skip
    (tmp_path / "free.yaml").write_text(
        "policy: free\nlimits:\n  - {limit: few, allow: 4 requests, per: day, by: [account]}\n"
    )
    (tmp_path / "models.yaml").write_text((house.policies / "models.yaml").read_text())
    options = Options(target_of(house.url), speed=None, concurrency=1)
    result = asyncio.run(run(options, entries, keys(entries), load(tmp_path)))
    found = result.comparison
    assert found is not None
    assert found.matrix == Counter({("allow", "allow"): 4, ("refuse", "allow"): 6})
    assert not result.agreed
    assert found.first[0].number == 5
    assert found.first[0].why == ("limit.exceeded: free/few, 0 of 4 requests left, 1 asked",)


def test_a_client_that_left_leaves_again_after_as_many_tokens(house, keys):
    left = Answer(end="abandoned", usage=Usage(relayed=5))
    entries = [
        Entry(START, "k-leaving", "leaving", "leaving", "none", answer=left, body={
            "model": "standin", "stream": True,
            "messages": [{"role": "user", "content": "[[tokens=2000 pace=5ms]] on and on"}]})
    ]  # fmt: skip
    with house.new_records("leaving") as records:
        options = Options(target_of(house.url))
        result = asyncio.run(run(options, entries, keys(entries), load(house.policies)))
    assert result.measured.abandoned == 1
    (record,) = records
    assert record["end"] == "abandoned"
    assert 5 <= record["usage"]["relayed"] < 100


def test_what_builds_on_a_stored_answer_finds_it_under_its_new_id(house, keys):
    def asked(at: int, **more) -> Entry:
        return Entry(START + at, "k-calm", "calm", "calm", "none", **more)

    first = {"model": "standin", "input": "[[tokens=2]] one", "store": True}
    entries = [
        asked(0, path="/v1/responses", body=first, answer=Answer(object="resp_recorded")),
        asked(1, method="GET", path="/v1/responses/resp_recorded"),
        asked(2, path="/v1/responses",
              body={**first, "previous_response_id": "resp_recorded"}),
        asked(3, method="GET", path="/v1/responses/resp_never"),
    ]  # fmt: skip
    options = Options(target_of(house.url), speed=None, concurrency=1)
    result = asyncio.run(run(options, entries, keys(entries), load(house.policies)))
    assert result.measured.statuses == Counter({200: 3, 404: 1})
    assert result.comparison is not None
    assert (result.comparison.compared, result.comparison.agreed) == (3, 3)
    assert result.comparison.skipped == Counter({"its stored object is not there": 1})


SENDING = """
import asyncio, sys
from proxy.replay.live import Keys, Options, run, target_of
from proxy.traffic.entry import Entry

def endless():
    for at in range(1_000_000):
        yield Entry(1_763_900_000_000_000 + at * 20_000, "k", "a", "a", method="GET", path="/v1/models")

result = asyncio.run(run(
    Options(target_of(sys.argv[1])), endless(), Keys({"*": sys.argv[2]}),
    progress=lambda _: print("one", flush=True)))
print(*result.lines(), sep="\\n")
sys.exit(130 if result.interrupted else 0)
"""


def test_ctrl_c_ends_it_with_what_was_measured_so_far(house, keys):
    secret = keys([Entry(START, "k-calm", "calm", "calm", "none")]).secret("k-calm")
    process = subprocess.Popen(
        [sys.executable, "-c", SENDING, house.url, str(secret)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline() == "one\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    assert "interrupted: these are the results so far" in out
    assert "decided: " in out
