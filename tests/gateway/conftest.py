"""A whole Weir as a process of its own, in front of a stand-in that tells what reached it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import anthropic
import openai
import pytest
import redis

WEIR = [sys.executable, "-m", "proxy.cli"]
READY_SECONDS = 30
MODELS = """\
models:
  - {model: "standin*", counter: words, max_output_tokens: 4096, reserve_output_tokens: 256,
     prices: {input: 1.0, output: 2.0}}
"""
OPEN = """\
policy: open
limits:
  - {limit: requests, allow: 1_000_000 requests, per: 1m, by: [key]}
  - {limit: tokens, allow: 1_000_000_000 tokens, per: day, by: [account]}
  - {limit: streams, allow: 10_000 concurrent, by: [account]}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(look, seconds: float = 10.0):
    """Return the first true thing that `look` returns; the last one when time is up."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.02)


class Gateway:
    """A running Weir and what can be asked of it."""

    def __init__(self, home: Path, policies: Path, upstream: str, **flags: object) -> None:
        self.home, self.policies, self.upstream = home, policies, upstream
        self.port, self.admin = free_port(), free_port()
        command = [*WEIR, "serve", "--home", home, "--policies", policies]
        command += ["--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin}"]
        command += ["--upstream", upstream]
        for name, value in flags.items():
            command += [f"--{name}", value]
        environ = {**os.environ, "OPENAI_API_KEY": "upstream-secret-3f9a"}
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        assert eventually(
            lambda: self.process.poll() is not None or "listening on" in self.text, READY_SECONDS
        )
        assert self.process.poll() is None, self.text

    def _listen(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(iter(self.process.stdout.readline, ""))

    @property
    def text(self) -> str:
        return "".join(list(self.said))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def weir(self, *words: object) -> str:
        done = subprocess.run(
            [*WEIR, *(str(word) for word in words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def issue(self, account: str = "acme", plan: str = "paid") -> tuple[str, str]:
        """Return a new key's id and secret, once the workers know it: each try may meet another."""
        made = json.loads(self.weir(
            "keys", "issue", "--home", self.home, "--account", account, "--plan", plan, "--json"
        ))  # fmt: skip
        assert eventually(lambda: all(self.models(made["key"]) == 200 for _ in range(12)), 5)
        return made["id"], made["key"]

    def models(self, secret: str) -> int:
        """Return the status that a model list gets, which no limit counts."""
        request = urllib.request.Request(
            f"{self.url}/v1/models", headers={"authorization": f"Bearer {secret}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def client(self, secret: str, **more) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=f"{self.url}/v1", api_key=secret, **{"max_retries": 0, **more}
        )

    def async_client(self, secret: str, **more) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=secret, **{"max_retries": 0, **more}
        )

    def claude(self, secret: str, **more) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.url, api_key=secret, **{"max_retries": 0, **more})

    def used(self, secret: str, limit: str) -> int:
        """Return what a limit has counted for a key, as the next request's record tells."""
        with self.client(secret) as client:
            raw = client.embeddings.with_raw_response.create(model="standin", input="")
        record = self.record(raw.headers["x-weir-decision"].partition(";")[0])
        (entry,) = [one for one in record["limits"] if f"{one['policy']}/{one['limit']}" == limit]
        return entry["amount"] - entry["remaining"] - entry["asked"]

    def eventual_records(self, account: str, count: int) -> list[dict]:
        """Return an account's metered records, once there are so many."""

        def look():
            return [
                one
                for one in self.records(chat=False)
                if one["account"] == account and one["effect"]
            ]

        assert eventually(lambda: len(look()) >= count), len(look())
        return look()

    @contextmanager
    def new_records(self, account: str, count: int = 1):
        """Give a list that holds the account's new records once the context is left."""

        def look():
            return [
                one
                for one in self.records(chat=False)
                if one["account"] == account and one["effect"]
            ]

        before, found = {one["id"] for one in look()}, []
        yield found
        found += self.eventually(
            lambda: (
                new
                if len(new := [one for one in look() if one["id"] not in before]) >= count
                else None
            )
        )

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=10) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def records(self, *, chat: bool = True) -> list[dict]:
        found = []
        for path in sorted((self.home / "journal").glob("*.jsonl")):
            # The last line may be on its way.
            whole = path.read_bytes().rpartition(b"\n")[0]
            found += [json.loads(line) for line in whole.splitlines()]
        found = [one for one in found if "kind" not in one]  # the others are no requests
        return [one for one in found if one["dialect"] == "openai.chat"] if chat else found

    def levels(self, account: str) -> list[dict]:
        """Return what the journal says of levels that evidence has set."""
        found = []
        for path in sorted((self.home / "journal").glob("*.jsonl")):
            whole = path.read_bytes().rpartition(b"\n")[0]
            found += [json.loads(line) for line in whole.splitlines()]
        return [one for one in found if one.get("kind") == "standing" and one["account"] == account]

    def record(self, decision: str) -> dict:
        """Return the record of a decision, named by its id or by the whole header."""
        decision = decision.partition(";")[0]

        def look():
            return [one for one in self.records(chat=False) if one["id"] == decision]

        (found,) = eventually(look)
        return found

    def workers(self) -> list[int]:
        """Return the processes of the workers."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        lines = [(child, Path(f"/proc/{child}/cmdline").read_bytes()) for child in children]
        return [int(child) for child, line in lines if line.rstrip(b"\0").endswith(b"\0worker")]

    def store_pid(self) -> int:
        """Return the process of the embedded store, which must answer."""
        with redis.Redis(unix_socket_path=str(self.home / "store" / "store.sock")) as store:
            return store.info("server")["process_id"]

    def store(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.home / "store" / "store.sock"))

    @contextmanager
    def frozen_store(self):
        """Stop the store for as long as the context lasts."""
        pid = self.store_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @staticmethod
    def eventually(look, seconds: float = 10.0):
        found = eventually(look, seconds)
        assert found
        return found

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(5)
        assert not self._reader.is_alive(), "something that was started outlived its house"
        assert self.process.stdout is not None
        self.process.stdout.close()


class Standin:
    """A stand-in in a process of its own, asked directly."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [*WEIR, "standin", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]

    def stats(self) -> dict:
        with urllib.request.urlopen(f"{self.url}/-/stats", timeout=10) as answer:
            return json.loads(answer.read())

    def reset(self) -> None:
        request = urllib.request.Request(f"{self.url}/-/reset", method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)

    def claude(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.url, api_key="none", max_retries=0)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="session")
