"""A model API behind `ports.Upstream`, spoken to by aiohttp's client.

Nothing is sent twice: what may have been billed is never retried (aiohttp itself repeats only
idempotent methods, such as the model list's GET, and only on a kept connection that had died).
A POST that meets such a connection ends as UpstreamResetError; connections are kept for less time
than servers usually do, so that it is rare.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from typing import TYPE_CHECKING, Self

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientResponseError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from proxy.core.errors import (
    RouteUnknownError,
    UpstreamError,
    UpstreamGarbageError,
    UpstreamResetError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from proxy.upstream.encoding import Inflater
from proxy.upstream.headers import answered, asked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

    from aiohttp import ClientResponse

    from proxy.settings.schema import UpstreamSettings

KEPT_SECONDS = 15
BUFFER = 65_536
LARGE = 2**20  # bodies above this are sent in pieces, as one write would hold up the loop
PATHS_REMEMBERED = 64
OK, REDIRECT, CLIENT_ERROR = 200, 300, 400
PREFIX = "/v1"


class HttpUpstream:
    """One model API; fills `ports.Upstream`. To be used in one event loop.

    url:  its base URL where the settings do not have it (the stand-in's)
    idle: seconds that may pass between two pieces of an answer
    """

    def __init__(self, settings: UpstreamSettings, url: str | None = None) -> None:
        self.name = settings.name
        self._base = URL(url or settings.url)
        self._standin = settings.standin
        self._limit = settings.max_connections
        self._connect = settings.connect_timeout / 1_000_000
        self._head = self._connect + settings.first_byte_timeout / 1_000_000
        self.idle = settings.idle_timeout / 1_000_000
        self._ours = {**OURS, **settings.headers, **credential(settings)}
        self._tls = tls(settings)
        self._addresses: dict[str, URL] = {}
        self._session: ClientSession | None = None

    def __repr__(self) -> str:
        return f"HttpUpstream({self.name!r})"

    def open(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Exchange:
        """Send a request with our credential; leaving the context closes what is unread."""
        sent = {"accept": "*/*", **asked(headers, standin=self._standin), **self._ours}
        if body is not None:
            sent.setdefault("content-type", "application/json")
        return Exchange(self, method, self.address(path), sent, body)

    def address(self, path: str) -> URL:
        """Return where a client's path is upstream. Raises RouteUnknownError for an odd path."""
        found = self._addresses.get(path)
        if found is None:
            found = address(self._base, path)
            if len(self._addresses) < PATHS_REMEMBERED:
                self._addresses[path] = found
        return found

    async def send(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> ClientResponse:
        """Send a request and return its answer, of which the head is read."""
        session = self._session or self._begin()
        data = io.BytesIO(body) if body is not None and len(body) > LARGE else body
        async with asyncio.timeout(self._head):
            return await session.request(
                method, url, headers=headers, data=data, allow_redirects=False
            )

    async def close(self) -> None:
        """Let go of all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _begin(self) -> ClientSession:
        self._session = ClientSession(
            connector=TCPConnector(
                limit=self._limit, keepalive_timeout=KEPT_SECONDS, ssl=self._tls, ttl_dns_cache=30
            ),
            timeout=ClientTimeout(total=None, connect=self._connect),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=BUFFER,
        )
        return self._session


class Exchange:
    """One request and its answer, as a context; fills `ports.UpstreamAnswer` once entered."""

    __slots__ = ("_ask", "_closed", "_response", "_upstream", "headers", "status")

    def __init__(
        self,
        upstream: HttpUpstream,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> None:
        self._upstream = upstream
        self._ask = (method, url, headers, body)
        self._response: ClientResponse | None = None
        self._closed: asyncio.Future[None] | None = None
        self.status = 0
        self.headers: Mapping[str, str] = {}

    async def __aenter__(self) -> Self:
        try:
            response = await self._upstream.send(*self._ask)
        except FAILURES as error:
            raise failure(error) from None
        self._response = response
        self.status = response.status
        self._attend(response)
        if self.status < OK or REDIRECT <= self.status < CLIENT_ERROR:
            self._close(response)
            raise UpstreamGarbageError(f"the model API answered with status {self.status}")
        self.headers = answered(response.headers)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._response is not None:
            self._close(self._response)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises UpstreamError."""
        assert self._response is not None, "the answer is read inside its context"
        content = self._response.content
        encoding = self._response.headers.get("content-encoding", "identity")
        inflater = None if encoding.lower() in {"", "identity"} else Inflater(encoding)
        while True:
            try:
                data = await content.readany()
            except FAILURES as error:
                raise failure(error) from None
            if not data:
                break
            if inflater is None:
                yield data
            else:
                for piece in inflater.feed(data):
                    yield piece
        if inflater is not None:
            inflater.finish()

    def _attend(self, response: ClientResponse) -> None:
        # From the head on, what counts is the time between two pieces; and a connection that is
        # lost has to wake its reader: when the framing turns into garbage, aiohttp 3.14 closes
        # the connection and leaves the reader waiting for ever.
        connection = response.connection
        protocol = None if connection is None else connection.protocol
        if protocol is None:
            return
        protocol.read_timeout = self._upstream.idle
        protocol.start_timeout()
        self._closed = protocol.closed
        if self._closed is None:
            self._lost(None)
        else:
            self._closed.remove_done_callback(heard)  # this connection's earlier requests did so
            self._closed.add_done_callback(heard)
            self._closed.add_done_callback(self._lost)

    def _lost(self, _: asyncio.Future[None] | None) -> None:
        assert self._response is not None
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(HttpProcessingError(message="not HTTP any more"))

    def _close(self, response: ClientResponse) -> None:
        # A complete answer has given its connection back. Any other is cut off without waiting
        # for its peer, so that the model stops writing for nobody.
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
        connection = response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        response.close()


def heard(closed: asyncio.Future[None]) -> None:
    """Take note of how a connection ended, or asyncio complains that nobody did."""
    if not closed.cancelled():
        closed.exception()


OURS = {"accept-encoding": "identity", "user-agent": "weir"}
FAILURES = (ClientError, HttpProcessingError, OSError)  # TimeoutError is an OSError


def credential(settings: UpstreamSettings) -> dict[str, str]:
    """Return the header that carries our credential, or none."""
    if settings.secret is None:
        return {}
    text = settings.secret.get_secret_value()
    if settings.header == "authorization-bearer":
        return {"authorization": f"Bearer {text}"}
    return {settings.header: text}


def tls(settings: UpstreamSettings) -> ssl.SSLContext | bool:
    """Return what certificates are verified by. OSError when the CA file cannot be read."""
    if settings.ca_file is None:
        return True
    return ssl.create_default_context(cafile=str(settings.ca_file))


def address(base: URL, path: str) -> URL:
    """Return a client's path below a base URL, whose own version stands for the path's.

    >>> address(URL("https://api.example.com/openai/v1"), "/v1/models").path
    '/openai/v1/models'
    """
    odd = not path.startswith("/") or "//" in path or not path.isascii() or not path.isprintable()
    if odd or any(char in path for char in "?#\\ ") or ".." in path.lower().replace("%2e", "."):
        raise RouteUnknownError("no model API has this path")
    root = base.raw_path.rstrip("/")
    if root.endswith(PREFIX):
        path = path.removeprefix(PREFIX)
    return URL.build(
        scheme=base.scheme,
        authority=base.raw_authority,
        path=root + path,
        query_string=base.raw_query_string,
        encoded=True,
    )


def failure(error: Exception) -> UpstreamError:
    """Return what a failure of the client means; its text holds neither URL nor header."""
    found: UpstreamError = UpstreamResetError("the model API broke off its answer")
    match error:
        case TimeoutError():
            found = UpstreamTimeoutError("the model API took too long")
        case ClientConnectorDNSError():
            found = UpstreamUnreachableError("the model API's name is not known")
        case ClientConnectorCertificateError() | ClientSSLError():
            found = UpstreamUnreachableError("the model API could not be trusted (TLS)")
        case ClientConnectorError():
            found = UpstreamUnreachableError("the model API took no connection")
        case ClientResponseError() | HttpProcessingError():
            found = UpstreamGarbageError("the model API did not answer in HTTP")
    return found
