"""What of an answer has arrived: a body that is kept within bounds, or events that are complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.sse import SseSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_JSON = 64 * 1024 * 1024


class KeptBody:
    """A JSON body while it comes."""

    __slots__ = ("_kept", "_size")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._size = 0

    def add(self, chunk: bytes) -> None:
        """Keep a piece; raises UpstreamGarbageError where the whole is too large."""
        self._size += len(chunk)
        if self._size > MAX_JSON:
            raise UpstreamGarbageError("The answer is too large.")
        self._kept += chunk

    def so_far(self) -> bytes:
        """Return what has come."""
        return bytes(self._kept)

    def forget(self) -> None:
        """Let go of what has come: it has been read."""
        self._kept.clear()


class Events:
    """Server-sent events, each handed on as soon as it is whole.

    `give` returns what the client shall see of an event; it may raise UpstreamGarbageError.
    """

    __slots__ = ("_held", "_splitter")

    def __init__(self) -> None:
        self._splitter = SseSplitter()
        self._held = b""

    def feed(self, chunk: bytes, give: Callable[[bytes], bytes]) -> bytes:
        """Return what the client shall see of the events that a chunk completes.

        Raises UpstreamGarbageError; what was good before the garbage is then held.
        """
        events = self._splitter.feed(chunk)
        if len(events) == 1 and not self._splitter.overflowed:
            return give(events[0])  # as most chunks are
        out: list[bytes] = []
        try:
            for event in events:
                out.append(give(event))  # noqa: PERF401 - kept if one raises
        except UpstreamGarbageError:
            self._held = b"".join(out)
            raise
        if self._splitter.overflowed:
            self._held = b"".join(out)
            raise UpstreamGarbageError("An event of the answer is too large.")
        return b"".join(out)

    def last(self, give: Callable[[bytes], bytes]) -> bytes:
        """Return what the client shall see of an event that the upstream did not end.

        It is given the empty line that was owed, so that nothing of ours runs into it.
        Raises UpstreamGarbageError.
        """
        rest = self._splitter.rest()
        return give(rest + b"\n\n") if rest else b""

    def held(self) -> bytes:
        """Return and forget what was good before garbage came."""
        held, self._held = self._held, b""
        return held
