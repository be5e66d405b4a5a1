"""How an answer is sent: whole or as events, at its pace, and with the fault it was asked for."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from proxy.standin.directives import IN_BAND
from proxy.standin.reply import GARBAGE, FaultKind

if TYPE_CHECKING:
    from proxy.standin.documents import Json
    from proxy.standin.recording import Entry
    from proxy.standin.reply import Plain, Reply, Voice

RETRY_AFTER = "1"
# Also a refusal under status 200 says when to come again.
RETRIED = frozenset({IN_BAND, 429, 503, 529})
STALL_SECONDS = 120.0
BATCH_BYTES = 64 * 1024
# A reset throws away what the peer has not been sent yet; this is for it to be sent.
FLUSH_SECONDS = 0.02
# Close now and send a reset, whatever is still to be sent.
LINGER_NONE = struct.pack("ii", 1, 0)

_JSON = {"content-type": "application/json"}
_SSE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class Sender:
    """Sends the answer to one request, and notes in its entry what was sent."""

    def __init__(self, request: web.BaseRequest, entry: Entry, voice: Voice) -> None:
        self._request, self._entry, self._voice = request, entry, voice

    async def refused(self, status: int, error: Json, retry_after: str = "") -> web.StreamResponse:
        """Send an error."""
        body = self._voice.error_body(error, self.identity)
        return await self._sent(body, status, "refused", retry_after=retry_after)

    async def failed(
        self, status: int, model: str, reply: Reply | None = None
    ) -> web.StreamResponse:
        """Fail as directed: by status, or under status 200 in the body."""
        error = self._voice.error_of(status, model)
        retry_after = RETRY_AFTER if status in RETRIED else ""
        if status != IN_BAND or reply is None or not reply.asked.stream:
            return await self.refused(status, error, retry_after)
        self._entry.ended = "refused"
        response = await self._begun(_SSE, retry_after=retry_after)
        await response.write(reply.refused(error, self.identity))
        await response.write_eof()
        return response

    async def plain(self, made: Plain) -> web.StreamResponse:
        """Send a document that takes no time."""
        self._entry.generated, self._entry.written = made.tokens, made.written
        return await self._sent(orjson.dumps(made.body))

    async def whole(self, reply: Reply) -> web.StreamResponse:
        """Send the answer as one JSON document, once it would have been generated."""
        entry, began = self._entry, time.perf_counter()
        pace = reply.pace / 1e6
        if pace:
            try:
                await asyncio.sleep(pace * reply.visible)
            finally:
                made = min(reply.visible, int((time.perf_counter() - began) / pace))
                entry.generated = reply.tokens - reply.visible + made
        entry.generated = reply.tokens
        fault = reply.fault
        if fault is not None and fault.kind is FaultKind.ERROR:
            return await self._sent(reply.failed(), ended=fault.kind.value)
        body, ended, written = reply.whole(), "complete", reply.visible
        if fault is not None:
            ended, half = fault.kind.value, len(body) // 2
            written //= 2
            if fault.kind is not FaultKind.GARBAGE:
                response = await self._begun(_JSON, began, length=len(body))
                await response.write(body[:half])
                entry.written = written
                return await self._broken(response, fault.kind)
            body = body[:half] + GARBAGE
        entry.written = written
        return await self._sent(body, ended=ended, began=began)

    async def streamed(self, reply: Reply) -> web.StreamResponse:
        """Send the answer as events: one a write with a pace, otherwise as many as fit."""
        entry = self._entry
        response = await self._begun(_SSE)
        if not reply.replayed:
            entry.generated = reply.tokens - reply.visible
        await (self._paced if reply.pace else self._batched)(reply, response)
        if reply.fault is not None:
            if reply.fault.kind in {FaultKind.RESET, FaultKind.STALL}:
                return await self._broken(response, reply.fault.kind)
            entry.ended = reply.fault.kind.value
        else:
            entry.ended = "complete"
        await response.write_eof()
        return response

    @property
    def identity(self) -> str:
        """The id of the request, once its body is read."""
        return f"req_{self._entry.sha256[:32]}"

    def _head(self, began: float | None, retry_after: str) -> dict[str, str]:
        """Return the headers; without a beginning it took no time worth telling."""
        spent = 0 if began is None else round((time.perf_counter() - began) * 1_000)
        retry = {"retry-after": retry_after} if retry_after else {}
        return {**self._voice.head(self.identity, spent), **retry}

    async def _begun(
        self,
        kind: dict[str, str],
        began: float | None = None,
        length: int | None = None,
        retry_after: str = "",
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={**self._head(began, retry_after), **kind})
        if length is not None:
            response.content_length = length
        await response.prepare(self._request)
        self._entry.status = 200
        return response

    async def _sent(
        self,
        body: bytes,
        status: int = 200,
        ended: str = "complete",
        began: float | None = None,
        retry_after: str = "",
    ) -> web.Response:
        """Send a whole answer; what is recorded is what was done, so it is written here and now."""
        self._entry.status, self._entry.ended = status, ended
        told = {**self._head(began, retry_after), **_JSON}
        response = web.Response(status=status, body=body, headers=told)
        await response.prepare(self._request)
        await response.write_eof()
        return response

    async def _paced(self, reply: Reply, response: web.StreamResponse) -> None:
        entry, clock = self._entry, asyncio.get_running_loop().time
        pace, due = reply.pace / 1e6, clock() if reply.began is None else reply.began
        for index, (tokens, event) in enumerate(reply.events()):
            due += pace * tokens
            if index < reply.skip:
                continue
            if tokens:
                await asyncio.sleep(due - clock())
                if not reply.replayed:
                    entry.generated += tokens
            halted = reply.halted(index)
            if halted:
                await response.write(halted)
                return
            await response.write(event)
            entry.written += tokens

    async def _batched(self, reply: Reply, response: web.StreamResponse) -> None:
        batch: list[bytes] = []
        size = carried = 0
        for index, (tokens, event) in enumerate(reply.events()):
            if index < reply.skip:
                continue
            batch.append(event)
            size += len(event)
            carried += tokens
            if size >= BATCH_BYTES:
                await self._written(reply, response, batch, carried)
                batch, size, carried = [], 0, 0
                await asyncio.sleep(0)
        await self._written(reply, response, batch, carried)

    async def _written(
        self, reply: Reply, response: web.StreamResponse, batch: list[bytes], carried: int
    ) -> None:
        if not reply.replayed:
            self._entry.generated += carried
        if batch:
            await response.write(b"".join(batch))
        self._entry.written += carried

    async def _broken(self, response: web.StreamResponse, kind: FaultKind) -> web.StreamResponse:
        """Break the connection, at once or after a long silence."""
        await asyncio.sleep(FLUSH_SECONDS if kind is FaultKind.RESET else STALL_SECONDS)
        self._entry.ended = kind.value
        transport = self._request.transport
        if transport is not None:
            wire: socket.socket = transport.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            transport.abort()
        return response
