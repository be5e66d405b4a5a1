"""The same traffic in several orders of equal moments, in pieces and twice: are the results equal?

Moments are cut to whole minutes, so that many requests share one. The traffic is written in order,
with the requests of each minute shuffled, and dealt into three files of three compressions; all are
replayed, the first twice, and all results compared byte for byte.

    python bench/orders.py medium.jsonl.zst --policies policies
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import pathlib
import random
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import orjson

from proxy.policy.loader import load
from proxy.replay.results import summary_dict
from proxy.replay.run import Replay
from proxy.traffic.reading import Tally, entries
from proxy.traffic.writing import open_traffic

MINUTE = 60_000_000


def minutes(path: pathlib.Path):
    """Yield the entries of each minute together, at the minute's beginning."""
    cut = (replace(entry, t=entry.t // MINUTE * MINUTE) for entry in entries([path], Tally()))
    for _, together in itertools.groupby(cut, key=lambda entry: entry.t):
        yield list(together)


def results(paths: list[pathlib.Path], policies: pathlib.Path) -> tuple[int, str]:
    """Replay; return the number of requests and a digest of all results."""
    replay, tally = Replay(load(policies)), Tally()
    replay.play(entries(paths, tally))
    assert not tally.unreadable
    assert not tally.late
    told = orjson.dumps(summary_dict(replay.summary))
    return tally.read, hashlib.sha256(told).hexdigest()[:32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("traffic", type=pathlib.Path)
    parser.add_argument("--policies", type=pathlib.Path, default=pathlib.Path("policies"))
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as room:
        whole = pathlib.Path(room) / "whole.jsonl.zst"
        shuffled = pathlib.Path(room) / "shuffled.jsonl.zst"
        dealt = [
            pathlib.Path(room) / f"dealt.{kind}" for kind in ("jsonl", "jsonl.gz", "jsonl.zst")
        ]
        shared = 0
        with (
            open_traffic(whole) as first,
            open_traffic(shuffled) as second,
            open_traffic(dealt[0]) as a,
            open_traffic(dealt[1]) as b,
            open_traffic(dealt[2]) as c,
        ):
            for together in minutes(args.traffic):
                shared += len(together) if len(together) > 1 else 0
                for entry in together:
                    first.write(entry)
                chance.shuffle(together)
                for entry in together:
                    second.write(entry)
                    chance.choice((a, b, c)).write(entry)
        print(f"{shared:,} requests share their moment with others")
        tried = {
            "in order": [whole],
            "in order, again": [whole],
            "minutes shuffled": [shuffled],
            "dealt into three files": dealt,
        }
        with ProcessPoolExecutor(args.processes) as pool:
            told = pool.map(results, tried.values(), [args.policies] * len(tried))
            found = [(name, *each) for name, each in zip(tried, told, strict=True)]
        for name, read, digest in found:
            print(f"{name:24} {read:>12,} requests  {digest}")
        print("equal" if len({each[1:] for each in found}) == 1 else "NOT EQUAL")


if __name__ == "__main__":
    main()
