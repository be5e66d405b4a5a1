"""What breaks around Weir breaks nothing in it: clients are told, counters stay true."""

from __future__ import annotations

import asyncio
import collections
import json
import os
import signal
import socket
import struct
import time
from pathlib import Path

import openai
import pytest
import redis

LIMITS = """\
policy: p
limits:
  - {{limit: requests, allow: 100_000 requests, per: day, by: [account], on_store_error: {how}}}
  - {{limit: words, allow: 10_000_000 output_tokens, per: month, by: [account], on_store_error: {how}}}
  - {{limit: slots, allow: 1_000 concurrent, by: [account], on_store_error: {how}}}
"""


def soon(look, seconds: float = 10.0):
    end = time.monotonic() + seconds
    while not look() and time.monotonic() < end:
        time.sleep(0.05)
    return look()


def counters(weir) -> dict[str, int]:
    """Return what the store holds: requests, words, slots held."""
    with redis.Redis(unix_socket_path=str(weir.home / "store" / "store.sock")) as store:
        found = {"requests": 0, "words": 0, "slots": 0}
        for key in store.scan_iter("weir1:*"):
            name = key.decode()
            if ":budget:" in name:
                which = "words" if "5:words" in name else "requests"
                found[which] = int(store.get(key).split()[1])
            elif ":lease:" in name:
                found["slots"] = store.zcard(key)
    return found


async def load(weir, secret, seconds: float, disturb) -> tuple[collections.Counter, list[float]]:
    """Ask in eight lanes for some seconds, while something is done to the house."""
    seen: collections.Counter = collections.Counter()
    waits: list[float] = []
    end = time.monotonic() + seconds

    async def lane(client) -> None:
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                await client.chat.completions.create(
                    model="standin", messages=[{"role": "user", "content": "[[tokens=3]] hi"}]
                )
                seen[200] += 1
            except openai.APIStatusError as error:
                seen[error.status_code] += 1
                waits.append(time.monotonic() - began)
            except openai.APIConnectionError:
                seen["cut"] += 1
            await asyncio.sleep(0.002)

    async with weir.async_client(secret, timeout=20) as client:
        lanes = [asyncio.create_task(lane(client)) for _ in range(8)]
        await disturb()
        await asyncio.gather(*lanes)
    return seen, waits


def settled(weir) -> bool:
    return counters(weir)["slots"] == 0


@pytest.mark.parametrize("how", ["deny", "allow", "local"])
def test_a_frozen_store_holds_nobody_up_and_the_counters_come_out_right(start, loop, how):
    with start(p=LIMITS.format(how=how)) as weir:
        _, secret = weir.issue()
        store = weir.store_pid()

        async def freeze() -> None:
            await asyncio.sleep(0.5)
            os.kill(store, signal.SIGSTOP)
            await asyncio.sleep(5.0)
            os.kill(store, signal.SIGCONT)

        seen, waits = loop.run(load(weir, secret, 7.0, freeze))
        assert set(seen) == ({200, 503} if how == "deny" else {200})
        # The deadline is 100 ms; the rest is two busy cores.
        assert max(waits, default=0) < 2.0
        assert soon(lambda: counters(weir)["requests"] == seen[200]), (counters(weir), seen)
        assert soon(lambda: counters(weir) == {
            "requests": seen[200], "words": 3 * seen[200], "slots": 0,
        }), (counters(weir), seen)  # fmt: skip
        assert soon(lambda: len(weir.records()) == sum(seen.values()))


def test_a_store_that_dies_is_started_again_and_keeps_its_counters(start, loop):
    with start(p=LIMITS.format(how="deny")) as weir:
        _, secret = weir.issue()

        async def kill() -> None:
            await asyncio.sleep(1.0)
            os.kill(weir.store_pid(), signal.SIGKILL)

        seen, waits = loop.run(load(weir, secret, 5.0, kill))
        assert set(seen) == {200, 503}
        assert max(waits) < 2.0
        assert weir.get("/readyz")[0] == 200
        # The file is written every second: at most that much is forgotten, nothing is invented.
        assert 0 < counters(weir)["requests"] <= sum(seen.values())
        assert soon(lambda: settled(weir))


