"""A limit is the limit: over workers, over client processes, over weights."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# A client of its own process: sends `count` requests over `lanes` connections and counts statuses.
CLIENT = """
import asyncio, collections, json, sys
port, secret, count, lanes, tokens = sys.argv[1:]
body = json.dumps({"model": "standin", "max_tokens": int(tokens), "messages": [
    {"role": "user", "content": "[[tokens=" + tokens + "]] one two"}]}).encode()
head = (f"POST /v1/chat/completions HTTP/1.1\\r\\nhost: weir\\r\\nauthorization: Bearer {secret}\\r\\n"
        f"content-type: application/json\\r\\ncontent-length: {len(body)}\\r\\n\\r\\n").encode()
seen, left = collections.Counter(), int(count)

async def lane():
    global left
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    while left > 0:
        left -= 1
        writer.write(head + body)
        told = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().lower()
        seen[int(told.split()[1])] += 1
        length = int(told.split("content-length: ")[1].split("\\r\\n")[0])
        await reader.readexactly(length)
    writer.close()

async def main():
    await asyncio.gather(*(lane() for _ in range(int(lanes))))

asyncio.run(main())
print(json.dumps(seen))
"""


def storm(weir, secret: str, *, processes: int, each: int, lanes: int, tokens: int = 1) -> dict:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, *map(str, (weir.port, secret, each, lanes, tokens))],
            stdout=subprocess.PIPE, text=True,
        )
        for _ in range(processes)
    ]  # fmt: skip
    total: dict[int, int] = {}
    for process in running:
        out, _ = process.communicate(timeout=100)
        for status, count in json.loads(out).items():
            total[int(status)] = total.get(int(status), 0) + count
    return total


@pytest.mark.parametrize(
    ("limit", "tokens", "admitted"),
    [
        ("{limit: l, allow: 100 requests, per: 1h, by: [account]}", 1, 100),
        ("{limit: l, allow: 100 requests, per: 24h, by: [account]}", 1, 100),
        ("{limit: l, allow: 700 output_tokens, per: 1h, by: [org]}", 7, 100),
        # Three words of prompt and seven of answer, and not one token beyond the budget.
        ("{limit: l, allow: 905 tokens, per: month, by: [account]}", 7, 90),
    ],
)
def test_two_thousand_requests_of_four_processes_on_two_workers(start, limit, tokens, admitted):
    policy = f"policy: exact\nlimits:\n  - {limit}\n"
    with start(exact=policy, flags={"workers": 2}) as weir:
        _, secret = weir.issue()
        seen = storm(weir, secret, processes=4, each=500, lanes=16, tokens=tokens)
    assert seen == {200: admitted, 429: 2000 - admitted}
    records = weir.records()
    assert len(records) == 2000
    charged = [one["limits"][0]["charged"] for one in records if one["effect"] == "allow"]
    unit = records[0]["limits"][0]["unit"]
    assert sum(charged) == admitted * {"requests": 1, "output_tokens": 7, "tokens": 10}[unit]


def test_no_more_than_so_many_at_once_and_every_slot_comes_back(start):
    policy = "policy: exact\nlimits:\n  - {limit: slots, allow: 5 concurrent, by: [account]}\n"
    with start(exact=policy, flags={"workers": 2}) as weir:
        _, secret = weir.issue()
        storm(weir, secret, processes=2, each=100, lanes=16)
        # One after the other there is always a free slot.
        assert storm(weir, secret, processes=1, each=100, lanes=1) == {200: 100}
