r"""Server-sent events as bytes: where events end, and what they say.

An event is everything up to and including an empty line; lines end with LF, CR or CRLF
(WHATWG HTML, 9.2). Bytes are neither lost nor changed: joined, the events are the input.
"""

from __future__ import annotations

import re

MAX_EVENT = 8 * 1024 * 1024
BOM = b"\xef\xbb\xbf"

# A CR is an ending of its own only where the byte after it is known not to be LF.
_EOL = rb"(?:\r\n|\n|\r(?=[^\n]))"
_BOUNDARY = re.compile(_EOL + _EOL)
_LINE = re.compile(rb"\r\n|\n|\r")
_LONGEST_BOUNDARY = 5  # two CRLF and the byte that a lone CR looks at


class SseSplitter:
    r"""Cuts a stream of bytes into events, however it was chunked.

    A CR at the very end of what has come is judged with the byte after it (it may be half of
    a CRLF), so that where the network cuts never changes the events.

    >>> splitter = SseSplitter()
    >>> splitter.feed(b"data: 1\r\n\r"), splitter.feed(b"\n: hm")
    ([], [b'data: 1\r\n\r\n'])
    >>> splitter.rest()
    b': hm'
    """

    __slots__ = ("_buffer", "_limit", "_overflowed", "_seen")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._buffer = bytearray()
        self._limit = limit
        self._overflowed = False
        self._seen = 0

    @property
    def overflowed(self) -> bool:
        """An event longer than the limit came; nothing after it is given."""
        return self._overflowed

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the events that this chunk completes."""
        if self._overflowed or not chunk:
            return []
        if not self._buffer and len(chunk) <= self._limit:
            events = _whole_events(chunk)
            if events:
                return events
        return self._search(chunk)

    def _search(self, chunk: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += chunk
        events = []
        start = 0
        search_from = self._seen
        while (found := _BOUNDARY.search(buffer, search_from)) is not None:
            search_from = found.end()
            if search_from - start > self._limit:
                self._overflowed = True
                break
            events.append(bytes(buffer[start:search_from]))
            start = search_from
        del buffer[:start]
        self._seen = max(0, len(buffer) - _LONGEST_BOUNDARY + 1)
        if self._overflowed or len(buffer) > self._limit:
            self._overflowed = True
            buffer.clear()
        return events

    def rest(self) -> bytes:
        """Return and forget the bytes of an event that has not ended."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._seen = 0
        return rest


def _whole_events(chunk: bytes) -> list[bytes]:
    """Return the events of a chunk that is whole events with LF, as most are; else nothing."""
    if b"\r" in chunk or not chunk.endswith(b"\n\n"):
        return []
    if chunk.find(b"\n\n") == len(chunk) - 2:
        return [chunk]
    if b"\n\n\n" in chunk:
        return []
    return [event + b"\n\n" for event in chunk[:-2].split(b"\n\n")]


def data_of(event: bytes) -> bytes:
    r"""Return an event's data, its lines joined with LF; b'' where it has none.

    >>> data_of(b": hi\ndata: a\nevent: x\ndata:b\n\n")
    b'a\nb'
    """
    if event.startswith(b"data: ") and event.endswith(b"\n\n"):
        data = event[6:-2]
        if b"\n" not in data and b"\r" not in data:
            return data
    elif event.startswith(b"event: ") and event.endswith(b"\n\n") and b"\r" not in event:
        _, found, data = event[:-2].partition(b"\ndata: ")
        if found and event.count(b"\n") == 3:  # noqa: PLR2004 - a name, data, an empty line
            return data
    lines = _LINE.split(event.removeprefix(BOM))
    return b"\n".join(_value(line) for line in lines if _is_data(line))


def with_data(event: bytes, data: bytes) -> bytes:
    r"""Return the event saying `data` instead; its other lines and line endings are kept.

    >>> with_data(b"id: 7\r\ndata: a\r\ndata: b\r\n\r\n", b"c")
    b'id: 7\r\ndata: c\r\n\r\n'
    """
    before = event[6:-2]
    if event == b"data: %b\n\n" % before and not _LINE.search(before) and b"\n" not in data:
        return b"data: %b\n\n" % data
    bom = BOM if event.startswith(BOM) else b""
    kept = [bom]
    position = len(bom)
    said = False
    for ending in _LINE.finditer(event, position):
        line, eol = event[position : ending.start()], ending.group()
        position = ending.end()
        if not _is_data(line):
            kept.append(line + eol)
        elif not said:
            kept.extend(b"data: " + part + eol for part in data.split(b"\n"))
            said = True
        elif kept[-1].endswith(b"\r"):
            # Or the LF that follows this line would make one line's end of both.
            kept[-1] = kept[-1][:-1] + eol
    kept.append(event[position:])
    return b"".join(kept)


def _is_data(line: bytes) -> bool:
    return line.startswith(b"data:") or line == b"data"


def _value(line: bytes) -> bytes:
    return line[5:].removeprefix(b" ")
