"""Copying an answer through: metered and transformed by the dialect's reader as it flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import hdrs
from aiohttp.web import Response, StreamResponse

from proxy.core.errors import UpstreamError, UpstreamGarbageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from aiohttp.web import BaseRequest

    from proxy.dialects.base import AnswerReader
    from proxy.front.observing import Kept
    from proxy.journal.record import Record
    from proxy.ports import UpstreamAnswer

SPILL = 1_048_576
EVENT_STREAM = "text/event-stream"


def streams(headers: Mapping[str, str]) -> bool:
    """Return whether an answer says that it is a stream of events."""
    return headers.get("content-type", "").lstrip().lower().startswith(EVENT_STREAM)


@dataclass(slots=True)
class Passage:
    """What happens beside the copying of an answer.

    record: told how many bytes were passed on
    claim:  called with the reader before anything leaves that names a stored object
    ended:  called when the native end or an error told in the stream was seen, and before the
            client sees it, so that what it does next already finds its slots free
    kept:   keeps the beginning of what the client was given; None where nobody wants it
    """

    record: Record
    claim: Callable[[AnswerReader], Awaitable[None]]
    ended: Callable[[], None]
    kept: Kept | None = None
    claimed: int = 0

    async def see(self, reader: AnswerReader) -> None:
        """Do what is due before the reader's last bytes leave."""
        objects = len(reader.objects)
        if objects > self.claimed:
            self.claimed = objects
            await self.claim(reader)
        if reader.complete or reader.errored:
            self.ended()

    def passed(self, piece: bytes) -> None:
        """Note bytes on their way to the client."""
        self.record.bytes_out += len(piece)
        self.hear(piece)

    def hear(self, piece: bytes) -> None:
        """Keep bytes that the client is given, where somebody wants them."""
        if self.kept is not None:
            self.kept.keep(piece)


async def relay_whole(
    answer: UpstreamAnswer, reader: AnswerReader, headers: dict[str, str], passage: Passage
) -> Response | list[bytes]:
    """Read an answer that fits in memory and return it whole.

    A break of the upstream is then still an error with a status of its own. Above a megabyte the
    pieces read so far are returned instead, to go on as a stream. Raises UpstreamError.
    """
    pieces: list[bytes] = []
    size = 0
    chunks = answer.chunks()
    async for chunk in chunks:
        piece = reader.feed(chunk)
        pieces.append(piece)
        size += len(piece)
        if size > SPILL:
            return pieces
        if reader.cut:
            break  # a stream that came under another name; leaving the context ends it
    pieces.append(reader.end())
    if reader.objects:
        await passage.claim(reader)
    body = b"".join(pieces)
    passage.hear(body)
    return Response(status=answer.status, headers=headers, body=body)


async def relay_stream(
    request: BaseRequest,
    answer: UpstreamAnswer,
    reader: AnswerReader,
    headers: dict[str, str],
    passage: Passage,
    before: Sequence[bytes] = (),
) -> StreamResponse:
    """Copy a stream to the client and return the finished response.

    before: pieces that were read already
    An upstream that breaks gives the stream its native ending and is told by raising UpstreamError
    after the client was told. ConnectionError: the client left.
    """
    response = StreamResponse(status=answer.status, headers=headers)
    if streams(headers):
        headers.setdefault(hdrs.CACHE_CONTROL, "no-cache")
    await response.prepare(request)
    try:
        for piece in before:
            passage.passed(piece)
            await response.write(piece)
        async for chunk in answer.chunks():
            piece = reader.feed(chunk)
            await passage.see(reader)
            if piece:
                passage.passed(piece)
                await response.write(piece)
            if reader.cut:
                break  # leaving the upstream's context tells it to stop
        last = reader.end()
        await passage.see(reader)
        if last:
            passage.hear(last)
            await response.write(last)
    except UpstreamError as error:
        last = reader.broken(_told(error), error.code)
        if last:
            await response.write(last)
            await response.write_eof()
        elif request.transport is not None:
            # The format has no way to say it: only a cut connection tells the client.
            request.transport.abort()
        raise
    await response.write_eof()
    return response


def _told(error: UpstreamError) -> str:
    if isinstance(error, UpstreamGarbageError):
        return "The model sent something that could not be read; the answer ends here."
    return "The model's answer was cut off before its end."
