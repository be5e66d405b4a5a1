"""What profiles cost: bytes an account, store operations and bytes a request, microseconds.

    python bench/profiles.py                     # 100,000 accounts, some minutes
    python bench/profiles.py --accounts 5000

A real server of its own is started. Accounts are drawn as customers are: most have asked a few
things, one in a hundred thousands (lognormal, median 6, sigma 1.6). Memory is measured twice, by
MEMORY USAGE of every hundredth key and by what the server holds more than before.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from proxy.limits.keys import profile_key
from proxy.ports import Batch
from proxy.store.embedded import start_embedded
from proxy.store.open import open_client, open_profiles
from proxy.watch.features import Features
from proxy.watch.layout import DIMENSIONS
from proxy.watch.observation import Observation, Subject
from proxy.watch.profile import Profile, profile_of

if TYPE_CHECKING:
    from collections.abc import Mapping

START = 1_780_000_000_000_000
DAY = 86_400_000_000
MOST_SEEN = 2_000  # exchanges of an account that are drawn one by one
AT_ONCE = 256
SIZES = (1, 8, 64, 256)


def profile(dice: random.Random, account: str, times: int) -> Profile:
    """Return what an account has collected in so many exchanges over a month."""
    found = Profile(START)
    rng = np.random.default_rng(dice.getrandbits(64))
    vectors = rng.standard_normal((min(times, 64), DIMENSIONS)).astype(np.float32) / 11
    step = 30 * DAY // times
    for number in range(times):
        features = Features(
            prompt=dice.getrandbits(64),
            template=dice.getrandbits(8),
            topic=dice.getrandbits(12),
            near=dice.getrandbits(64),
            vector=vectors[number % len(vectors)],
            views=(dice.getrandbits(3), dice.getrandbits(64), dice.getrandbits(64)),
            words=dice.randrange(300),
        )
        found.observe(
            Observation(
                Subject(account, account, "paid", model="gpt-5-mini"),
                START + number * step, START + number * step, features,
                output_tokens=dice.randrange(1_500), user=dice.getrandbits(10),
                gap=dice.randrange(10**10), served=(dice.getrandbits(64),),
            )
        )  # fmt: skip
    return found


def told(name: str, values: list[int]) -> None:
    """Print the spread of a measure."""
    cuts = statistics.quantiles(values, n=100)
    print(
        f"{name}: mean {statistics.fmean(values):,.0f}, median {cuts[49]:,.0f},"
        f" 99 % {cuts[98]:,.0f}, most {max(values):,}"
    )


async def bytes_an_account(url: str, accounts: int) -> None:
    """Fill a server, and print what an account takes of it."""
    dice = random.Random(1)
    store = open_profiles(url, "bench", b"bench", keep=45 * DAY)
    client = open_client(url)
    assert client is not None
    before = int((await client.info("memory"))["used_memory"])
    times = [max(1, min(MOST_SEEN, round(dice.lognormvariate(1.8, 1.6)))) for _ in range(accounts)]
    # A few hundred profiles as accounts have them; what is stored of each is sealed anew.
    made = {many: profile(dice, "acct_0123456789ab", many) for many in sorted(set(times))}
    for number, start in enumerate(range(0, accounts, AT_ONCE)):
        deltas = {
            f"acct_{each:012x}": made[times[each]]
            for each in range(start, min(accounts, start + AT_ONCE))
        }
        left = await store.add(Batch(b"bench-01", number, deltas))
        assert not left
        await store.done(await store.due(AT_ONCE, 60_000_000))
        if sys.stderr.isatty():
            print(f"\r{start:,} of {accounts:,}", end="", file=sys.stderr)
    after = int((await client.info("memory"))["used_memory"])
    usage = [
        await client.memory_usage(profile_key("bench", f"acct_{each:012x}"), samples=0) or 0
        for each in range(0, accounts, 100)
    ]
    print(f"{accounts:,} accounts, exchanges each: median {statistics.median(times):.0f}")
    told("bytes an account (MEMORY USAGE)", usage)
    print(f"bytes an account (used_memory): {(after - before) / accounts:,.0f}")
    densest = max(made)
    print(f"bytes of the densest profile, {densest:,} exchanges: {len(made[densest].to_bytes()):,}")
    await store.close()
    await client.aclose()


async def cost_of_writing(url: str) -> None:
    """Print commands and bytes of a flush, for batches of several sizes."""
    dice = random.Random(2)
    store = open_profiles(url, "flush", b"bench", keep=45 * DAY)
    client = open_client(url)
    assert client is not None
    print("accounts a flush | calls a delta | steps in scripts | bytes in | bytes out | us of ours")
    number = 0
    for size in SIZES:
        rounds = max(4, 512 // size)
        deltas = {f"acct_{each:012x}": profile(dice, "acct", 40) for each in range(size)}
        await store.add(Batch(b"bench-02", number, deltas))
        was = await client.info("all")
        began = time.process_time()
        for _ in range(rounds):
            number += 1
            await store.add(Batch(b"bench-02", number, deltas))
        used = (time.process_time() - began) / (rounds * size)
        now = await client.info("all")
        sent, done, heard, said = (
            (after - before) / (rounds * size)
            for before, after in zip(_counted(was), _counted(now), strict=True)
        )
        print(
            f"{size:16} | {sent:13.2f} | {done - sent:16.1f} | {heard:8,.0f} | {said:9,.0f}"
            f" | {used * 1e6:7,.0f}"
        )
    await store.close()
    await client.aclose()


def _counted(info: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Return the commands sent, all commands (those in scripts too), bytes heard, bytes said."""
    commands = {name: each["calls"] for name, each in info.items() if name.startswith("cmdstat_")}
    sent = sum(commands.get(f"cmdstat_{name}", 0) for name in ("get", "eval", "evalsha"))
    return (
        sent,
        sum(commands.values()),
        info["total_net_input_bytes"],
        info["total_net_output_bytes"],
    )


def microseconds() -> None:
    """Print what the parts cost."""
    dice = random.Random(3)
    one, other = profile(dice, "acct", 500), profile(dice, "acct", 3)
    stored = one.to_bytes()
    digest = blake2b(stored, digest_size=4).hexdigest()
    for name, call in (
        ("merge", lambda: one.add(other)),
        ("to bytes", one.to_bytes),
        ("from bytes", lambda: profile_of(stored)),
    ):
        began = time.perf_counter()
        for _ in range(2_000):
            call()
        print(f"{name}: {(time.perf_counter() - began) / 2_000 * 1e6:.0f} us")
    print(f"(profile {digest}, {len(stored):,} bytes)")


def main() -> None:
    """Measure."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--accounts", type=int, default=100_000)
    accounts = asked.parse_args().accounts
    microseconds()
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as home,
        start_embedded(Path(home)) as server,
    ):
        asyncio.run(cost_of_writing(server.url))
        asyncio.run(bytes_an_account(server.url, accounts))


if __name__ == "__main__":
    main()
