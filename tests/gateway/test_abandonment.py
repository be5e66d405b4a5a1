"""Hanging up does not pay: whoever leaves is charged what was relayed, and the model stops."""

from __future__ import annotations

import json
import socket
import struct
import time

import pytest

WAIT = "[[tokens=300 pace=10ms]] Tell me of the sea."
DOORS = {
    "openai.chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": WAIT}]}),
    "openai.completions": ("/v1/completions", {"prompt": WAIT, "max_tokens": 400}),
    "openai.responses": ("/v1/responses", {"input": WAIT}),
    "anthropic.messages": (
        "/v1/messages",
        {"messages": [{"role": "user", "content": WAIT}], "max_tokens": 400},
    ),
}
# Long enough for so many tokens of any dialect, short enough to be before the end.
LEAVES = {
    "after the head": (0, False),
    "after one byte, by a reset": (1, True),
    "after 2 kB": (2_000, False),
    "after 2 kB, by a reset": (2_000, True),
    "after 20 kB": (20_000, False),
}


def leave(port: int, path: str, body: dict, secret: str, after: int, *, reset: bool) -> bytes:
    """Ask for a stream and hang up once `after` bytes of the body have come; return those."""
    data = json.dumps({"model": "standin", "stream": True, **body}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {secret}\r\n"
        f"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    )
    came = b""
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(head.encode() + data)
        while b"\r\n\r\n" not in came or len(came.partition(b"\r\n\r\n")[2]) < after:
            piece = line.recv(max(1, after) if after < 100 else 4096)
            assert piece
            came += piece
        if reset:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return came.partition(b"\r\n\r\n")[2]


def text_in(dialect: str, came: bytes) -> int:
    """Return how many words whole events had brought."""
    words = []
    for event in came.replace(b"\r\n", b"").split(b"\n\n")[:-1]:
        for line in event.split(b"\n"):
            start = line.find(b'data: {"')
            if start < 0:
                continue
            try:
                told = json.loads(line[start + 6 :])
            except ValueError:
                continue
            match dialect:
                case "openai.chat":
                    words += [one["delta"].get("content") or "" for one in told["choices"]]
                case "openai.completions":
                    words += [one["text"] for one in told["choices"]]
                case "openai.responses":
                    words += [told["delta"]] if told["type"] == "response.output_text.delta" else []
                case _:
                    words += [told["delta"].get("text", "")] if "delta" in told else []
    return len("".join(words).split())


@pytest.mark.parametrize("when", LEAVES)
@pytest.mark.parametrize("dialect", DOORS)
def test_leaving_costs_what_was_relayed_and_ends_the_model(weir, standin, dialect, when):
    path, body = DOORS[dialect]
    secret, account = leaver(weir)
    standin.reset()
    after, reset = LEAVES[when]
    came = leave(weir.port, path, body, secret, after, reset=reset)
    began = time.monotonic()
    (record,) = weir.eventual_records(account, 1)
    took = time.monotonic() - began
    assert (record["dialect"], record["end"]) == (dialect, "abandoned")
    seen = text_in(dialect, came)
    assert record["usage"]["charged_output"] >= seen
    assert record["usage"]["charged_input"] > 0
    assert record["usage"]["charged_output"] <= 300
    slots = [one for one in record["limits"] if one["limit"] == "streams"]
    assert slots[0]["taken"]
    assert took < 5
    assert weir.eventually(lambda: standin.stats()["active"] == 0)
    (entry,) = standin.stats()["recent"]
    assert (entry["ended"], entry["generated"] < 300) == ("aborted", True)
    assert weir.used(secret, "open/streams") == 0
    assert weir.used(secret, "open/tokens") == (
        record["usage"]["charged_input"] + record["usage"]["charged_output"]
    )


def leaver(weir) -> tuple[str, str]:
    """Return the key of an account of its own."""
    account = f"leaver-{time.monotonic_ns()}"
    return weir.issue(account)[1], account


def test_a_hundred_who_leave_pay_together_what_they_got(weir, standin):
    """Never reading the usage frame is no discount: 100 streams, each left before its end."""
    secret, account = leaver(weir)
    standin.reset()
    seen = 0
    for index in range(100):
        dialect = list(DOORS)[index % len(DOORS)]
        path, body = DOORS[dialect]
        seen += text_in(dialect, leave(weir.port, path, body, secret, 1_500, reset=bool(index % 2)))
    records = weir.eventual_records(account, 100)
    charged = sum(record["usage"]["charged_output"] for record in records)
    assert seen > 100
    assert charged >= seen
    assert weir.eventually(lambda: standin.stats()["active"] == 0)
    assert charged <= standin.stats()["tokens"]["generated"]
    assert weir.used(secret, "open/streams") == 0
