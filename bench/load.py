"""Load from a process of its own: N keep-alive connections, each asking again when answered.

Run: load.py SPEC.json. The spec names host, port, connections, seconds, headers and bodies; the
one line printed is JSON: requests, errors, seconds, statuses, and in microseconds latencies and the
median time to a body's first bytes.
Bounded both ways: no request starts after `seconds`, and none is waited for longer than 30 s.
"""

from __future__ import annotations

import asyncio
import json
import pathlib
import sys
import time
from collections import Counter

import uvloop

END = b"\r\n\r\n"
PATIENCE = 30.0


class BrokenError(Exception):
    """The answer was not HTTP as we speak it, or the connection went away."""


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, float]:
    """Read one whole answer; return its status and the moment of its body's first bytes."""
    head = await reader.readuntil(END)
    lines = head.split(b"\r\n")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in lines[1:] if line)
    }
    first = 0.0
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            first = first or time.perf_counter()
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
    elif b"content-length" in fields:
        await reader.readexactly(int(fields[b"content-length"]))
    else:
        raise BrokenError("neither a length nor chunks")
    return int(lines[0].split(b" ")[1]), first or time.perf_counter()


def requests(spec: dict) -> list[bytes]:
    """Return the requests to send in turn, head and body."""
    made = []
    for body in spec["bodies"]:
        data = body.encode()
        fields = {
            "Host": f"{spec['host']}:{spec['port']}",
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **spec["headers"],
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        made.append(f"POST {spec['path']} HTTP/1.1\r\n{head}\r\n".encode() + data)
    return made


async def ask(spec: dict, sent: list[bytes], offset: int, until: float, tally: dict) -> None:
    """Ask on one connection until time is up, opening another when one breaks."""
    turn = offset
    writer = None
    while time.perf_counter() < until and tally["left"] > 0:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(spec["host"], spec["port"])
            tally["left"] -= 1
            turn += 1
            began = time.perf_counter()
            writer.write(sent[turn % len(sent)])
            async with asyncio.timeout(PATIENCE):
                status, first = await read_answer(reader)
            tally["statuses"][status] += 1
            tally["firsts"].append(first - began)
            tally["latencies"].append(time.perf_counter() - began)
        except (OSError, EOFError, TimeoutError, ValueError, BrokenError):
            tally["errors"] += 1
            if writer is not None:
                writer.close()
            writer = None
            await asyncio.sleep(0.01)
    if writer is not None:
        writer.close()


async def run(spec: dict) -> dict:
    """Ask on all connections at once and return what came of it."""
    sent = requests(spec)
    tally = {
        "left": spec.get("requests", 10**9),
        "errors": 0,
        "statuses": Counter(),
        "latencies": [],
        "firsts": [],
    }
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(spec["connections"]):
            group.create_task(ask(spec, sent, number * 7, began + spec["seconds"], tally))
    seconds = time.perf_counter() - began
    latencies, firsts = sorted(tally["latencies"]), sorted(tally["firsts"])

    def at(share: float, of: list[float] = latencies) -> int:
        return round(of[min(len(of) - 1, int(share * len(of)))] * 1e6)

    return {
        "requests": len(latencies),
        "errors": tally["errors"],
        "statuses": tally["statuses"],
        "seconds": seconds,
        "p50": at(0.5) if latencies else None,
        "p99": at(0.99) if latencies else None,
        "first50": at(0.5, firsts) if firsts else None,
    }


def main() -> None:
    """Read the spec, run it, print one line of JSON."""
    spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
    print(json.dumps(uvloop.run(run(spec))))


if __name__ == "__main__":
    main()
