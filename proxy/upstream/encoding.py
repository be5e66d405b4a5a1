"""Undoing a content encoding that a model API used though it was asked not to.

Piecewise and bounded: no piece is larger than PIECE, and an answer that grows beyond LARGEST is
given up as a bomb.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamGarbageError

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 65_536
LARGEST = 256 * 2**20
GZIP = 16 + zlib.MAX_WBITS
RAW = -zlib.MAX_WBITS
TWO = 2  # bytes of a zlib header


class Inflater:
    """Decodes one body: `feed` what arrives, `finish` at its end. Raises UpstreamGarbageError."""

    def __init__(self, encoding: str) -> None:
        """Take 'gzip' (also 'x-gzip') or 'deflate' (with the zlib header or, as some do, raw)."""
        name = encoding.strip().lower()
        if name not in {"gzip", "x-gzip", "deflate"}:
            raise UpstreamGarbageError("the answer is in an encoding that was not asked for")
        self._bits = 0 if name == "deflate" else GZIP
        self._inflate = None if name == "deflate" else zlib.decompressobj(GZIP)
        self._head = b""
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what some bytes decode to."""
        if self._inflate is None:
            self._head += data
            if len(self._head) < TWO:
                return
            data, self._head = self._head, b""
            self._bits = zlib.MAX_WBITS if zlib_header(data) else RAW
            self._inflate = zlib.decompressobj(self._bits)
        piece = b""
        while data or len(piece) == PIECE:  # a full piece may have left more inside
            if data and self._inflate.eof:  # another gzip member follows
                self._inflate = zlib.decompressobj(self._bits)
            try:
                piece = self._inflate.decompress(data, PIECE)
            except zlib.error:
                raise UpstreamGarbageError("the answer's encoding is broken") from None
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
            self._size += len(piece)
            if self._size > LARGEST:
                raise UpstreamGarbageError("the answer is too large when decoded")
            if piece:
                yield piece

    def finish(self) -> None:
        """Say that no more bytes come: what was begun must have ended."""
        if self._head or (self._inflate is not None and not self._inflate.eof):
            raise UpstreamGarbageError("the answer's encoding ends too early")


def zlib_header(data: bytes) -> bool:
    """Tell whether data begins with a zlib header (RFC 1950, section 2.2)."""
    return data[0] & 0x0F == zlib.DEFLATED and (data[0] << 8 | data[1]) % 31 == 0
