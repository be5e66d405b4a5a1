"""The stand-in's handler: routes, the way an answer is sent, and the faults it was asked for."""

from __future__ import annotations

import asyncio
import hmac
import socket
import struct
import time
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from proxy.core.errors import RequestError, RequestTooLargeError
from proxy.standin import native
from proxy.standin.answer import CREATED, Answer, FaultKind, answer_to
from proxy.standin.asked import read_asked
from proxy.standin.directives import IN_BAND, header_of
from proxy.standin.openai_chat import (
    GARBAGE,
    completion,
    error_event,
    events,
    server_error,
)

if TYPE_CHECKING:
    from proxy.standin.asked import Asked
    from proxy.standin.documents import Json
    from proxy.standin.recording import Entry, Recorder

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
OWN = "/-/"
MODEL_NAMES = ("standin", "standin-mini", "standin-reasoner")
MAX_BODY = 64 * 1024 * 1024
STALL_SECONDS = 120.0
BATCH_BYTES = 64 * 1024
# A reset throws away what the peer has not been sent yet; this is for it to be sent.
FLUSH_SECONDS = 0.02
# Close now and send a reset, whatever is still to be sent.
LINGER_NONE = struct.pack("ii", 1, 0)


class Standin:
    """Answers requests.

    require_key: the only credential that is let in; '' lets all in
    """

    def __init__(self, recorder: Recorder, require_key: str = "") -> None:
        self.recorder = recorder
        self._key = f"Bearer {require_key}".encode() if require_key else b""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path = request.path
        if path.startswith(OWN):
            return self._own(request.method, path)
        entry = self.recorder.begin(request.method, path, request.headers)
        try:
            return await self._served(request, entry)
        except asyncio.CancelledError:
            entry.ended = "stopped" if self.recorder.stopping else "aborted"
            raise
        except ConnectionError:
            # Writing to a client that has left; what we return cannot reach it either.
            entry.ended = "aborted"
            return web.Response(status=499)
        finally:
            self.recorder.end(entry)

    def _own(self, method: str, path: str) -> web.Response:
        status, told = 200, self.recorder.stats()
        match method, path:
            case "GET", "/-/stats":
                pass
            case "POST", "/-/reset":
                self.recorder.reset()
            case _:
                status, told = 404, {"error": native.unknown_url(method, path)}
        headers = {"content-type": "application/json"}
        return web.Response(status=status, body=orjson.dumps(told), headers=headers)

    async def _served(self, request: web.BaseRequest, entry: Entry) -> web.StreamResponse:
        try:
            body = await _body(request)
            self.recorder.read(entry, request.headers, body)
            wrong = self._unwelcome(request)
            if wrong is not None:
                return await _refused(request, entry, *wrong)
            if entry.path != CHAT:
                return await _sent(request, entry, orjson.dumps(_models(entry.path)))
            asked = read_asked(body, header_of(request.headers))
            entry.model, entry.stream = asked.model, asked.stream
            entry.include_usage = asked.include_usage
            answer = answer_to(asked)
        except RequestError as error:
            return await _refused(request, entry, error.status, native.mistake(error))
        if asked.directives.first:
            await asyncio.sleep(asked.directives.first / 1e6)
        if asked.directives.error is not None:
            return await _failed(request, entry, asked, asked.directives.error)
        entry.prompt_tokens, entry.reasoning = asked.prompt_tokens, answer.reasoning
        send = _streamed if asked.stream else _whole
        return await send(request, entry, answer)

    def _unwelcome(self, request: web.BaseRequest) -> tuple[int, Json] | None:
        """Return status and error for a request that is not for us, None for one that is."""
        method, path = request.method, request.path
        wanted = "POST" if path == CHAT else "GET"
        if path not in {CHAT, MODELS} and not path.startswith(f"{MODELS}/"):
            return 404, native.unknown_url(method, path)
        if method != wanted:
            return 405, native.wrong_method(method, path)
        given = request.headers.get("authorization", "")
        if self._key and not hmac.compare_digest(given.encode(), self._key):
            return 401, native.error_of(401, "") if given else native.no_key()
        return None


async def _body(request: web.BaseRequest) -> bytes:
    """Read the body; raises RequestError where it cannot be read."""
    read = bytearray()
    try:
        while chunk := await request.content.readany():
            read += chunk
            if len(read) > MAX_BODY:
                raise RequestTooLargeError("The body of your request is too large.")
    except web.RequestPayloadError:
        raise RequestError("The body of your request could not be read.") from None
    return bytes(read)


def _models(path: str) -> Json:
    """Return the list, or one model: any name will do."""
    name = path.removeprefix(MODELS).removeprefix("/")
    if name:
        return _model(name)
    return {"object": "list", "data": [_model(each) for each in MODEL_NAMES]}


def _model(name: str) -> Json:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "standin"}


