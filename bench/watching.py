"""What the watch plane costs: microseconds on the path and off it, and beside a house without it.

    python bench/watching.py                 the parts by themselves, some seconds
    python bench/watching.py --whole         and whole gateways, watched and unwatched, in turn

Absolute numbers are the machine's; compare ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import run

from proxy.dialects import routes
from proxy.front.observing import Kept
from proxy.policy.models import Models
from proxy.watch.features import Lens
from proxy.watch.observation import Observation, Subject
from proxy.watch.profile import Profile, profile_of
from proxy.watch.remembered import Remembered, history_of, turn_number

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = """harbour tide depends wind depth moon season current shape coast while engineers measure
pressure salt temperature over many years predict what ships may expect and the of a to over"""
WORDS = TEXT.split()
SUBJECT = Subject("acme", "acme", "paid", "", False, "standin")  # noqa: FBT003 - as it is declared


def prompt(tokens: int, number: int) -> str:
    """Return a prompt of about so many tokens, differing by its number."""
    return " ".join(WORDS[(number * 7 + at * (at % 5 + 1)) % len(WORDS)] for at in range(tokens))


def microseconds(work: Callable[[int], object], times: int = 400) -> float:
    """Return the median time of a call, microseconds."""
    taken = []
    for number in range(times):
        began = time.perf_counter_ns()
        work(number)
        taken.append(time.perf_counter_ns() - began)
    return statistics.median(taken) / 1000


def facts_of(text: str) -> object:
    """Return the facts of a chat request with one system and one user turn."""
    import orjson  # noqa: PLC0415 - only here

    body = orjson.dumps(
        {
            "model": "standin",
            "messages": [
                {"role": "system", "content": "You are a careful assistant for harbour masters."},
                {"role": "user", "content": text},
            ],
        }
    )
    way = routes.route("POST", "/v1/chat/completions", {})
    (facts,) = way.dialect.read(body, Models().rules, way.call)
    return facts


def parts() -> None:
    """Measure each part by itself."""
    lens = Lens(bytes(32))
    for tokens in (50, 500, 5_000, 30_000):
        asked = [facts_of(prompt(tokens, number)) for number in range(40)]
        took = microseconds(lambda number, asked=asked: lens(asked[number % 40]))
        print(f"features of a {tokens:>6,}-token prompt        {took:8.1f} µs on the path")
    asked = [facts_of(prompt(500, number)) for number in range(40)]
    features = [lens(each) for each in asked]
    remembered = Remembered()
    took = microseconds(
        lambda number: (
            remembered.arrives(f"account-{number}", number),
            history_of(asked[number % 40].turns, lens),
        )
    )
    print(f"gaps, running answers, history              {took:8.1f} µs on the path")
    whole = b'{"choices":[{"message":{"content":"%b"}}]}' % prompt(400, 1).encode()
    piece = (
        b'data: {"id":"x","model":"standin","choices":[{"index":0,"delta":{"content":" %b"}}]}\n\n'
    )
    events = b"".join(piece % word.encode() for word in prompt(100, 2).split())
    for name, body, stream in (
        ("JSON of 400 tokens", whole, False),
        ("SSE of 100 events", events, True),
    ):
        kept = Kept(65_536, stream=stream)
        kept.keep(body)
        took = microseconds(
            lambda _, kept=kept: lens.marks(text := kept.text()) and turn_number(text, lens)
        )
        print(f"marks of an answer, {name:<24}{took:8.1f} µs off the path")
    profile = Profile()
    seen = [
        Observation(SUBJECT, 10**15 + number, 10**15 + number, features[number], output_tokens=200)
        for number in range(40)
    ]
    took = microseconds(lambda number: profile.observe(seen[number % 40]))
    print(f"noting an exchange in a delta               {took:8.1f} µs off the path")
    other = profile_of(profile.to_bytes())
    took = microseconds(lambda _: profile.add(other))
    print(f"merging two profiles                        {took:8.1f} µs off the path")
    took = microseconds(lambda _: profile.to_bytes())
    size = f"writing it, {len(profile.to_bytes()):,} bytes"
    print(f"{size:<44}{took:8.1f} µs off the path")


def whole(rounds: int) -> None:
    """Load gateways that watch and that do not, in turn, and print what a request costs them."""
    print("\nwhole gateways: µs CPU of the worker a request, median of rounds")
    with contextlib.ExitStack() as stack:
        room = Path(stack.enter_context(TemporaryDirectory(prefix="weir-watching-")))
        model = run.start_model(stack, room)
        houses = {}
        for name, settings in (("watched", "{}"), ("unwatched", "watch: {enabled: false}")):
            place = room / name
            place.mkdir()
            (place / "weir.yaml").write_text(settings)
            more = ("--settings", str(place / "weir.yaml"))
            houses[name] = run.start_weir(stack, place, model.port, None, more=more)
        for case in run.CASES:
            kept = {name: run.Samples() for name in houses}
            for _ in range(rounds):
                for name, target in houses.items():
                    run.measure(target, case, 2.0, room, kept[name])
            cost = {name: statistics.median(each.worker) for name, each in kept.items()}
            store = {name: statistics.median(each.store) for name, each in kept.items()}
            print(
                f"{case.name:14} watched {cost['watched']:7.1f}  unwatched {cost['unwatched']:7.1f}"
                f"  ratio {cost['watched'] / cost['unwatched']:.2f}"
                f"   store {store['watched']:.1f} / {store['unwatched']:.1f}"
            )


def main() -> None:
    """Measure and print."""
    reading = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    reading.add_argument("--whole", action="store_true", help="whole gateways too")
    reading.add_argument("--rounds", type=int, default=3)
    told = reading.parse_args()
    parts()
    if told.whole:
        whole(told.rounds)


if __name__ == "__main__":
    main()
