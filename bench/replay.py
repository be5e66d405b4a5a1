"""How fast a replay is, and how much memory it takes while a large file streams.

Traffic is composed (requests of about 1 kB, four doors, 2,000 accounts) and played with policies of
eight limits, one of each kind and more; beside it the file is only read line by line by the same
JSON parser, so that the ratio says what playing costs. CPU seconds of one process, its largest
resident set. `--profile` tells where the time goes.

    make bench-replay
    make bench-replay ARGS='--records 5000000'
"""

from __future__ import annotations

import argparse
import cProfile
import multiprocessing
import pathlib
import pstats
import random
import resource
import tempfile
import time
from dataclasses import dataclass

import orjson

from proxy.cli.replaying import settle_down
from proxy.policy.loader import load
from proxy.replay.run import Replay
from proxy.traffic.reading import Tally, entries

HERE = pathlib.Path(__file__).parent
WORDS = [f"word{number}" for number in range(4000)]
DOORS = (
    ("/v1/chat/completions", "messages", "max_tokens", {}),
    ("/v1/messages", "messages", "max_tokens", {"anthropic-version": "2023-06-01"}),
    ("/v1/responses", "input", "max_output_tokens", {}),
    ("/v1/completions", "prompt", "max_tokens", {}),
)


@dataclass(frozen=True)
class Found:
    what: str
    records: int
    seconds: float
    rss: int


def compose(path: pathlib.Path, records: int, accounts: int) -> None:
    """Write traffic: times random, prompts of about 120 words, one account in ten heavy."""
    chance = random.Random(1)
    at = 1_795_435_200.0
    with path.open("wb") as file:
        for number in range(records):
            at += chance.expovariate(2)
            account = f"acct-{int(chance.paretovariate(0.6)) % accounts}"
            door, where, cap, headers = DOORS[number % 10 if number % 10 < 4 else 0]
            text = " ".join(chance.choices(WORDS, k=120))
            messages = [{"role": "user", "content": text}]
            line = {
                "t": at,
                "key": f"{account}-key",
                "account": account,
                "plan": "free",
                "ip": f"203.0.113.{number % 250}",
                "path": door,
                "body": {"model": "m", where: messages if where == "messages" else text, cap: 500},
                "answer": {
                    "status": 200,
                    "usage": {"prompt_tokens": 160, "completion_tokens": chance.randrange(20, 400)},
                    "seconds": chance.uniform(0.5, 9),
                },
            }
            if headers:
                line["headers"] = headers
            file.write(orjson.dumps(line) + b"\n")


def read(path: pathlib.Path) -> int:
    """Parse every line and no more."""
    with path.open("rb") as file:
        return sum(1 for line in file if orjson.loads(line))


def play(path: pathlib.Path, policies: pathlib.Path) -> int:
    """Play the file as the command does."""
    tally = Tally()
    Replay(load(policies)).play(entries([path], tally))
    assert not tally.unreadable
    assert not tally.late
    return tally.read


def measured(pipe, what: str, work, *args) -> None:
    """Run work in this process of its own and tell what it took."""
    settle_down()
    began = time.process_time()
    records = work(*args)
    seconds = time.process_time() - began
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pipe.send(Found(what, records, seconds, rss))


def alone(what: str, work, *args) -> Found:
    """Return what some work takes in a fresh process."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=measured, args=(there, what, work, *args)
    )
    process.start()
    found = here.recv()
    process.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--accounts", type=int, default=2_000)
    parser.add_argument("--policies", type=pathlib.Path, default=HERE / "policies")
    parser.add_argument("--profile", action="store_true", help="tell where the time goes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        path = pathlib.Path(room) / "traffic.jsonl"
        compose(path, args.records, args.accounts)
        size = path.stat().st_size
        print(f"{args.records:,} records of {size / args.records:,.0f} bytes, {size / 1e6:,.0f} MB")
        if args.profile:
            profile = cProfile.Profile()
            profile.runcall(play, path, args.policies)
            pstats.Stats(profile).sort_stats("tottime").print_stats(15)
            return
        bare = alone("lines parsed only", read, path)
        full = alone("replayed, eight limits", play, path, args.policies)
        print("| what | CPU s | records/s | us a record | ratio | largest RSS |")
        print("|---|---|---|---|---|---|")
        for found in (bare, full):
            print(
                f"| {found.what} | {found.seconds:.1f} | {found.records / found.seconds:,.0f} "
                f"| {found.seconds / found.records * 1e6:.1f} | {found.seconds / bare.seconds:.1f} "
                f"| {found.rss / 1e6:,.0f} MB |"
            )


if __name__ == "__main__":
    main()
