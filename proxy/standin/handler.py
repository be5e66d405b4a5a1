"""The stand-in's handler: from a request to the answer that is sent."""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from proxy.core.errors import RequestError, RequestTooLargeError
from proxy.standin import native
from proxy.standin.directives import header_of
from proxy.standin.fields import RefusedError
from proxy.standin.reply import Call, Plain, Reply
from proxy.standin.responses_stored import Store
from proxy.standin.routes import check_head, route_of, unserved, voice_of
from proxy.standin.sending import Sender

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.standin.documents import Json
    from proxy.standin.recording import Entry, Recorder
    from proxy.standin.reply import Voice

OWN = "/-/"
MAX_BODY = 64 * 1024 * 1024


class Standin:
    """Answers requests.

    require_key: the only credential that is let in; '' lets all in
    """

    def __init__(self, recorder: Recorder, require_key: str = "") -> None:
        self.recorder = recorder
        self._key = require_key.encode()
        self._store = Store()

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
        voice = voice_of(entry.path, request.headers)
        sender = Sender(request, entry, voice)
        try:
            body = await _body(request)
            self.recorder.read(entry, request.headers, body)
            route = route_of(entry.path, voice)
            wrong = unserved(voice, request.method, entry.path, route)
            wrong = wrong or self._unwelcome(request.headers, voice)
            if wrong is not None or route is None:
                return await sender.refused(*(wrong or (404, {})))
            check_head(voice, request.headers)
            call = Call(
                sender.identity,
                body,
                header_of(request.headers),
                route.object,
                request.query,
                self._store,
                asyncio.get_running_loop().time(),
            )
            made = route.makers[request.method](call)
        except RefusedError as error:
            return await sender.refused(error.status, voice.refusal(error))
        except RequestError as error:
            return await sender.refused(error.status, voice.mistake(error))
        return await _answered(sender, entry, made)

    def _unwelcome(self, headers: Mapping[str, str], voice: Voice) -> tuple[int, Json] | None:
        """Return status and error for a request without the right credential."""
        bearer = headers.get("authorization", "")
        given = headers.get("x-api-key") or bearer.removeprefix("Bearer ")
        if not self._key or hmac.compare_digest(given.encode(), self._key):
            return None
        return 401, voice.error_of(401, "") if given else voice.no_key()


async def _answered(sender: Sender, entry: Entry, made: Plain | Reply) -> web.StreamResponse:
    reply = made if isinstance(made, Reply) else None
    asked = made.asked if isinstance(made, Reply) else made
    entry.model, directives = asked.model, asked.directives
    if reply is not None:
        entry.stream, entry.include_usage = reply.asked.stream, reply.asked.include_usage
    if directives.first:
        await asyncio.sleep(directives.first / 1e6)
    if directives.error is not None:
        return await sender.failed(directives.error, entry.model, reply)
    # What was made before is not counted again.
    if reply is None or not reply.replayed:
        entry.prompt_tokens = asked.prompt_tokens
    entry.reasoning = made.reasoning
    if isinstance(made, Plain):
        return await sender.plain(made)
    return await (sender.streamed if made.asked.stream else sender.whole)(made)


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