def test_a_store_without_its_scripts_is_taught_them_again_unnoticed(start, loop):
    with start(p=LIMITS.format(how="deny")) as weir:
        _, secret = weir.issue()

        async def forget() -> None:
            for _ in range(5):
                await asyncio.sleep(0.2)
                with redis.Redis(unix_socket_path=str(weir.home / "store" / "store.sock")) as store:
                    store.script_flush()

        seen, _ = loop.run(load(weir, secret, 1.5, forget))
        assert set(seen) == {200}
        assert soon(lambda: counters(weir)["words"] == 3 * seen[200])


@pytest.mark.parametrize(
    ("directive", "status", "charged"),
    [
        ("error=503", 503, 0),
        ("error=429", 429, 0),
        ("reset=5 tokens=40", 502, 0),
        ("garbage=5 tokens=40", 502, 0),
        ("usage=none tokens=9", 200, 9),
        ("reasoning=11 tokens=9", 200, 20),
    ],
)
def test_an_answer_that_fails_is_told_natively_and_settled(
    weir, secret, directive, status, charged
):
    with weir.client(secret) as client:
        raw = None
        try:
            raw = client.chat.completions.with_raw_response.create(
                model="standin", messages=[{"role": "user", "content": f"[[{directive}]] hi"}]
            )
            headers, told = raw.headers, raw.status_code
        except openai.APIStatusError as error:
            headers, told = error.response.headers, error.status_code
    assert told == status
    record = weir.record(headers["x-weir-decision"])
    assert record["usage"]["charged_output"] == charged
    assert record["status"] == status


@pytest.mark.parametrize(
    ("directive", "end", "charged"),
    [
        ("reset=5 tokens=40", "broken", 5),
        ("garbage=5 tokens=40", "broken", 5),
        ("nodone=1 tokens=7", "complete", 7),
        ("error_at=6 tokens=40", "error", 6),
        ("usage=none tokens=9", "complete", 9),
        ("usage_in_choices=1 tokens=9", "complete", 9),
        ("error=200 tokens=9", "error", 0),
    ],
)
def test_a_stream_that_fails_is_told_in_the_stream_and_charged_as_relayed(
    weir, secret, directive, end, charged
):
    words, failed = 0, False
    with weir.client(secret) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="standin", stream=True,
            messages=[{"role": "user", "content": f"[[{directive}]] hi"}],
        )  # fmt: skip
        try:
            for chunk in raw.parse():
                if chunk.choices:
                    words += len((chunk.choices[0].delta.content or "").split())
        except openai.APIError:
            failed = True
    record = weir.record(raw.headers["x-weir-decision"])
    assert (record["end"], record["usage"]["charged_output"]) == (end, charged)
    assert words == charged
    assert failed is (end != "complete")


def test_a_model_that_is_not_there_is_a_502_that_costs_a_request_only(start):
    with start(p=LIMITS.format(how="deny"), upstream="http://127.0.0.1:9/v1") as weir:
        made = weir.weir("keys", "issue", "--home", weir.home, "--account", "a", "--json")
        secret = json.loads(made)["key"]
        assert soon(lambda: weir.models(secret) == 502)
        with weir.client(secret) as client, pytest.raises(openai.InternalServerError) as told:
            client.chat.completions.create(
                model="standin", messages=[{"role": "user", "content": "hi"}]
            )
        assert (told.value.status_code, told.value.code) == (502, "upstream.unreachable")
        assert soon(lambda: counters(weir) == {"requests": 1, "words": 0, "slots": 0})


def test_clients_that_hang_up_in_mid_stream_pay_what_was_relayed_and_free_their_slots(start):
    with start(p=LIMITS.format(how="deny")) as weir:
        _, secret = weir.issue()
        body = (
            b'{"model":"standin","stream":true,"messages":[{"role":"user",'
            b'"content":"[[tokens=500 pace=10ms]] go"}]}'
        )
        for size in (1, 400, 3000):
            with socket.create_connection(("127.0.0.1", weir.port)) as peer:
                peer.sendall(
                    b"POST /v1/chat/completions HTTP/1.1\r\nhost: w\r\nauthorization: Bearer "
                    + secret.encode() + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body
                )  # fmt: skip
                got = b""
                while len(got) < size:
                    got += peer.recv(1 if size == 1 else 512)
                # A reset rather than a goodbye.
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert soon(lambda: len(weir.records()) == 3)
        assert soon(lambda: settled(weir))
        records = weir.records()
        assert {one["end"] for one in records} == {"abandoned"}
        charged = [one["usage"]["charged_output"] for one in records]
        assert charged == [one["usage"]["relayed"] for one in records]
        assert counters(weir)["words"] == sum(charged)


