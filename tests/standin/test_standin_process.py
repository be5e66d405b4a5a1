import contextlib
import http.client
import json
import signal
import subprocess
import sys
import time

import pytest

PATH = "/v1/chat/completions"
START = "from proxy.standin.server import run; run('127.0.0.1', 0, until_eof={})"


def started(*, until_eof):
    return subprocess.Popen(
        [sys.executable, "-c", START.format(until_eof)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def connected(program):
    line = program.stdout.readline()
    assert line.startswith("listening on http://127.0.0.1:")
    host, port = line.split()[-1].removeprefix("http://").split(":")
    return http.client.HTTPConnection(host, int(port), timeout=5)


def asked(wire, method, path, body=None):
    wire.request(method, path, body)
    return wire.getresponse()


def served(program):
    with contextlib.closing(connected(program)) as wire:
        return json.load(asked(wire, "GET", "/v1/models"))["object"]


def chat(content):
    messages = [{"role": "user", "content": content}]
    return json.dumps({"model": "standin", "stream": True, "messages": messages})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("until_eof", [True, False])
def test_a_signal_stops_it_cleanly(number, until_eof):
    with started(until_eof=until_eof) as program:
        assert served(program) == "list"
        program.send_signal(number)
        assert program.wait(5) == 0
        assert program.stderr.read() == ""


def test_it_ends_with_whoever_started_it():
    with started(until_eof=True) as program:
        assert served(program) == "list"
        program.stdin.close()
        assert program.wait(5) == 0
        assert program.stderr.read() == ""


def test_the_program_resets_and_notices_who_left_as_the_tests_in_process_do():
    """It runs on another event loop than they do."""
    with started(until_eof=True) as program:
        wire = connected(program)
        with contextlib.closing(wire):
            answer = asked(wire, "POST", PATH, chat("[[tokens=9 reset=4]]"))
            with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
                answer.read()
            wire.close()
            asked(wire, "POST", PATH, chat("[[tokens=900 pace=10ms]]")).read1(100)
            wire.close()
            until = time.monotonic() + 5
            while (stats := json.load(asked(wire, "GET", "/-/stats")))["active"]:
                assert time.monotonic() < until
        reset, aborted = stats["recent"]
        assert (reset["ended"], reset["written"]) == ("reset", 4)
        assert aborted["ended"] == "aborted"
        assert aborted["written"] < 100
        program.stdin.close()
        assert program.wait(5) == 0
        assert program.stderr.read() == ""