def standin():
    running = Standin()
    yield running
    running.stop()


def write(directory: Path, **texts: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "models.yaml").write_text(MODELS)
    for name, text in texts.items():
        (directory / f"{name}.yaml").write_text(text)
    return directory


@pytest.fixture
def start(tmp_path, standin):
    """Return how to start a Weir of this test alone; `with start(free="...") as weir`."""

    @contextmanager
    def started(*, upstream: str = "", flags: dict | None = None, **texts: str):
        policies = write(tmp_path / "policies", **(texts or {"open": OPEN}))
        gateway = Gateway(
            tmp_path / "home", policies, upstream or f"{standin.url}/v1", **(flags or {})
        )
        try:
            yield gateway
        finally:
            gateway.stop()

    return started


@pytest.fixture
def start_gateway(tmp_path, standin):
    """Return how to start one more Weir of this test; all are stopped in the end."""
    running = []

    def started(home: Path, flags: dict, policy: str) -> Gateway:
        policies = write(tmp_path / "policies", everyone=policy)
        running.append(Gateway(home, policies, f"{standin.url}/v1", **flags))
        return running[-1]

    yield started
    for gateway in running:
        gateway.stop()


@pytest.fixture(scope="module")
def fortress(tmp_path_factory, standin):
    """Return how to start a Weir that a module shares, with settings; `with fortress(text)`."""

    @contextmanager
    def started(settings: str, **flags: object):
        place = tmp_path_factory.mktemp("fortress")
        (place / "weir.yaml").write_text(settings)
        gateway = Gateway(
            place / "home", write(place / "policies", open=OPEN), f"{standin.url}/v1",
            settings=place / "weir.yaml", **flags,
        )  # fmt: skip
        try:
            yield gateway
        finally:
            gateway.stop()

    return started


@pytest.fixture(scope="module")
def started_once(tmp_path_factory, standin):
    """Return how to start a Weir that a module shares; `with started_once(free="...")`."""

    @contextmanager
    def started(*, upstream: str = "", flags: dict | None = None, **texts: str):
        place = tmp_path_factory.mktemp("once")
        gateway = Gateway(
            place / "home", write(place / "policies", **texts), upstream or f"{standin.url}/v1",
            **(flags or {}),
        )  # fmt: skip
        try:
            yield gateway
        finally:
            gateway.stop()

    return started


@pytest.fixture(scope="module")
def weir(tmp_path_factory, standin):
    """A Weir with wide limits that the tests of a module share."""
    home = tmp_path_factory.mktemp("weir")
    gateway = Gateway(home / "home", write(home / "policies", open=OPEN), f"{standin.url}/v1")
    yield gateway
    gateway.stop()


@pytest.fixture(scope="module")
def secret(weir):
    return weir.issue()[1]


@pytest.fixture
def loop():
    with asyncio.Runner() as runner:
        yield runner
