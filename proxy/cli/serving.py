"""`weir serve`, `weir standin`, and the worker behind `serve`."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click

from proxy.cli.options import SETTINGS, keyring_of, load

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from proxy.settings import Settings

DAY = 86_400_000_000


@click.command()
@SETTINGS
@click.option("--listen", help="Where developers connect (127.0.0.1:8080).")
@click.option("--admin", help="Where the operator connects (127.0.0.1:9090).")
@click.option("--policies", type=str, help="Directory of policy files (policies).")
@click.option("--keys", type=str, help="Key file (HOME/keys.yaml).")
@click.option("--store", help="embedded | memory | redis:// | rediss:// | redis+sentinel:// | …")
@click.option("--upstream", help="standin, or the base URL of a model API (key: OPENAI_API_KEY).")
@click.option("--workers", type=int, help="Processes that serve (1).")
@click.option("--home", type=str, help="Where all state is (.weir).")
@click.option("--journal", help="files | stdout.")
@click.option("--record", is_flag=True, default=None, help="Record traffic in full (HOME/traffic).")
@click.option("--demo", is_flag=True, help="Issue a demo key and print what to paste.")
def serve(file: Path | None, *, demo: bool, **flags: object) -> None:
    """Serve developers in front of a model API.

    \b
    weir serve --upstream https://api.openai.com/v1 --workers 4
    Ctrl-C drains: running answers end, then all that was started is stopped.
    """  # noqa: D301
    from proxy import runner  # noqa: PLC0415 - commands load what they need, so --help is quick
    from proxy.supervisor import Supervisor  # noqa: PLC0415

    given = {name: value for name, value in flags.items() if value is not None}
    settings = load(file, given)
    runner.configure_log(settings.log.level)
    # Before the workers start, so that the first paste finds it known.
    secret = _demo_key(settings) if demo else ""

    def said(host: str, port: int) -> None:
        click.echo(f"listening on http://{_authority(host, port)}")
        if demo:
            click.echo(_demo(secret, f"http://{_authority(host, port)}"))

    _run(lambda: Supervisor(settings, file, given, said).run())


@click.command(hidden=True)
def worker() -> None:
    """Serve in one slot; started by `weir serve`, told by a line on standard input."""
    from proxy import runner  # noqa: PLC0415

    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            return
        line += piece
    boot = runner.boot_of(line)
    _profiled(lambda: _run(lambda: runner.work(boot, os.environ)), boot.slot)


@click.command()
@click.option("--listen", default="127.0.0.1:8090", show_default=True)
@click.option("--until-eof", is_flag=True, hidden=True)
def standin(listen: str, *, until_eof: bool) -> None:
    """Run the stand-in model: deterministic, free, with knobs for faults.

    \b
    curl http://127.0.0.1:8090/v1/chat/completions -H 'content-type: application/json' \\
      -d '{"model":"standin","messages":[{"role":"user","content":"[[tokens=5]] hello"}]}'
    """  # noqa: D301
    from proxy.settings.values import host_and_port  # noqa: PLC0415
    from proxy.standin.server import run  # noqa: PLC0415

    host, port = host_and_port(listen)
    run(host, port, until_eof=until_eof)


def _demo_key(settings: Settings) -> str:
    """Issue a key that works for a day."""
    return keyring_of(settings).issue("demo", plan="free", expires_in=DAY).secret


def _demo(secret: str, url: str) -> str:
    """Return what to paste."""
    return f"""
A demo key for a day, plan 'free'. Try:

curl {url}/v1/chat/completions -H 'authorization: Bearer {secret}' \
-H 'content-type: application/json' -d '{{"model":"standin","messages":[{{"role":"user",\
"content":"Why is the sky blue?"}}]}}'

or with the official SDK (.venv/bin/python has it):

from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key="{secret}")
answer = client.chat.completions.create(
    model="standin", messages=[{{"role": "user", "content": "Why is the sky blue?"}}])
print(answer.choices[0].message.content)

Then edit policies/free.yaml, or ask why: weir explain <the answer's x-weir-decision header>
"""


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    import uvloop  # noqa: PLC0415

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(work())


def _profiled(work: Callable[[], None], slot: int) -> None:
    """Run; where WEIR_PROFILE names a file, leave a cProfile dump of the worker in it."""
    where = os.environ.get("WEIR_PROFILE")
    if not where:
        work()
        return
    import cProfile  # noqa: PLC0415

    profile = cProfile.Profile()
    try:
        profile.runcall(work)
    finally:
        profile.dump_stats(f"{where}.{slot}" if slot else where)
