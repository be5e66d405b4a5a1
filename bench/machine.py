"""What the bench asks of the machine: start, pin and end programs, and read what they cost."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import subprocess
import time
from dataclasses import dataclass

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """One process as /proc tells it: its name, its parent, and CPU seconds so far."""

    pid: int
    name: str
    parent: int
    cpu: float


def processes() -> dict[int, Process]:
    """Return every process that can be read now."""
    seen = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            head, _, tail = (entry / "stat").read_text().rpartition(")")
            fields = tail.split()
            cpu = (int(fields[11]) + int(fields[12])) / TICKS
            seen[int(entry.name)] = Process(
                int(entry.name), head.partition("(")[2], int(fields[1]), cpu
            )
    return seen


def family(root: int) -> list[Process]:
    """Return the process `root` and all that descend from it."""
    seen = processes()
    wanted, grown = {root}, True
    while grown:
        more = {process.pid for process in seen.values() if process.parent in wanted} - wanted
        wanted |= more
        grown = bool(more)
    return [seen[pid] for pid in wanted if pid in seen]


def pin(root: int, core: int) -> None:
    """Keep a family on one core where the system lets us; no permission is no error."""
    if not hasattr(os, "sched_setaffinity") or core not in os.sched_getaffinity(0):
        return
    for process in family(root):
        threads = pathlib.Path(f"/proc/{process.pid}/task")
        with contextlib.suppress(OSError):
            for thread in threads.iterdir():
                os.sched_setaffinity(int(thread.name), {core})


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command: list[str], log: pathlib.Path, environment: dict[str, str] | None = None):
    """Start a program whose output goes to `log`."""
    with log.open("ab") as sink:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={**os.environ, **(environment or {})},
        )


def await_port(port: int, program: subprocess.Popen, log: pathlib.Path) -> None:
    """Wait until the program listens; tell its last words when it does not within 20 s."""
    until = time.monotonic() + 20
    while time.monotonic() < until and program.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    words = log.read_text(errors="replace")[-2000:]
    raise SystemExit(f"bench: {' '.join(program.args[:4])} does not listen on {port}:\n{words}")


def end(program: subprocess.Popen) -> None:
    """Ask the program to end, and make it after 20 s."""
    if program.poll() is None:
        program.terminate()
        try:
            program.wait(20)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
