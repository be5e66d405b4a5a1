"""What is asked: texts of other people and traces of other services, from JSON lines."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson
import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Characters of a text that are used: a few are whole books, and one would outweigh an account.
LONGEST = 3_000
LEAST_GAPS = 16


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a source.

    system:   what stood above it, ''
    response: what was answered, ''
    turns:    a conversation from its beginning, user and assistant by turns; () for none
    """

    prompt: str = field(repr=False)
    system: str = field(default="", repr=False)
    response: str = field(default="", repr=False)
    turns: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Trace:
    """When requests came to some real service, and how long its answers were.

    gaps:    seconds between one arrival and the next, in order
    outputs: tokens of the answers, in the same order
    """

    gaps: tuple[float, ...]
    outputs: tuple[int, ...]


def texts(path: Path, most: int | None = None) -> list[Text]:
    """Return the texts of a file, at most so many. OSError; ValueError names line and fault."""
    found: list[Text] = []
    for number, row in _rows(path):
        if most is not None and len(found) >= most:
            break
        prompt = row.get("prompt")
        if not isinstance(prompt, str) or not prompt.strip():
            raise ValueError(f"line {number}: 'prompt' must be text that is not empty")
        found.append(
            Text(
                prompt[:LONGEST],
                _text(row, "system", number),
                _text(row, "response", number),
                _turns(row, number),
            )
        )
    if not found:
        raise ValueError('holds no text (lines such as {"prompt": "…"})')
    return found


def trace(path: Path) -> Trace:
    """Return the trace of a file. OSError; ValueError names line and fault."""
    times: list[float] = []
    outputs: list[int] = []
    for number, row in _rows(path):
        t, tokens = row.get("t"), row.get("completion_tokens")
        if not isinstance(t, int | float) or not isinstance(tokens, int):
            told = f"line {number}: 't' and 'completion_tokens' must be numbers"
            raise ValueError(told)  # noqa: TRY004 - of data
        times.append(float(t))
        outputs.append(max(1, tokens))
    if len(times) <= LEAST_GAPS:
        raise ValueError(f"holds {len(times)} arrivals (more than {LEAST_GAPS} are needed)")
    return Trace(tuple(max(0.0, b - a) for a, b in pairwise(times)), tuple(outputs))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the objects of a file with their line numbers; the suffix says how it is packed."""
    try:
        yield from _objects(path)
    except (EOFError, zlib.error, zstandard.ZstdError):
        raise ValueError(f"is no whole {path.suffix} file") from None


def _objects(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    with path.open("rb") as raw:
        match path.suffix:
            case ".gz":
                stream: io.BufferedIOBase = gzip.GzipFile(fileobj=raw)
            case ".zst":
                stream = io.BytesIO(_unpacked(raw.read()))
            case _:
                stream = raw
        for number, line in enumerate(stream, 1):
            if line.strip():
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError:
                    raise ValueError(f"line {number}: is not JSON") from None
                if not isinstance(row, dict):
                    raise ValueError(f"line {number}: must be an object")
                yield number, row


def _unpacked(packed: bytes) -> bytes:
    """Return what a zstd file holds, all frames of it; EOFError when its end is missing."""
    parts = []
    while packed:
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(packed))
        if not frame.eof:
            raise EOFError
        packed = frame.unused_data
    return b"".join(parts)


def _text(row: dict[str, object], name: str, number: int) -> str:
    found = row.get(name, "")
    if not isinstance(found, str):
        raise ValueError(f"line {number}: '{name}' must be text")  # noqa: TRY004 - of data
    return found[:LONGEST]


def _turns(row: dict[str, object], number: int) -> tuple[str, ...]:
    """Return the turns of a conversation that begins with its user and goes by turns."""
    found = row.get("conversation", [])
    if not isinstance(found, list):
        raise ValueError(f"line {number}: 'conversation' must be a list")  # noqa: TRY004 - of data
    said: list[str] = []
    for turn in found:
        if not isinstance(turn, dict) or not isinstance(turn.get("content"), str):
            told = f"line {number}: a turn has a 'role' and a 'content'"
            raise ValueError(told)  # noqa: TRY004 - of data
        if turn.get("role") != ("user", "assistant")[len(said) % 2]:
            break
        said.append(turn["content"][:LONGEST])
    return tuple(said)
