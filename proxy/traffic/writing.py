"""Writing traffic: whole lines, in place at once or not at all; what Ctrl-C cuts is kept apart."""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import threading
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from zstandard import ZstdCompressor

from proxy.traffic.forming import line_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from proxy.traffic.entry import Entry

PARTIAL = ".partial"
GZIP_LEVEL, ZSTD_LEVEL, WBITS = 6, 6, 31
HELD = 256 * 1024  # bytes of lines that are written together


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class Writer:
    """Takes entries. written: lines so far."""

    __slots__ = ("_compressor", "_file", "_held", "_size", "written")

    def __init__(self, file: BinaryIO, compressor: _Compressor) -> None:
        self.written = 0
        self._file, self._compressor = file, compressor
        self._held: list[bytes] = []
        self._size = 0

    def write(self, entry: Entry) -> None:
        """Write an entry; raises TrafficError for what is no JSON, OSError."""
        self.write_line(line_of(entry))

    def write_line(self, line: bytes) -> None:
        """Write a line that is known to be traffic, with its newline."""
        self._held.append(line)
        self.written += 1
        self._size += len(line)
        if self._size >= HELD:
            with _uninterrupted():
                self._pass_on()

    def finish(self) -> None:
        """Write what is held, and the compression's end."""
        self._pass_on()
        self._file.write(self._compressor.flush())
        self._file.flush()

    def _pass_on(self) -> None:
        lines, self._held, self._size = self._held, [], 0
        self._file.write(self._compressor.compress(b"".join(lines)))


@contextmanager
def open_traffic(path: Path | None) -> Iterator[Writer]:
    """Lend a writer of a file; its suffix says plain, .gz or .zst. None is standard output.

    The file is in its place when the block ends without an error. After Ctrl-C the whole lines
    written so far are there under the name with `.partial`; after another error nothing is.
    A device and a pipe are written to, and stay what they are. Raises OSError.
    """
    if path is None:
        with _straight(sys.stdout.buffer, _Plain()) as writer:
            yield writer
        return
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if is_device(path):
        with path.open("wb") as file, _straight(file, _compressor(path)) as writer:
            yield writer
        return
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            writer = Writer(file, _compressor(path))
            try:
                yield writer
            except KeyboardInterrupt:
                if writer.written:
                    with _uninterrupted():
                        _place(writer, file, draft, path.with_name(path.name + PARTIAL))
                raise
            with _uninterrupted():
                _place(writer, file, draft, path)
    finally:
        draft.unlink(missing_ok=True)


def is_device(path: Path) -> bool:
    """Return whether a path is there and is no file: nothing may be put in its place."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def _straight(file: BinaryIO, compressor: _Compressor) -> Iterator[Writer]:
    """Lend a writer of what takes lines as they come; after Ctrl-C it has those so far."""
    writer = Writer(file, compressor)
    try:
        yield writer
    except KeyboardInterrupt:
        writer.finish()
        raise
    writer.finish()


def _place(writer: Writer, file: BinaryIO, draft: Path, path: Path) -> None:
    writer.finish()
    os.fsync(file.fileno())
    # Readable by its owner only, as mkstemp made it: traffic holds what people asked.
    draft.replace(path)


def _compressor(path: Path) -> _Compressor:
    if path.suffix == ".gz":
        return zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, WBITS)
    if path.suffix == ".zst":
        return ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compressobj()
    return _Plain()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let a Ctrl-C wait until the block has ended: half a line would be no line."""
    before = signal.getsignal(signal.SIGINT)
    if (
        threading.current_thread() is not threading.main_thread()
        or before is not signal.default_int_handler
    ):
        yield
        return
    came = False

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal calls it
        nonlocal came
        came = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
