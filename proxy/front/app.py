"""The developers' port: aiohttp's low-level server around the handler, with bounds."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from aiohttp.http import RawRequestMessage
from aiohttp.web import (
    RequestHandler,
    RequestPayloadError,
    Response,
    Server,
    ServerRunner,
    SockSite,
)

from proxy.core.errors import RequestError, WeirError
from proxy.dialects import routes

if TYPE_CHECKING:
    import asyncio
    import socket

    from aiohttp.web import BaseRequest, StreamResponse

    from proxy.front.handler import Handler
    from proxy.settings.schema import LimitSettings

COMPLAINTS_A_SECOND = 5
LINGER_SECONDS = 2.0  # to read on after an answer that came before the body's end
SERVER_ERROR = 500


class Sparing(logging.Filter):
    """Lets a few complaints of the HTTP parser through a second, without their tracebacks.

    A stranger's garbage must not fill the disk; and a traceback would show its bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._said = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is let through, with its traceback taken off."""
        if record.levelno < logging.ERROR or "Unhandled" in record.msg:
            return True
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._said = second, 0
        self._said += 1
        record.exc_info = record.exc_text = None
        record.args, record.msg = (), "a request could not be read as HTTP"
        return self._said <= COMPLAINTS_A_SECOND


class Connection(RequestHandler):
    """A connection whose failures below the handler are told natively.

    aiohttp's own words repeat the bytes that it could not read, credentials and prompts included.
    """

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; who waits for a body whose framing broke is told at once.

        aiohttp's C parser tells only the next request, and the reader would wait for its timeout.
        """
        super().data_received(data)
        request = self._current_request
        if request is None or not self._messages or request.content.is_eof():
            return
        if not isinstance(self._messages[-1][0], RawRequestMessage):
            request.content.set_exception(RequestPayloadError("the framing broke"))
            # The rest is lost, so that nobody lingers for it.
            request.content.feed_eof()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        """Return what is told of bytes that are no HTTP, or of a mistake of ours.

        Raises ConnectionError where an answer has begun.
        """
        super().handle_error(request, status, exc, message)
        error: WeirError = RequestError("The request could not be read as HTTP/1.1.")
        if status >= SERVER_ERROR:
            error = WeirError()
        told = routes.error(error, request.method, request.path, request.headers)
        headers = {"server": "weir", "connection": "close", **dict(told.headers)}
        response = Response(status=told.status, headers=headers, body=told.body)
        response.force_close()
        return response


class Door(Server):
    """aiohttp's low-level server, with our connections, at most `most` of them."""

    most = 0

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection in; one too many is cut off before it is read."""
        super().connection_made(handler, transport)
        if len(self._connections) > self.most:
            transport.abort()

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)


async def open_door(
    handler: Handler, listening: socket.socket, limits: LimitSettings, grace: float
) -> ServerRunner:
    """Begin to serve on a bound socket; `cleanup()` of what is returned ends it.

    grace: seconds that running answers may take to end
    """
    logger = logging.getLogger("weir.http")
    logger.addFilter(Sparing())

    async def serve(request: BaseRequest) -> StreamResponse:
        return await handler.handle(request)

    server = Door(
        serve,
        handler_cancellation=True,
        keepalive_timeout=limits.header_timeout / 1e6,
        lingering_time=LINGER_SECONDS,
        max_line_size=8190,
        max_field_size=limits.headers,
        auto_decompress=False,
        access_log=None,
        logger=logger,
    )
    server.most = limits.connections
    # aiohttp's drain takes twice this time.
    runner = ServerRunner(server, shutdown_timeout=grace / 2, access_log=None)
    await runner.setup()
    site = SockSite(runner, listening, backlog=1024)
    await site.start()
    return runner
