"""Changes to JSON and to server-sent events that leave most of their structure: plain changes of
bytes rarely get past a JSON parser.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heads import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random


_DEEP = "@@deep@@"  # stands for a value that no serialiser would write
_LONG = "@@long@@"
_TWICE = "@@twice@@"
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 16, 129, 2**31, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308,
    math.nan, math.inf, -math.inf, "", " ", "a", "a b c d e", "word " * 60, "na\u00efve \u4f60\u597d \U0001f600",
    "\ud800", "x\u2028y\x00\x85", "low", "{", '{"city": "Oslo"}', "[DONE]", "data: a\n\ndata: b",
    [], {}, [None], [[]], [{}], {"type": "text", "text": "to be or not"}, [{"type": "text", "text": "a b"}],
    ["a b", "c"], [1, [2, [3]]], _DEEP, _LONG, {_DEEP: 1},
]  # fmt: skip
RAW = [
    b"\r\n", b"\n", b"\r", b"\n\n", b"\r\r", b"data: ", b"data", b"event: error\n", b": c\n", b"id: 1\n",
    b"data: [DONE]\n\n", b"data: [DONE]", b"\xef\xbb\xbf", b"\xff", b"\x00", b'{"a":1}', b'"a":1,', b"\\u0061",
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b" ", b"?", b"%2e", b"/", b"..", b"&stream=true", b"//",
]  # fmt: skip
_EVENT_END = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)|(?<=\r\r)")


@dataclass(slots=True)
class Vocabulary:
    """What is put in: names of members, short strings and whole events of real answers."""

    names: list[str]
    strings: list[str]
    events: list[bytes]


EXTRA_NAMES = [
    "audio", "transcript", "custom", "input", "function_call", "reasoning", "reasoning_content",
    "reasoning_details", "thinking_blocks", "prompt_logprobs", "token_ids", "text", "error", "usage",
    "index", "part", "item", "response", "output", "delta", "summary", "annotations", "citations",
    "obfuscation", "code", "data", "object", "output_text", "encrypted_content", "signature", "id",
]  # fmt: skip


def vocabulary(bodies: Iterable[bytes]) -> Vocabulary:
    """Return the words of real inputs."""
    names, strings, events = set(EXTRA_NAMES), {"error", "thinking", "reasoning"}, set()
    for body in bodies:
        for event in _EVENT_END.split(body):
            if b"data:" in event:
                events.add(event)
            found = _parsed(event[event.find(b"{") :]) if b"{" in event else None
            for holder, name in _places(found):
                if isinstance(name, str):
                    names.add(name)
                if isinstance(holder[name], str) and len(holder[name]) < 60:
                    strings.add(holder[name])
    return Vocabulary(sorted(names), sorted(strings), sorted(events))


def mutated(data: bytes, rng: Random, words: Vocabulary) -> bytes:
    """Return an input changed in one to four places."""
    head, body = bytearray(data[:HEAD].ljust(HEAD, b"\0")), data[HEAD:]
    if rng.random() < 0.3:
        head[rng.randrange(HEAD)] = rng.randrange(256)
        if rng.random() < 0.3:
            return bytes(head) + body
    for _ in range(rng.choice((1, 1, 2, 4))):
        if rng.random() < 0.12:
            body = _raw(body, rng)
        elif body.lstrip()[:1] == b"{":
            body = _document(body, rng, words)
        elif b"data:" in body:
            body = _stream(body, rng, words)
        else:
            body = _raw(body, rng)
    return bytes(head) + body


def _stream(body: bytes, rng: Random, words: Vocabulary) -> bytes:
    events = [event for event in _EVENT_END.split(body) if event]
    at = rng.randrange(len(events))
    match rng.randrange(12):
        case 0:
            del events[at]
        case 1:
            events.insert(rng.randrange(len(events) + 1), events[at])
        case 2:
            events.insert(rng.randrange(len(events) + 1), events.pop(at))
        case 3:
            events.insert(at, rng.choice(words.events or [b"data: {}\n\n"]))
        case 4:
            del events[at:]
        case 5:
            events[at] = events[at].replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n: c\n")))
        case 6:
            events[at] = events[at].replace(b", ", b",\ndata: ", 1)
        case _:
            start, end = events[at].find(b"{"), events[at].rfind(b"}") + 1
            if 0 <= start < end:
                inner = _document(events[at][start:end], rng, words)
                events[at] = events[at][:start] + inner + events[at][end:]
    return b"".join(events)


def _document(body: bytes, rng: Random, words: Vocabulary) -> bytes:
    found = _parsed(body)
    places = list(_places(found))
    if not places:
        return _raw(body, rng)
    holder, name = rng.choice(places)
    match rng.randrange(10):
        case 0 | 1 | 2:
            holder[name] = rng.choice(VALUES)
        case 3:
            holder[name] = rng.choice(words.strings)
        case 4:
            del holder[name]
        case 5 if isinstance(holder, dict):
            holder[rng.choice(words.names)] = rng.choice((rng.choice(VALUES), holder[name]))
        case 6:
            other, there = rng.choice(places)
            holder[name] = json.loads(json.dumps(other[there]))
        case 7:
            holder[name] = rng.choice(([holder[name]], {rng.choice(words.names): holder[name]}))
        case 8 if isinstance(holder, dict):
            holder[_TWICE + name] = rng.choice(VALUES)
        case 9 if isinstance(holder, list):
            holder.append(json.loads(json.dumps(holder[name])))
        case _:
            value = holder[name]
            if isinstance(value, int | float) and not isinstance(value, bool):
                holder[name] = value + rng.choice((1, -1, 1000))
            elif isinstance(value, str):
                holder[name] = value + rng.choice(words.strings) + " b"
            else:
                holder[name] = rng.choice(VALUES)
    return _serialised(found, rng)


def _raw(body: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(body) + 1)
    match rng.randrange(4):
        case 0:
            return body[:at] + rng.choice(RAW) + body[at:]
        case 1:
            return body[:at] + body[at + rng.choice((1, 1, 8, 64)) :]
        case 2:
            piece = body[at : at + rng.choice((1, 8, 64))]
            return body[:at] + piece + body[at:]
        case _:
            return body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _places(found: Any) -> list[tuple[Any, Any]]:
    """Return every value below one, as its holder and its name there."""
    places, left = [], [found]
    while left:
        holder = left.pop()
        if isinstance(holder, dict):
            names: Iterable[Any] = list(holder)
        elif isinstance(holder, list):
            names = range(len(holder))
        else:
            continue
        for name in names:
            places.append((holder, name))
            left.append(holder[name])
    return places


def _serialised(found: Any, rng: Random) -> bytes:
    compact = rng.choice(((",", ":"), (", ", ": ")))
    try:
        text = json.dumps(found, separators=compact, ensure_ascii=rng.random() < 0.5)
    except RecursionError:
        return b"{}"
    depth = rng.choice((100, 253, 254, 255, 300, 900, 1100))
    text = text.replace(f'"{_DEEP}"', "[" * depth + "]" * depth)
    text = text.replace(f'"{_LONG}"', "1" * rng.choice((20, 400, 5000)))
    return text.replace(_TWICE, "").replace(_DEEP, "d").encode("utf-8", "surrogatepass")
