"""What a streamed chunk costs: bare, through Weir, and under each shape, in one run.

    make bench-streams                       three rounds, about fifteen minutes
    make bench-streams ARGS='--rounds 1'     a first look

Microseconds of the proxy's CPU for one server-sent event: streams of 250 events and of 10 are
loaded in turn, 10 ms between events, and what the longer ones cost more is divided by how many more
events they had. So nothing of a request's own cost is in it; that is what `make bench` shows.
Truncation is set far above the length of the answers: the whole stream goes through it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import pathlib
import shutil
import statistics
import tempfile
import time

from machine import family
from run import HERE, Target, costs, issue, load_with, start_bare, start_model, start_weir

SHORT, LONG = 10, 250
CONNECTIONS, SECONDS = 80, 4.0
SHAPES = {
    "strip": "{strip: [logprobs, logit_bias, seed, echo]}",
    "clamp": "{clamp: {n: 8, output_tokens: 4000}}",
    "hide": "{hide: [reasoning]}",
    "truncate": "{truncate: {output_tokens: 100_000}}",
    "all": "{strip: [logprobs, seed], hide: [reasoning], truncate: {output_tokens: 100_000}}",
}
POLICY = """\
policy: {plan}
when: {{plan: {plan}}}
limits:
  - {{limit: never, allow: 1 tokens, per: 24h, by: [account], otherwise: {{shape: it}}}}
shapes: {{it: {shape}}}
"""
DOORS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}


def body(door: str, tokens: int, number: int) -> str:
    """Return a request for a stream of so many tokens."""
    text = f"[[tokens={tokens} pace=10ms]] Question {number}: what do the tides depend on?"
    asked: dict[str, object] = {"model": "standin", "stream": True}
    match door:
        case "completions":
            asked |= {"prompt": text, "max_tokens": 1000}
        case "responses":
            asked |= {"input": text, "store": False}
        case _:
            asked |= {"messages": [{"role": "user", "content": text}], "max_tokens": 1000}
    return json.dumps(asked)


def spent(target: Target, door: str, tokens: int, room: pathlib.Path) -> tuple[float, int]:
    """Return CPU microseconds a stream, and to the first bytes of one that is alone."""
    bodies = [body(door, tokens, number) for number in range(32)]
    path = DOORS[door]
    alone = load_with(target, door, path, bodies, 0.5, 1, room)
    before = family(target.pid)
    seen = load_with(target, door, path, bodies, SECONDS, CONNECTIONS, room)
    worker, *_ = costs(before, family(target.pid))
    return worker * 1e6 / seen["requests"], alone["first50"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    kept: dict[tuple[str, str], list[float]] = {}
    firsts: dict[tuple[str, str], list[int]] = {}
    with contextlib.ExitStack() as stack:
        room = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-")))
        policies = shutil.copytree(HERE / "policies", room / "policies")
        for plan, shape in SHAPES.items():
            (policies / f"{plan}.yaml").write_text(POLICY.format(plan=plan, shape=shape))
        model = start_model(stack, room)
        bare = start_bare(stack, room, model.port)
        weir = start_weir(stack, room, model.port, None, policies)
        shaped = [
            dataclasses.replace(weir, name=plan, key=issue(room / "home", plan)) for plan in SHAPES
        ]
        time.sleep(1.5)  # until the worker knows the keys
        pairs = [(target, door) for door in DOORS for target in (bare, weir)]
        pairs += [(target, door) for target in shaped for door in DOORS]
        for turn in range(options.rounds):
            began = time.monotonic()
            for target, door in pairs:
                short, first = spent(target, door, SHORT, room)
                long, _ = spent(target, door, LONG, room)
                each = (long - short) / (LONG - SHORT)
                kept.setdefault((target.name, door), []).append(each)
                firsts.setdefault((target.name, door), []).append(first)
            print(f"round {turn + 1}: {time.monotonic() - began:.0f} s", flush=True)
    show(kept, firsts)


def show(
    kept: dict[tuple[str, str], list[float]], firsts: dict[tuple[str, str], list[int]]
) -> None:
    """Print medians of the rounds, and ratios to the bare proxy."""
    print(f"\n{'µs CPU an event':14}" + "".join(f"{door:>22}" for door in DOORS))
    for name in ("bare", "weir", *SHAPES):
        cells = []
        for door in DOORS:
            each = statistics.median(kept[name, door])
            ratio = each / statistics.median(kept["bare", door])
            cells.append(f"{each:>12.1f} ({ratio:.2f} x)")
        print(f"{name:15}" + "".join(f"{cell:>22}" for cell in cells))
    print(f"\n{'µs to the first bytes, alone':28}" + "".join(f"{door:>14}" for door in DOORS))
    for name in ("bare", "weir", *SHAPES):
        cells = [f"{statistics.median(firsts[name, door]):>14,.0f}" for door in DOORS]
        print(f"{name:28}" + "".join(cells))


if __name__ == "__main__":
    main()