async def _sent(
    request: web.BaseRequest,
    entry: Entry,
    body: bytes,
    status: int = 200,
    ended: str = "complete",
    **headers: str,
) -> web.Response:
    """Send a whole answer; what is recorded is what was done, so it is written here and now."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    entry.status, entry.ended = status, ended
    told = {**native.JSON, **_identity(entry.sha256), **named}
    response = web.Response(status=status, body=body, headers=told)
    await response.prepare(request)
    await response.write_eof()
    return response


async def _refused(
    request: web.BaseRequest, entry: Entry, status: int, error: Json
) -> web.StreamResponse:
    return await _sent(request, entry, native.error_body(error), status, "refused")


async def _failed(
    request: web.BaseRequest, entry: Entry, asked: Asked, status: int
) -> web.StreamResponse:
    """Fail as directed: by status, or under status 200 in the body."""
    error = native.error_of(status, asked.model)
    if status != IN_BAND:
        retry = {"retry_after": native.RETRY_AFTER} if status in {429, 503} else {}
        body = native.error_body(error)
        return await _sent(request, entry, body, status, "refused", **retry)
    if not asked.stream:
        body, retry_after = native.error_body(error), native.RETRY_AFTER
        return await _sent(request, entry, body, ended="refused", retry_after=retry_after)
    entry.status, entry.ended = 200, "refused"
    headers = {**native.SSE, **_identity(entry.sha256), "retry-after": native.RETRY_AFTER}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(error_event(error))
    await response.write_eof()
    return response


def _identity(digest: str, began: float | None = None) -> dict[str, str]:
    """Return what names a request; without a beginning it took no time worth telling."""
    spent = 0 if began is None else round((time.perf_counter() - began) * 1_000)
    return {"x-request-id": f"req_{digest[:32]}", "openai-processing-ms": str(max(1, spent))}


async def _whole(request: web.BaseRequest, entry: Entry, answer: Answer) -> web.StreamResponse:
    """Send the answer as one JSON document, once it would have been generated."""
    began = time.perf_counter()
    pace = answer.asked.directives.pace / 1e6
    if pace:
        try:
            await asyncio.sleep(pace * answer.visible)
        finally:
            made = min(answer.visible, int((time.perf_counter() - began) / pace))
            entry.generated = answer.tokens - answer.visible + made
    entry.generated = answer.tokens
    body, ended, written = completion(answer), "complete", answer.visible
    headers = {**native.JSON, **_identity(answer.asked.digest.hex(), began)}
    if answer.fault is not None:
        ended, half = answer.fault.kind.value, len(body) // 2
        match answer.fault.kind:
            case FaultKind.ERROR:
                body, written = native.error_body(server_error()), 0
            case FaultKind.GARBAGE:
                body, written = body[:half] + GARBAGE, answer.visible // 2
            case FaultKind.RESET | FaultKind.STALL:
                entry.status = 200
                response = web.StreamResponse(headers=headers)
                response.content_length = len(body)
                await response.prepare(request)
                await response.write(body[:half])
                entry.written = answer.visible // 2
                return await _broken(request, entry, response, answer.fault.kind)
    entry.written, entry.status, entry.ended = written, 200, ended
    response = web.Response(body=body, headers=headers)
    await response.prepare(request)
    await response.write_eof()
    return response


async def _streamed(request: web.BaseRequest, entry: Entry, answer: Answer) -> web.StreamResponse:
    """Send the answer as events: one a write with a pace, otherwise as many as fit."""
    headers = {**native.SSE, **_identity(answer.asked.digest.hex())}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    entry.status = 200
    entry.generated = answer.tokens - answer.visible
    if answer.asked.directives.pace:
        await _paced(entry, answer, response)
    else:
        await _batched(entry, answer, response)
    if answer.fault is not None:
        if answer.fault.kind in {FaultKind.RESET, FaultKind.STALL}:
            return await _broken(request, entry, response, answer.fault.kind)
        entry.ended = answer.fault.kind.value
    else:
        entry.ended = "complete"
    await response.write_eof()
    return response


async def _paced(entry: Entry, answer: Answer, response: web.StreamResponse) -> None:
    pace, clock = answer.asked.directives.pace / 1e6, asyncio.get_running_loop().time
    due = clock()
    for tokens, event in events(answer):
        if tokens:
            due += pace
            await asyncio.sleep(due - clock())
            entry.generated += tokens
        await response.write(event)
        entry.written += tokens


async def _batched(entry: Entry, answer: Answer, response: web.StreamResponse) -> None:
    batch: list[bytes] = []
    size = carried = 0
    for tokens, event in events(answer):
        batch.append(event)
        size += len(event)
        carried += tokens
        if size >= BATCH_BYTES:
            entry.generated += carried
            await response.write(b"".join(batch))
            entry.written += carried
            batch, size, carried = [], 0, 0
            await asyncio.sleep(0)
    entry.generated += carried
    if batch:
        await response.write(b"".join(batch))
    entry.written += carried


async def _broken(
    request: web.BaseRequest, entry: Entry, response: web.StreamResponse, kind: FaultKind
) -> web.StreamResponse:
    """Break the connection, at once or after a long silence."""
    await asyncio.sleep(FLUSH_SECONDS if kind is FaultKind.RESET else STALL_SECONDS)
    entry.ended = kind.value
    transport = request.transport
    if transport is not None:
        wire: socket.socket = transport.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        transport.abort()
    return response
