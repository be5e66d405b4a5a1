"""Fuzzing of all that reads what others have written, one target after the other, on one core.

    make fuzz                                        each target for ten minutes
    make fuzz ARGS='--seconds 60 --only sse,answer'  targets whose names begin so, a minute each
    make fuzz ARGS='--replay FILE --only sse'        one input again, without the fuzzer

What must hold is in `reading.py` and `answering.py` (of what a client sees, `visible.py`); `seeds.py` fetches real
requests and answers from the stand-in, `mutations.py` changes them in their structure, `target.py`
runs under the fuzzer. `tests/fuzz` holds the same claims by hypothesis, in every test run. What was
found and when is in docs/fuzzing.md.

It writes a line a target, the failing input of a target that found one (into `.weir/fuzz`, with
what the fuzzer said), and exits with 1 if there is any.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import claims
import seeds

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FINDINGS = ROOT / ".weir" / "fuzz"
FLAGS = [
    "-print_final_stats=1",
    "-max_len=40000",
    "-timeout=20",
    "-rss_limit_mb=1500",
    "-len_control=0",
]
PROGRESS = re.compile(r"cov: (\d+) ft: (\d+)")
EXECUTED = re.compile(r"(?:stat::number_of_executed_units:\s*|^#)(\d+)", re.MULTILINE)
PEAK = re.compile(r"rss: (\d+)Mb")


@dataclass(frozen=True, slots=True)
class Ran:
    """What one target did.

    edges: of the instrumented code that were covered; peak: megabytes
    """

    name: str
    seconds: float
    executions: int
    edges: int
    peak: int
    found: str


def main() -> int:
    options = _options()
    names = [name for name in claims.TARGETS if name.startswith(options.only)]
    if options.replay:
        (name,) = names
        claims.TARGETS[name](options.replay.read_bytes())
        return 0
    FINDINGS.mkdir(parents=True, exist_ok=True)
    failed = False
    with tempfile.TemporaryDirectory() as home:
        seeds.written(asyncio.run(seeds.gathered()), Path(home))
        print(f"{'target':28} {'seconds':>7} {'executions':>10} {'edges':>6} {'MB':>5}  found")
        for name in names:
            ran = _ran(options.python, name, Path(home), options.seconds)
            failed = failed or bool(ran.found)
            print(
                f"{ran.name:28} {ran.seconds:7.0f} {ran.executions:10,} {ran.edges:6,} "
                f"{ran.peak:5,}  {ran.found or 'nothing'}",
                flush=True,
            )
    return int(failed)


def _ran(python: str, name: str, home: Path, seconds: int) -> Ran:
    corpus = home / f"corpus.{name}"
    corpus.mkdir()
    log = FINDINGS / f"{name}.log"
    command = [python, str(HERE / "target.py"), name, str(home / name), *FLAGS]
    command += [f"-max_total_time={seconds}", f"-artifact_prefix={FINDINGS / name}-"]
    began = time.monotonic()
    with log.open("wb") as out:
        done = subprocess.run(
            [*command, str(corpus), str(home / name)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    took = time.monotonic() - began
    said = log.read_text("utf-8", "replace")
    executed = [int(number) for number in EXECUTED.findall(said)]
    edges = [int(found[0]) for found in PROGRESS.findall(said)]
    peak = [int(found) for found in PEAK.findall(said)]
    written = re.search(r"Test unit written to (\S+)", said)
    found = written[1] if written else f"see {log}"
    return Ran(
        name, took, max(executed, default=0), max(edges, default=0), max(peak, default=0),
        found if done.returncode else "",
    )  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fuzz the readers and transformers.")
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--only", type=lambda text: tuple(text.split(",")), default=("",))
    parser.add_argument("--replay", type=Path, help="an input that was found")
    parser.add_argument("--python", default=sys.executable, help="one that has the fuzzer")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
