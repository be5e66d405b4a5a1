"""A model API of raw sockets that does exactly what a test says."""

import asyncio
import contextlib

import pytest
import uvloop

from proxy.settings.schema import UpstreamSettings
from proxy.upstream.client import HttpUpstream


def pytest_asyncio_loop_factories(config, item):
    """Run every claim on both loops: workers use uvloop, embedders may not."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Wire:
    """Serves each connection by a coroutine function of (wire, reader, writer)."""

    def __init__(self, story):
        self.story = story
        self.requests = []
        self.connections = 0
        self.ended = asyncio.Event()

    async def request(self, reader):
        """Read one request: (first line, headers, body)."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append((head[0], headers, body))
        return self.requests[-1]

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            await self.story(self, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended.set()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def upstream():
    """Return a function that starts a story and gives (upstream, wire)."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            story, *, tls=None, scheme="http", host="localhost", path="/v1", secret=None, **settings
        ):
            wire = Wire(story)
            server = await asyncio.start_server(wire.serve, "127.0.0.1", 0, ssl=tls)
            port = server.sockets[0].getsockname()[1]
            values = {"name": "test", "url": f"{scheme}://{host}:{port}{path}", **settings}
            made = UpstreamSettings.model_validate(values)
            client = HttpUpstream(made.with_secret(secret) if secret else made)
            stack.callback(server.close)
            stack.push_async_callback(client.close)
            return client, wire

        yield start


def answers(raw):
    """Return a story that reads a request, writes some bytes and closes."""

    async def story(wire, reader, writer):
        await wire.request(reader)
        writer.write(raw)
        await writer.drain()

    return story


@pytest.fixture
def answering():
    return answers
