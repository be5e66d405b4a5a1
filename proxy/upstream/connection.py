"""One connection to a model API, on which one request after another is answered.

It costs little: no task, one future a wait, and one timer for all deadlines, which is only moved
when a deadline comes to lie before it.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Protocol, cast

from proxy.core.errors import (
    UpstreamError,
    UpstreamGarbageError,
    UpstreamResetError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)

if TYPE_CHECKING:
    from proxy.upstream.reading import Reading

KEPT_SECONDS = 15.0  # less than servers usually do, so that a request seldom meets a closed one
MOST_HELD = 262_144  # bytes that may wait for whoever reads
LARGE = 2**20  # bodies above this are sent in pieces, as one write would hold up the loop
PIECE = 262_144
CLIENT_ERROR = 400


class Owner(Protocol):
    """Who has connections, and is told what becomes of each."""

    def give(self, connection: Connection) -> None:
        """Take it back: its answer is complete and it can be asked again."""
        ...

    def drop(self) -> None:
        """Forget a lent one: nobody can ask on it again."""
        ...

    def lost(self, connection: Connection) -> None:
        """Hear that it is closed, in whatever state it was."""
        ...


class Connection(asyncio.Protocol):
    """A connection; lent to one request at a time, which has a `Reading` to fill.

    asked:  something was asked on it before
    paused: the peer is kept from sending, as its answer is not being read
    """

    __slots__ = (
        "_alarm",
        "_alarm_at",
        "_deadline",
        "_full",
        "_idle",
        "_loop",
        "_now",
        "_owner",
        "_poll",
        "_reading",
        "_streaming",
        "_transport",
        "_waiter",
        "_whole",
        "asked",
        "paused",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._reading: Reading | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = self._deadline = self._idle = 0.0
        self._full = self._whole = self._streaming = False
        self.asked = self.paused = False

    # What a request does.

    @property
    def open(self) -> bool:
        """Whether it is neither closed nor closing, as far as the loop has heard."""
        return self._transport is not None and not self._transport.is_closing()

    def usable(self) -> bool:
        """Tell whether a kept connection is still open; also when the loop has not heard yet."""
        return self.open and not self._poll.poll(0)

    def ask(self, reading: Reading, head: bytes, body: bytes, first: float, idle: float) -> bool:
        """Send a request whose answer fills `reading`; False: `send_on` must be awaited.

        first, idle: seconds to the answer's head, and between two pieces of its body
        """
        transport = self._transport
        if transport is None or transport.is_closing():  # uvloop raises on a write then
            self._fail(reading, UpstreamUnreachableError("the model API took no connection"))
            return True
        self._reading = reading
        self._idle = idle
        self._streaming, self.asked = False, True
        self._watch(first)
        self._whole = len(body) <= LARGE
        transport.write(head + body if self._whole else head)
        return self._whole

    async def send_on(self, reading: Reading, body: bytes) -> None:
        """Send a large body as fast as the peer takes it.

        When an error is answered before its end, the rest is kept; any other early answer may
        itself be waiting for the rest.
        """
        view = memoryview(body)
        while view:
            while self._full and self._reading is reading and not reading.status:
                await self.news()
            transport = self._transport
            if self._reading is not reading or reading.status >= CLIENT_ERROR:
                return
            if transport is None or transport.is_closing():
                return
            size = len(view) if reading.status else PIECE
            transport.write(view[:size])
            view = view[size:]
        self._whole = True

    def news(self) -> asyncio.Future[None]:
        """Return what to await until the reading has more, is complete or has failed.

        Only for a reading that is neither complete nor failed.
        """
        self._waiter = self._loop.create_future()
        return self._waiter

    def resume(self, reading: Reading) -> None:
        """Let the peer send on, now that its answer was read."""
        transport = self._transport
        if self._reading is reading and transport is not None and not transport.is_closing():
            self.paused = False
            self._deadline = self._now() + self._idle
            transport.resume_reading()

    def leave(self, reading: Reading) -> None:
        """Cut the connection off, so that the model stops, unless the answer is already whole."""
        if self._reading is reading:
            self._fail(reading, UpstreamResetError("the answer was left before its end"))

    def abort(self) -> None:
        """Close at once, unsent bytes are lost. Who waits for an answer hears of it."""
        if self._transport is not None:
            self._transport.abort()

    def keep(self) -> None:
        """Wait for the next request, but not for ever."""
        self._watch(KEPT_SECONDS)

    # What the transport does.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Read on in the answer; nobody asked for what comes outside of one."""
        reading = self._reading
        if reading is None:
            self.abort()
            return
        try:
            reading.feed(data)
        except UpstreamGarbageError as error:
            self._fail(reading, error)
            return
        if reading.complete:
            self._finish(reading)
        elif reading.status:
            if self._streaming:
                self._deadline = self._now() + self._idle
            else:
                self._streaming = True
                self._watch(self._idle)
            if reading.held > MOST_HELD and not self.paused:
                self.paused = True
                self._transport.pause_reading()  # type: ignore[union-attr] # it just gave data
            waiter = self._waiter
            if waiter is not None:
                self._waiter = None
                if not waiter.done():
                    waiter.set_result(None)

    def eof_received(self) -> None:
        """Take the peer's end for the connection's: the transport closes itself."""
        reading = self._reading
        if reading is not None:
            self._end(reading)
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._transport = None
        reading = self._reading
        if reading is not None:
            if exc is None:
                self._end(reading)
            else:
                self._fail(reading, UpstreamResetError("the model API broke off its answer"))
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """Note that the peer is slow to take what we send."""
        self._full = True

    def resume_writing(self) -> None:
        """Note that the peer has taken most of it."""
        self._full = False
        self._wake()

    # What follows.

    def _end(self, reading: Reading) -> None:
        try:
            reading.end()
        except UpstreamResetError as error:
            self._fail(reading, error)
        else:
            self._finish(reading)

    def _finish(self, reading: Reading) -> None:
        """Let go of a complete answer, and go back where it can be."""
        self._reading = None
        self._wake()
        transport = self._transport
        if (
            reading.reusable
            and self._whole
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
        ):
            if self.paused:
                self.paused = False
                transport.resume_reading()
            self._owner.give(self)
        else:
            self._discard()

    def _fail(self, reading: Reading, error: UpstreamError) -> None:
        reading.fail(error)
        self._reading = None
        self._wake()
        self._discard()

    def _discard(self) -> None:
        self.abort()
        self._owner.drop()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _watch(self, seconds: float) -> None:
        """Set the deadline; the timer may ring earlier, and looks then."""
        self._deadline = self._now() + seconds
        if self._alarm is None or self._alarm_at > self._deadline:
            self._set(self._deadline)

    def _set(self, moment: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = moment
        self._alarm = self._loop.call_at(moment, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = self._now()
        if self.paused:  # it is we who are slow
            self._set(now + self._idle)
        elif now < self._deadline:
            self._set(self._deadline)
        elif self._reading is not None:
            self._fail(self._reading, UpstreamTimeoutError("the model API took too long"))
        else:
            self.abort()
