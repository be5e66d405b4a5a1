"""Files of traffic as lines: plain, gzip and zstd, told apart by how they begin."""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from zstandard import ZstdDecompressor, ZstdError

from proxy.core.errors import TrafficError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from io import BufferedReader
    from pathlib import Path

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
STDIN = "-"
CHUNK = 256 * 1024
# What a chunk of so many compressed bytes can become is bounded: a block of 128 kB takes four.
BITE = 1024
GZIP, ZSTD, BOM = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xef\xbb\xbf"
MAGIC = 4  # bytes that tell what a file is
SKIPPED = tuple(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60))
WBITS = 31  # of zlib: gzip's own head and checksum


class DamagedError(Exception):
    """A file's compression ended too early, or is damaged; what came before is good."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, without its ending. number: from 1; text: None where it was too long."""

    number: int
    text: bytes | None


class _Decompressor(Protocol):
    @property
    def unused_data(self) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def traffic_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files that paths mean, each once: of a directory all traffic files in it.

    TrafficError for a directory without any, OSError for a path that is not there.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            if str(path) != STDIN:
                path.stat()
            found.setdefault(path.resolve(), path)
            continue
        inside = sorted(each for each in path.iterdir() if _is_traffic(each))
        if not inside:
            raise TrafficError(
                f"{path}: holds no traffic (files whose names end in {', '.join(SUFFIXES)})"
            )
        for each in inside:
            found.setdefault(each.resolve(), each)
    return list(found.values())


def size(paths: Sequence[Path]) -> int:
    """Return the bytes of all files that paths mean, compressed ones as they are."""
    return sum(each.stat().st_size for each in traffic_files(paths) if each.is_file())


def lines(
    path: Path, longest: int, progress: Callable[[int], None] | None = None
) -> Iterator[Line]:
    """Yield a file's lines that are not blank; memory is bounded by the longest that is kept.

    progress: told of the bytes of the file that were consumed since the last call
    Raises DamagedError at the end of what can be read. A path `-` is standard input.
    """
    number, dropping = 0, False
    # The pieces of a line that has not ended: put together once, or a long line takes for ever.
    parts: list[bytes] = []
    length = 0
    for piece in _pieces(path, progress):
        if not length and not dropping and piece.isspace():
            number += piece.count(b"\n")  # at once: a gigabyte of these is packed into one megabyte
            continue
        first, *rest = piece.split(b"\n")
        parts.append(first)
        length += len(first)
        if length > longest:
            parts, length, dropping = [], 0, True
        if not rest:
            continue
        held = _begun(parts, number)
        for each in rest:
            number += 1
            if dropping:
                yield Line(number, None)
                dropping = False
            elif held and not held.isspace():
                yield Line(number, held)
            held = each
        parts, length = [held], len(held)
    held = _begun(parts, number)
    number += 1
    if dropping:
        yield Line(number, None)
    elif held and not held.isspace():
        yield Line(number, held)


def _begun(parts: list[bytes], before: int) -> bytes:
    """Return a line put together; the first one without a byte order mark."""
    line = b"".join(parts)
    return line if before else line.removeprefix(BOM)


def _is_traffic(path: Path) -> bool:
    return path.name.endswith(SUFFIXES) and not path.name.startswith(".") and path.is_file()


def _pieces(path: Path, progress: Callable[[int], None] | None) -> Iterator[bytes]:
    """Yield a file's contents, without compression."""
    if str(path) == STDIN:
        if sys.stdin is None:
            raise TrafficError("-: there is no standard input")
        yield from _unpacked(_chunks(cast("BufferedReader", sys.stdin.buffer), progress))
        return
    with path.open("rb") as file:
        yield from _unpacked(_chunks(file, progress))


def _chunks(file: BufferedReader, progress: Callable[[int], None] | None) -> Iterator[bytes]:
    # One read of the system's each: what fills a chunk from a slow pipe does not hear Ctrl-C.
    while chunk := file.read1(CHUNK):
        yield chunk
        if progress is not None:
            progress(len(chunk))


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= MAGIC:  # a pipe may give less at a time
            break
    if first.startswith((GZIP, ZSTD, *SKIPPED)):
        begun = first[:2] == GZIP
        yield from _members(first, chunks, _gzip if begun else _zstd)
        return
    yield first
    yield from chunks


def _gzip() -> _Decompressor:
    return zlib.decompressobj(WBITS)


def _zstd() -> _Decompressor:
    return ZstdDecompressor().decompressobj()


def _members(
    first: bytes, chunks: Iterator[bytes], new: Callable[[], _Decompressor]
) -> Iterator[bytes]:
    """Yield the contents of compressed members or frames, one behind the other."""
    member, begun = new(), False
    chunk: bytes | None = first
    while chunk is not None:
        for at in range(0, len(chunk), BITE):
            bite = chunk[at : at + BITE]
            while bite:
                if not begun:
                    # Some writers fill up the last block of a file with zeros.
                    bite = bite.lstrip(b"\0")
                    if not bite:
                        break
                begun = True
                try:
                    out = member.decompress(bite)
                except (zlib.error, ZstdError):
                    raise DamagedError("its compression is damaged from here on") from None
                if out:
                    yield out
                bite = b""
                if member.eof:
                    bite, member, begun = member.unused_data, new(), False
        chunk = next(chunks, None)
    if begun:
        raise DamagedError("it ends in the middle of its compression")