def test_a_killed_worker_is_followed_by_another_and_its_slots_expire(start, loop):
    with start(p=LIMITS.format(how="deny"), flags={"workers": 2}) as weir:
        _, secret = weir.issue()

        async def kill() -> None:
            await asyncio.sleep(0.7)
            os.kill(weir.workers()[0], signal.SIGKILL)

        seen, _ = loop.run(load(weir, secret, 4.0, kill))
        assert set(seen) <= {200, "cut"}
        assert seen["cut"] <= 16
        assert soon(lambda: len(weir.workers()) == 2)
        assert soon(lambda: weir.get("/readyz")[0] == 200)
        # Requests that the dead worker had in hand were charged, and never settled.
        held = counters(weir)["requests"] - seen[200]
        assert 0 <= held <= 16


def test_ctrl_c_lets_streams_end_and_leaves_nothing_running(start):
    with start(p=LIMITS.format(how="deny")) as weir:
        _, secret = weir.issue()
        store, workers = weir.store_pid(), weir.workers()
        with weir.client(secret) as client:
            stream = client.chat.completions.create(
                model="standin", stream=True,
                messages=[{"role": "user", "content": "[[tokens=40 pace=30ms]] go"}],
            )  # fmt: skip
            first = next(iter(stream))
            weir.process.send_signal(signal.SIGINT)
            words = sum(
                len((c.choices[0].delta.content or "").split()) for c in stream if c.choices
            )
        assert first.choices
        assert words == 40
        assert weir.process.wait(20) == 0
        assert not [pid for pid in (store, *workers) if alive(pid)]
        assert [one["end"] for one in weir.records()] == ["complete"]


def test_a_killed_supervisor_takes_everything_with_it(start):
    with start(p=LIMITS.format(how="deny")) as weir:
        pids = [weir.store_pid(), *weir.workers()]
        weir.process.kill()
        assert soon(lambda: not [pid for pid in pids if alive(pid)])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_limits_that_deny_and_limits_counted_in_the_process_stand_side_by_side(start):
    both = LIMITS.format(how="local").replace("on_store_error: local", "on_store_error: deny", 1)
    with start(p=both) as weir:
        _, secret = weir.issue()
        store = weir.store_pid()
        os.kill(store, signal.SIGSTOP)
        try:
            with weir.client(secret) as client, pytest.raises(openai.InternalServerError) as told:
                client.chat.completions.create(
                    model="standin", messages=[{"role": "user", "content": "hi"}]
                )
        finally:
            os.kill(store, signal.SIGCONT)
        assert (told.value.status_code, told.value.code) == (503, "store.unavailable")
        record = weir.record(told.value.response.headers["x-weir-decision"])
        assert (record["blind"], record["end"]) == (True, "refused")


def test_a_refused_request_does_not_feed_what_shadow_limits_measure(start):
    policy = (
        "policy: p\nlimits:\n"
        "  - {limit: few, allow: 2 requests, per: day, by: [account]}\n"
        "  - {limit: words, allow: 9 output_tokens, per: day, by: [account], mode: shadow}\n"
        "  - {limit: slots, allow: 9 concurrent, by: [account], mode: shadow}\n"
    )
    with start(p=policy) as weir:
        _, secret = weir.issue()
        with weir.client(secret) as client:
            for _ in range(2):
                client.chat.completions.create(
                    model="standin", messages=[{"role": "user", "content": "[[tokens=3]] hi"}]
                )
            for _ in range(5):
                with pytest.raises(openai.RateLimitError):
                    client.chat.completions.create(
                        model="standin", messages=[{"role": "user", "content": "[[tokens=3]] hi"}]
                    )
        assert soon(lambda: counters(weir) == {"requests": 2, "words": 6, "slots": 0})
