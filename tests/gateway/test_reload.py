"""A policy edited while streams run: new limits at once, no stream dropped, a bad edit ignored."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import openai

# On a busy machine 200 at once may wait for their counters too long; that is not what this is about.
WIDE = """\
policy: p
limits:
  - {limit: requests, allow: 100_000 requests, per: 1m, by: [key], on_store_error: allow}
"""
NARROW = "policy: p\nlimits:\n  - {limit: daily, allow: 1 requests, per: day, by: [key]}\n"
BROKEN = "policy: p\nlimits:\n  - {limit: Daily, allow: 1 request, per: daily}\n  - {alow: 3}\n"
STREAMS = 200


def soon(look, seconds: float = 8.0):
    end = time.monotonic() + seconds
    while not look() and time.monotonic() < end:
        time.sleep(0.05)
    return look()


def status(client) -> int:
    try:
        client.chat.completions.create(
            model="standin", messages=[{"role": "user", "content": "[[tokens=1]] hi"}]
        )
    except openai.APIStatusError as error:
        return error.status_code
    return 200


def test_an_edit_is_felt_at_once_while_200_streams_run_to_their_end(start, loop):
    with start(p=WIDE) as weir:
        _, secret = weir.issue()
        loop.run(_edit_among_streams(weir, secret))
        ends = [one["end"] for one in weir.records() if one["stream"]]
        assert ends == ["complete"] * STREAMS


async def _edit_among_streams(weir, secret) -> None:
    text = "[[tokens=60 pace=50ms]] tell"
    async with weir.async_client(secret, timeout=60) as client:

        async def stream(begun: asyncio.Semaphore) -> int:
            answer = await client.chat.completions.create(
                model="standin", messages=[{"role": "user", "content": text}], stream=True
            )
            begun.release()
            words = 0
            async for chunk in answer:
                words += len((chunk.choices[0].delta.content or "").split())
            return words

        begun = asyncio.Semaphore(0)
        streams = [asyncio.create_task(stream(begun)) for _ in range(STREAMS)]
        for _ in range(STREAMS):
            await begun.acquire()
        (weir.policies / "p.yaml").write_text(NARROW)
        with weir.client(secret) as other:
            assert await asyncio.to_thread(soon, lambda: status(other) == 429)
        assert not all(task.done() for task in streams)
        assert await asyncio.gather(*streams) == [60] * STREAMS


def test_a_broken_edit_changes_nothing_and_every_mistake_is_told(start):
    with start(p=NARROW) as weir:
        _, secret = weir.issue()
        with weir.client(secret) as client:
            assert status(client) == 200
            (weir.policies / "p.yaml").write_text(BROKEN)
            assert soon(lambda: "mistakes" in weir.get("/readyz")[1])
            assert status(client) == 429
            assert weir.get("/readyz")[0] == 200
            assert soon(lambda: "weir_policies_good 0.0" in weir.get("/metrics")[1])
            for place in ("p.yaml:3:6: limits[0].limit", "p.yaml:4:6: limits[1].alow"):
                assert soon(lambda place=place: place in weir.text), weir.text
            (weir.policies / "p.yaml").write_text(WIDE)
            assert soon(lambda: status(client) == 200)


def test_a_configmap_is_swapped_twice(start):
    with start(p=WIDE) as weir:
        folder = weir.policies
        _, secret = weir.issue()
        with weir.client(secret) as client:
            swap(folder, "first", NARROW)
            assert soon(lambda: status(client) == 429)
            swap(folder, "second", WIDE)
            assert soon(lambda: status(client) == 200)
            swap(folder, "third", NARROW.replace("daily, allow: 1 ", "other, allow: 2 "))
            assert soon(lambda: status(client) == 429)


def swap(folder: Path, name: str, text: str) -> None:
    """Change a directory as the kubelet does: visible names point into a folder behind a link."""
    behind = folder / f"..{name}"
    behind.mkdir()
    (behind / "p.yaml").write_text(text)
    new = folder / "..data_tmp"
    new.symlink_to(behind.name)
    new.rename(folder / "..data")
    visible = folder / "p.yaml"
    if not visible.is_symlink():
        visible.unlink()
        visible.symlink_to("..data/p.yaml")
