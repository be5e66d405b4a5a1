"""The operator's port: health, readiness, metrics, reload. Bound to loopback by default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from aiohttp.web import Response, Server, ServerRunner, TCPSite

from proxy import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from aiohttp.web import BaseRequest

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether traffic should be sent here: one sentence for everything that is not well."""

    ready: bool
    checks: dict[str, str]


@dataclass(frozen=True, slots=True)
class Admin:
    """What the operator's port can do.

    ready:   looks at workers, store and policies now
    reload:  asks all workers to read the policies again
    metrics: directory of the workers' metric files
    """

    ready: Callable[[], Awaitable[Readiness]]
    reload: Callable[[], int]
    metrics: Path

    async def handle(self, request: BaseRequest) -> Response:
        """Answer one request of the operator."""
        match request.method, request.path:
            case "GET" | "HEAD", "/livez":
                return _json(200, {"alive": True})
            case "GET" | "HEAD", "/readyz":
                found = await self.ready()
                body = {"ready": found.ready, "checks": found.checks}
                return _json(200 if found.ready else 503, body)
            case "GET" | "HEAD", "/metrics":
                text = metrics.render(self.metrics)
                return Response(body=text, headers={"content-type": metrics.CONTENT_TYPE})
            case "POST", "/-/reload":
                return _json(202, {"workers": self.reload()})
            case _, "/livez" | "/readyz" | "/metrics" | "/-/reload":
                return _json(405, {"error": "GET the state, POST /-/reload"})
            case _:
                return _json(404, {"error": "try /livez, /readyz, /metrics, POST /-/reload"})


async def open_admin(admin: Admin, host: str, port: int) -> ServerRunner:
    """Begin to serve the operator; OSError where the port is taken."""
    server = Server(admin.handle, access_log=None, handler_cancellation=True)
    runner = ServerRunner(server, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await TCPSite(runner, host, port).start()
    return runner


def _json(status: int, body: object) -> Response:
    return Response(status=status, body=orjson.dumps(body), content_type=JSON)
