"""The yardstick: the smallest honest reverse proxy on aiohttp, without policy, keys or counters."""

from __future__ import annotations

import sys

import aiohttp
import uvloop
from aiohttp import web

HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
SESSION = web.AppKey("session", aiohttp.ClientSession)


def application(upstream: str) -> web.Application:
    """Return an application that copies every request to `upstream` and its answer back."""
    app = web.Application(client_max_size=16 * 1024 * 1024)

    async def sessions(app: web.Application):
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            app[SESSION] = session
            yield

    async def copy(request: web.Request) -> web.StreamResponse:
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in HOP
        }
        async with app[SESSION].request(
            request.method,
            upstream + request.raw_path,
            headers=headers,
            data=await request.read(),
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in HOP:
                    response.headers[name] = value
            if answer.content_length is not None:
                response.content_length = answer.content_length
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    app.cleanup_ctx.append(sessions)
    app.router.add_route("*", "/{tail:.*}", copy)
    return app


def main() -> None:
    """Run: bare_proxy.py PORT UPSTREAM."""
    port, upstream = int(sys.argv[1]), sys.argv[2]
    uvloop.install()
    web.run_app(application(upstream), host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main()
