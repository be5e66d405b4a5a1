"""Reading a request's head and body under bounds, before anything is believed."""

from __future__ import annotations

import asyncio
import re
import zlib
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs
from aiohttp.web import RequestPayloadError

from proxy.core.errors import RequestError, RequestTimeoutError, RequestTooLargeError

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

GZIP_WINDOW: Final = 31  # zlib's code for "gzip framing only"
CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
WEBSOCKET: Final = "websocket"
HOST: Final = re.compile(r"[A-Za-z0-9._~%\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


def check_head(request: BaseRequest) -> None:
    """Refuse heads that two parsers could read differently.

    Raises RequestError for an absolute-form target, a missing, repeated or odd Host, a transfer
    coding other than chunked, a character set other than UTF-8, a body on GET, and protocol
    upgrades.
    """
    if not request.raw_path.startswith("/"):
        raise RequestError("The request target must be a path, such as /v1/chat/completions.")
    headers = request.headers
    hosts = headers.getall(hdrs.HOST, [])
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise RequestError("Exactly one well-formed Host header is required.")
    codings = headers.getall(hdrs.TRANSFER_ENCODING, [])
    if codings and [coding.strip().lower() for coding in codings] != ["chunked"]:
        raise RequestError("The only transfer coding served is 'chunked'.")
    charsets = CHARSET.findall(headers.get(hdrs.CONTENT_TYPE, ""))
    if any(charset.lower() not in {"utf-8", "utf8"} for charset in charsets):
        raise RequestError("The only character set served is UTF-8.")
    if headers.get(hdrs.UPGRADE, WEBSOCKET).strip().lower() != WEBSOCKET:
        # That to WebSocket is refused by the routes, with the reason.
        raise RequestError("Protocol upgrades are not served here.")
    if request.method in {"GET", "HEAD"} and (request.body_exists or codings):
        raise RequestError(f"A {request.method} request has no body here.")


async def read_body(request: BaseRequest, limit: int, timeout: float) -> bytes:
    """Return the whole body, decoded from gzip where the client says so.

    limit:   bytes, of the body as sent and as decoded
    timeout: seconds for the whole body
    Raises RequestTooLargeError, RequestTimeoutError, RequestError.
    """
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if coding not in {"identity", "gzip"}:
        raise RequestError("Content-Encoding must be gzip or absent.")
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    content = request.content
    try:
        if content.is_eof():
            body = content.read_nowait(-1)
            if len(body) > limit:
                raise _too_large(limit)
        else:
            async with asyncio.timeout(timeout):
                if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
                    await _continue(request)
                body = await _collect(request, limit)
    except TimeoutError:
        raise RequestTimeoutError(f"The body did not arrive within {timeout:g} s.") from None
    except RequestPayloadError:
        raise RequestError("The body's framing is broken.") from None
    return _inflate(body, limit) if coding == "gzip" else body


async def _continue(request: BaseRequest) -> None:
    """Ask for the body of a client that waits to be asked; not counted as part of the answer."""
    writer = request.writer
    await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    writer.output_size = 0


async def _collect(request: BaseRequest, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await request.content.readany():
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
    return b"".join(pieces)


def _inflate(body: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(GZIP_WINDOW)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise RequestError("The body is not valid gzip.") from None
    if len(plain) > limit:
        raise _too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise RequestError("The gzip body is cut short or has something behind it.")
    return plain


def _too_large(limit: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"The body may have at most {limit:,} bytes.")
