"""A model API behind `ports.Upstream`, spoken to by a small HTTP/1.1 client of our own.

Nothing is sent twice: what may have been billed is never retried. Only a GET is repeated, once,
when it met a kept connection that closed without a byte of answer; a POST ends there as
UpstreamResetError. A kept connection that is seen to be closed before anything was written is
replaced by another, whatever the method.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Self

from yarl import URL

from proxy.core.errors import (
    RequestError,
    RouteUnknownError,
    UpstreamGarbageError,
    UpstreamResetError,
)
from proxy.upstream.dialing import Dialer
from proxy.upstream.encoding import Inflater
from proxy.upstream.headers import answered, asked
from proxy.upstream.pool import Pool
from proxy.upstream.reading import Reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from types import TracebackType

    from proxy.settings.schema import UpstreamSettings
    from proxy.upstream.connection import Connection

PATHS_REMEMBERED = 64
REDIRECT, CLIENT_ERROR = 300, 400
PREFIX = "/v1"
BODILESS = frozenset({"GET", "HEAD"})
OURS = {"accept-encoding": "identity", "user-agent": "weir"}
IDENTITY = frozenset({"", "identity"})


class HttpUpstream:
    """One model API; fills `ports.Upstream`. To be used in one event loop.

    url:   its base URL where the settings do not have it (the stand-in's)
    first: seconds from a connection to the answer's head
    idle:  seconds that may pass between two pieces of an answer
    """

    def __init__(self, settings: UpstreamSettings, url: str | None = None) -> None:
        """Take what the settings say. OSError for an unreadable CA file."""
        self.name = settings.name
        self._base = URL(url or settings.url)
        self._standin = settings.standin
        self._ours = {**OURS, **settings.headers, **credential(settings)}
        host = self._base.host_port_subcomponent or ""
        fixed = {"host": host, **self._ours}
        self._fixed = "".join(line(name, value) for name, value in fixed.items())
        self._addresses: dict[str, URL] = {}
        self.first = settings.first_byte_timeout / 1_000_000
        self.idle = settings.idle_timeout / 1_000_000
        self.pool = Pool(
            Dialer(self._base.raw_host or "", self._base.port or 0, tls(settings, self._base)),
            settings.max_connections,
            settings.connect_timeout / 1_000_000,
        )

    def __repr__(self) -> str:
        return f"HttpUpstream({self.name!r})"

    def open(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        query: Sequence[tuple[str, str]] = (),
    ) -> Exchange:
        """Send a request with our credential; leaving the context closes what is unread.

        Raises RequestError for what cannot stand in a request.
        """
        url = self.address(path)
        target = (url.extend_query(query) if query else url).raw_path_qs
        if not target.isascii() or not target.isprintable() or not method.isalpha():
            raise RouteUnknownError("no model API has this path")
        head = [f"{method} {target} HTTP/1.1\r\n", self._fixed]
        theirs = asked(headers, standin=self._standin)
        theirs.setdefault("accept", "*/*")
        if body is not None:
            theirs.setdefault("content-type", "application/json")
        head += [line(name, value) for name, value in theirs.items() if name not in self._ours]
        if body is not None or method not in BODILESS:
            head.append(f"content-length: {len(body or b'')}\r\n")
        head.append("\r\n")
        return Exchange(self, method, "".join(head).encode("ascii"), body or b"")

    def address(self, path: str) -> URL:
        """Return where a client's path is upstream. Raises RouteUnknownError for an odd path."""
        found = self._addresses.get(path)
        if found is None:
            found = address(self._base, path)
            if len(self._addresses) < PATHS_REMEMBERED:
                self._addresses[path] = found
        return found

    async def close(self) -> None:
        """Let go of all connections, for good."""
        await self.pool.close()


class Exchange:
    """One request and its answer, as a context; fills `ports.UpstreamAnswer` once entered."""

    __slots__ = ("_body", "_connection", "_head", "_method", "_reading", "_upstream", "headers")

    def __init__(self, upstream: HttpUpstream, method: str, head: bytes, body: bytes) -> None:
        self._upstream = upstream
        self._method = method
        self._head = head
        self._body = body
        self._reading = Reading(method)
        self._connection: Connection | None = None
        self.headers: Mapping[str, str] = {}

    @property
    def status(self) -> int:
        """The HTTP status; 0 before the context is entered."""
        return self._reading.status

    async def __aenter__(self) -> Self:
        again = await self._asked()
        if again:
            self._reading = Reading(self._method)
            await self._asked()
        reading = self._reading
        if not reading.status:
            assert reading.failure is not None
            raise reading.failure
        if REDIRECT <= reading.status < CLIENT_ERROR:
            self._leave()
            raise UpstreamGarbageError(f"the model API answered with status {reading.status}")
        self.headers = answered(reading.fields)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises UpstreamError."""
        encoding = self._reading.fields.get("content-encoding", "").lower()
        pieces = self._pieces()
        return pieces if encoding in IDENTITY else inflated(pieces, encoding)

    async def _pieces(self) -> AsyncIterator[bytes]:
        reading, connection = self._reading, self._connection
        assert connection is not None, "the answer is read inside its context"
        while True:
            if reading.held:
                data = reading.taken()
                if connection.paused:
                    connection.resume(reading)
                if data:
                    yield data
            elif reading.complete:
                return
            elif reading.failure is not None:
                raise reading.failure
            else:
                await connection.news()

    async def _asked(self) -> bool:
        """Ask and wait for the head or a failure; True when it may be asked again."""
        upstream, reading = self._upstream, self._reading
        connection = upstream.pool.ready() or await upstream.pool.take()
        self._connection, kept, heard = connection, connection.asked, False
        try:
            if not connection.ask(reading, self._head, self._body, upstream.first, upstream.idle):
                await connection.send_on(reading, self._body)
            while not reading.status and reading.failure is None:
                await connection.news()
            heard = True
        finally:
            if not heard:
                self._leave()
        return (
            kept
            and not reading.begun
            and self._method in BODILESS
            and isinstance(reading.failure, UpstreamResetError)
        )

    def _leave(self) -> None:
        # A complete answer has given its connection back. Any other is cut off without waiting
        # for its peer, so that the model stops writing for nobody.
        if self._connection is not None:
            self._connection.leave(self._reading)


async def inflated(pieces: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """Undo an encoding; a body of no bytes has none."""
    inflater, came = Inflater(encoding), False
    async for data in pieces:
        came = True
        for piece in inflater.feed(data):
            yield piece
    if came:
        inflater.finish()


def line(name: str, value: str) -> str:
    """Return a header as it is sent. Raises RequestError, which does not repeat it."""
    text = f"{name}: {value}"
    if not text.isascii() or not text.isprintable():
        raise RequestError("a header holds characters that cannot be sent on")
    return text + "\r\n"


def credential(settings: UpstreamSettings) -> dict[str, str]:
    """Return the header that carries our credential, or none."""
    if settings.secret is None:
        return {}
    text = settings.secret.get_secret_value()
    if settings.header == "authorization-bearer":
        return {"authorization": f"Bearer {text}"}
    return {settings.header: text}


def tls(settings: UpstreamSettings, base: URL) -> ssl.SSLContext | None:
    """Return what certificates are verified by. OSError when the CA file cannot be read."""
    if settings.ca_file is None and base.scheme != "https":
        return None
    cafile = None if settings.ca_file is None else str(settings.ca_file)
    context = ssl.create_default_context(cafile=cafile)
    context.set_alpn_protocols(["http/1.1"])
    return context if base.scheme == "https" else None


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
