"""What Weir costs beside a bare proxy: CPU microseconds a request, and latency, in one run.

    make bench                         three rounds, about a minute and a half
    make bench ARGS='--rounds 5'       steadier medians
    make bench ARGS='--profile'        and the worker's ten dearest functions
    make bench ARGS='--only bare'      the yardstick by itself

Both proxies stand before the same stand-in model and are asked in turn. They are pinned to the
first core, load and model to the second. Absolute numbers are the machine's; compare ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

from machine import await_port, end, family, free_port, pin, start

HERE = pathlib.Path(__file__).parent
WEIR = pathlib.Path(sys.executable).parent / "weir"
PATH = "/v1/chat/completions"
VARIETY = 64
PROXY_CORE, LOAD_CORE = 0, 1


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request: how large, how answered, on how many connections."""

    name: str
    size: int
    directive: str
    stream: bool
    connections: int


CASES = (
    Case("1 kB JSON", 1_000, "tokens=120", stream=False, connections=32),
    Case("30 kB JSON", 30_000, "tokens=120", stream=False, connections=32),
    Case("100-chunk SSE", 1_000, "tokens=100 pace=10ms", stream=True, connections=100),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A proxy under load, or the model itself."""

    name: str
    port: int
    pid: int
    key: str = "weir-bench"


@dataclass(frozen=True, slots=True)
class Samples:
    """What the rounds gave for one target and one case."""

    worker: list[float] = field(default_factory=list)
    store: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    alone50: list[float] = field(default_factory=list)
    alone99: list[float] = field(default_factory=list)


def body(case: Case, number: int) -> str:
    """Return a chat request of about `case.size` bytes; `number` makes it differ from others."""
    words = f"Question {number}: what do the tides in harbour {number * 7919} depend on? "
    turns = max(1, case.size // 3_000)
    share = max(1, (case.size // turns - 90) // len(words))
    messages = [
        {"role": "user" if turn % 2 == 0 else "assistant", "content": words * share}
        for turn in range(turns)
    ]
    messages.append({"role": "user", "content": f"[[{case.directive}]] {number}"})
    asked = {"model": "standin", "messages": messages, "max_tokens": 200}
    return json.dumps({**asked, "stream": True} if case.stream else asked)


def load(target: Target, case: Case, seconds: float, connections: int, room: pathlib.Path) -> dict:
    """Load the target with a case's chat requests and return what came of it."""
    bodies = [body(case, number) for number in range(VARIETY)]
    return load_with(target, case.name, PATH, bodies, seconds, connections, room)


def load_with(
    target: Target, name: str, path: str, bodies: list[str], seconds: float, connections: int,
    room: pathlib.Path,
) -> dict:  # fmt: skip
    """Load the target from another process and return what that saw."""
    spec = {
        "host": "127.0.0.1",
        "port": target.port,
        "path": path,
        "seconds": seconds,
        "connections": connections,
        "headers": {
            "Authorization": f"Bearer {target.key}", "anthropic-version": "2023-06-01",
        },
        "bodies": bodies,
    }  # fmt: skip
    file = room / "spec.json"
    file.write_text(json.dumps(spec))
    with subprocess.Popen(
        [sys.executable, str(HERE / "load.py"), str(file)], stdout=subprocess.PIPE
    ) as program:
        pin(program.pid, LOAD_CORE)
        answer, _ = program.communicate(timeout=seconds + 60)
    seen = json.loads(answer)
    served = seen["statuses"].get("200", 0)
    if not served or served != seen["requests"] or seen["errors"]:
        raise SystemExit(f"bench: {target.name}, {name}: not all were served: {seen}")
    return seen


def costs(before: list, after: list) -> tuple[float, float, float]:
    """Return CPU seconds between two looks at a family: worker, store, others.

    The worker is the busiest process that is not the store; the supervisor is among the others.
    """
    past = {process.pid: process.cpu for process in before}
    spent = [(process.cpu - past.get(process.pid, 0.0), process.name) for process in after]
    store = sum(cpu for cpu, name in spent if "valkey" in name or "redis" in name)
    rest = sorted((cpu for cpu, name in spent if "valkey" not in name and "redis" not in name))
    return rest[-1], store, sum(rest[:-1])


def measure(target: Target, case: Case, seconds: float, room: pathlib.Path, kept: Samples) -> None:
    """Add one round's numbers of one target and case to `kept`."""
    load(target, case, 0.3, case.connections, room)
    before = family(target.pid)
    seen = load(target, case, seconds, case.connections, room)
    worker, store, others = costs(before, family(target.pid))
    each = 1e6 / seen["requests"]
    kept.worker.append(worker * each)
    kept.store.append(store * each)
    kept.others.append(others * each)
    kept.rate.append(seen["requests"] / seen["seconds"])
    kept.p50.append(seen["p50"])
    kept.p99.append(seen["p99"])
    if not case.stream:
        alone = load(target, case, min(1.0, seconds), 1, room)
        kept.alone50.append(alone["p50"])
        kept.alone99.append(alone["p99"])


def show(results: dict[tuple[str, str], Samples], names: list[str]) -> None:
    """Print a table for each case: medians of the rounds, and the ratios to the bare proxy."""

    def median(values: list[float]) -> float:
        return statistics.median(values) if values else float("nan")

    heads = ("worker", "ratio", "store", "others", "req/s", "p50", "p99", "alone p50", "alone p99")
    for case in CASES:
        print(f"\n{case.name}, {case.connections} connections; µs CPU a request, latency in µs")
        print(f"{'':14}" + "".join(f"{head:>11}" for head in heads))
        bare = results.get((case.name, "bare"))
        for name in names:
            kept = results[case.name, name]
            proxied = name != "model"
            ratio = median(kept.worker) / median(bare.worker) if bare and proxied else float("nan")
            cells = (
                median(kept.worker) if proxied else float("nan"),
                ratio,
                median(kept.store) if proxied else float("nan"),
                median(kept.others) if proxied else float("nan"),
                median(kept.rate),
                median(kept.p50),
                median(kept.p99),
                median(kept.alone50),
                median(kept.alone99),
            )
            digits = (1, 2, 1, 1, 0, 0, 0, 0, 0)
            row = "".join(
                f"{'-' if cell != cell else format(cell, f',.{places}f'):>11}"  # noqa: PLR0124
                for cell, places in zip(cells, digits, strict=True)
            )
            print(f"{name:14}{row}")
    print("\nratio: worker CPU to the bare proxy's. alone: one connection, nobody else.")


def issue(home: pathlib.Path, plan: str) -> str:
    """Return a new key of an account and plan of that name."""
    issued = subprocess.run(
        [WEIR, "keys", "issue", "--home", home, "--account", plan, "--plan", plan, "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(issued.stdout)["key"]


def start_weir(
    stack: contextlib.ExitStack, room: pathlib.Path, model: int, profile: pathlib.Path | None,
    policies: pathlib.Path = HERE / "policies", more: tuple[str, ...] = (),
) -> Target:  # fmt: skip
    """Start Weir before the model with a fresh home, `room/home`, and one key.

    more: further words of its command
    """
    home = room / ("profiled" if profile else "home")
    home.mkdir()
    key = issue(home, "paid")
    port, admin = free_port(), free_port()
    environment = {"OPENAI_API_KEY": "bench-credential"}
    if profile:
        environment["WEIR_PROFILE"] = str(profile)
    log = room / "weir.log"
    program = start(
        [
            str(WEIR), "serve",
            "--listen", f"127.0.0.1:{port}",
            "--admin", f"127.0.0.1:{admin}",
            "--policies", str(policies),
            "--upstream", f"http://127.0.0.1:{model}",
            "--home", str(home),
            "--store", "embedded",
            "--workers", "1", *more,
        ],
        log,
        environment,
    )  # fmt: skip
    stack.callback(end, program)
    await_port(port, program, log)
    pin(program.pid, PROXY_CORE)
    return Target("weir", port, program.pid, key)


def start_bare(stack: contextlib.ExitStack, room: pathlib.Path, model: int) -> Target:
    """Start the bare proxy before the model."""
    port, log = free_port(), room / "bare.log"
    program = start(
        [sys.executable, str(HERE / "bare_proxy.py"), str(port), f"http://127.0.0.1:{model}"], log
    )
    stack.callback(end, program)
    await_port(port, program, log)
    pin(program.pid, PROXY_CORE)
    return Target("bare", port, program.pid)


def start_model(stack: contextlib.ExitStack, room: pathlib.Path) -> Target:
    """Start the stand-in model."""
    port, log = free_port(), room / "model.log"
    program = start([str(WEIR), "standin", "--listen", f"127.0.0.1:{port}"], log)
    stack.callback(end, program)
    await_port(port, program, log)
    pin(program.pid, LOAD_CORE)
    return Target("model", port, program.pid)


def profile(room: pathlib.Path, model: int, seconds: float) -> None:
    """Load a Weir that profiles itself and print its ten dearest functions."""
    file = room / "worker.prof"
    with contextlib.ExitStack() as stack:
        target = start_weir(stack, room, model, file)
        for case in CASES[:1]:
            load(target, case, seconds, case.connections, room)
    # A worker may add its slot or process id to the name it was given.
    found = sorted(room.glob("worker.prof*"), key=lambda path: path.stat().st_size)
    if not found:
        raise SystemExit("bench: the worker left no profile (WEIR_PROFILE)")
    print(f"\n{CASES[0].name}: the worker's ten dearest functions by own time")
    pstats.Stats(str(found[-1])).strip_dirs().sort_stats("tottime").print_stats(10)


def main() -> None:
    """Measure, print, and leave nothing running."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load in each measurement")
    parser.add_argument("--profile", action="store_true", help="also profile the worker")
    parser.add_argument("--only", choices=("bare", "weir"), help="one proxy instead of both")
    options = parser.parse_args()

    results: dict[tuple[str, str], Samples] = {}
    with contextlib.ExitStack() as stack:
        room = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-")))
        model = start_model(stack, room)
        targets = [model]
        if options.only != "weir":
            targets.append(start_bare(stack, room, model.port))
        if options.only != "bare":
            targets.append(start_weir(stack, room, model.port, None))
        cores = os.cpu_count()
        print(
            f"Python {sys.version.split()[0]}, {cores} cores, {options.rounds} rounds", flush=True
        )
        for turn in range(options.rounds):
            began = time.monotonic()
            for case in CASES:
                for target in targets:
                    kept = results.setdefault((case.name, target.name), Samples())
                    measure(target, case, options.seconds, room, kept)
            print(f"round {turn + 1}: {time.monotonic() - began:.0f} s", flush=True)
        show(results, [target.name for target in targets])
        if options.profile:
            profile(room, model.port, options.seconds)


if __name__ == "__main__":
    main()
