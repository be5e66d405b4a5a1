"""The command `weir`: thin doors to the rooms. Exit 0 good, 1 found something, 2 bad input."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from proxy.core.errors import PolicyError, SettingsError
from proxy.core.quantities import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from proxy.auth.keyring import Keyring
    from proxy.auth.keys import KeyRecord
    from proxy.settings import Settings

FOUND, BAD = 1, 2
HOUR = 3_600_000_000
HOME = click.option("--home", type=Path, default=None, help="Where all state is (.weir).")
SETTINGS = click.option(
    "--settings", "file", type=Path, default=None, help="Settings file (./weir.yaml if present)."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Duration(click.ParamType[int]):
    """A length of time such as 30s, 24h or 30d; microseconds once read."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return microseconds."""
        if isinstance(value, int):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="weir")
def cli() -> None:
    """Weir: a gateway that stops model extraction.

    \b
    weir serve                       serve on 127.0.0.1:8080 with a local store and a stand-in model
    weir keys issue --account acme   make a developer's key
    weir check                       read the policy files and tell every mistake
    weir explain wd_…                why a request was decided as it was
    """  # noqa: D301 - \b is click's word for "keep these lines"


def main() -> None:
    """Run the command; known errors are sentences on stderr and exit code 2."""
    try:
        code = cli(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except (SettingsError, PolicyError) as error:
        click.echo(str(error), err=True)
        sys.exit(BAD)
    except click.ClickException as error:
        error.show()
        sys.exit(BAD)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)


@cli.command()
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
    settings = _load(file, given)
    runner.configure_log(settings.log.level)
    # Before the workers start, so that the first paste finds it known.
    secret = _demo_key(settings) if demo else ""

    def said(host: str, port: int) -> None:
        click.echo(f"listening on http://{_authority(host, port)}")
        if demo:
            click.echo(_demo(secret, f"http://{_authority(host, port)}"))

    _run(lambda: Supervisor(settings, file, given, said).run())


@cli.command(hidden=True)
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
    runner.configure_log("info")
    _profiled(lambda: _run(lambda: runner.work(boot, os.environ)), boot.slot)


@cli.command()
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


@cli.command()
@click.argument("paths", nargs=-1, type=Path)
@JSON
def check(paths: tuple[Path, ...], *, as_json: bool) -> int:
    """Read policy files and tell every mistake as file:line:col: path: sentence."""
    from proxy.policy.loader import check as check_paths  # noqa: PLC0415

    mistakes = check_paths(paths or (Path("policies"),))
    if as_json:
        click.echo(orjson.dumps([str(mistake) for mistake in mistakes]))
    else:
        for mistake in mistakes:
            click.echo(str(mistake), err=True)
        if not mistakes:
            click.echo("no mistakes")
    return BAD if mistakes else 0


@cli.command("test")
@click.argument("paths", nargs=-1, type=Path)
@JSON
def test_(paths: tuple[Path, ...], *, as_json: bool) -> int:
    """Run the policies' cases (policies/tests/*.yaml) in memory on a virtual clock."""
    from proxy.replay.cases import run_cases  # noqa: PLC0415

    reports = [run_cases(path) for path in paths or (Path("policies"),)]
    if as_json:
        click.echo(orjson.dumps([report.as_dict() for report in reports]))
    else:
        for report in reports:
            for line in report.lines():
                click.echo(line)
    return 0 if all(report.passed for report in reports) else FOUND


@cli.command()
@click.argument("what", type=click.Choice(["policy", "models", "cases"]), default="policy")
def schema(what: str) -> None:
    """Print the JSON Schema of policy files, of the models file or of cases, for editors."""
    from proxy.policy.schema import models_schema, policy_schema  # noqa: PLC0415
    from proxy.replay.cases import case_schema  # noqa: PLC0415

    made = {"policy": policy_schema, "models": models_schema, "cases": case_schema}[what]()
    click.echo(orjson.dumps(made, option=orjson.OPT_INDENT_2))


@cli.group()
def keys() -> None:
    """Issue, list, rotate and revoke developers' keys. A secret is printed once."""


@keys.command("issue")
@click.option("--account", required=True)
@click.option("--org", help="The account's organisation (the account itself).")
@click.option("--plan", default="", help="Name that policies match on.")
@click.option("--verified", is_flag=True)
@click.option("--purpose", default="")
@click.option("--attr", multiple=True, help="name=value; may be given more than once.")
@click.option("--expires", type=Duration(), help="Such as 30d (never).")
@HOME
@SETTINGS
@JSON
def issue(
    account: str,
    org: str | None,
    plan: str,
    purpose: str,
    attr: tuple[str, ...],
    expires: int | None,
    home: Path | None,
    file: Path | None,
    *,
    verified: bool,
    as_json: bool,
) -> None:
    """Make a key.

    \b
    weir keys issue --account acme --plan free --json
    """  # noqa: D301
    attributes = {}
    for pair in attr:
        name, mark, value = pair.partition("=")
        if not mark:
            raise click.BadParameter(f"{pair!r} is not name=value", param_hint="--attr")
        attributes[name] = value
    made = _keyring(file, home).issue(
        account,
        org=org,
        plan=plan,
        verified=verified,
        purpose=purpose,
        attributes=attributes,
        expires_in=expires,
    )
    _once(made.id, made.secret, as_json=as_json)


@keys.command("list")
@HOME
@SETTINGS
@JSON
def list_(home: Path | None, file: Path | None, *, as_json: bool) -> None:
    """List all keys, oldest first; never their secrets."""
    from proxy.auth.keys import microseconds  # noqa: PLC0415

    now = microseconds()
    records = _keyring(file, home).load()
    if as_json:
        click.echo(orjson.dumps([_shown(record, now) for record in records]))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("id", "state", "account", "org", "plan", "verified", "ends in")
    for record in records:
        shown = _shown(record, now)
        table.add_row(*(str(value) for value in list(shown.values())[:7]))
    Console().print(table)


@keys.command("rotate")
@click.argument("id_", metavar="ID")
@click.option("--grace", type=Duration(), default="24h", show_default=True)
@HOME
@SETTINGS
@JSON
def rotate(id_: str, grace: int, home: Path | None, file: Path | None, *, as_json: bool) -> None:
    """Make a new key for the same principal; the old one works until the grace has passed."""
    made = _keyring(file, home).rotate(id_, grace)
    if not as_json:
        click.echo(f"{id_} works for {format_duration(grace)} more", err=True)
    _once(made.id, made.secret, as_json=as_json)


@keys.command("revoke")
@click.argument("id_", metavar="ID")
@HOME
@SETTINGS
def revoke(id_: str, home: Path | None, file: Path | None) -> None:
    """Take a key back at once; all workers know within two seconds."""
    _keyring(file, home).revoke(id_)
    click.echo(f"{id_} is revoked")


@cli.command()
@click.argument("decision_id", required=False)
@click.option("--account", help="Tell of an account's last decisions instead.")
@click.option("--journal", "directory", type=Path, help="Directory of the journal.")
@HOME
@SETTINGS
@JSON
def explain(
    decision_id: str | None,
    account: str | None,
    directory: Path | None,
    home: Path | None,
    file: Path | None,
    *,
    as_json: bool,
) -> int:
    """Tell why a request was decided as it was, as sentences with their numbers.

    \b
    weir explain wd_…    the id is in the answer's x-weir-decision header
    """  # noqa: D301
    from proxy.journal import explain as telling  # noqa: PLC0415
    from proxy.journal import reader  # noqa: PLC0415

    if (decision_id is None) == (account is None):
        raise click.UsageError("give a decision id, or --account")
    where = directory or _load(file, _home_flag(home)).journal.directory
    if decision_id is not None:
        record = reader.find(where, decision_id)
        if record is None:
            click.echo(f"{decision_id}: not in {where}", err=True)
            return FOUND
        lines = [orjson.dumps(record).decode()] if as_json else telling.explain(record)
    else:
        lines = telling.explain_account(reader.records(where), account or "")
    for line in lines:
        click.echo(line)
    return 0


@cli.command()
@SETTINGS
@HOME
@JSON
def doctor(file: Path | None, home: Path | None, *, as_json: bool) -> int:
    """Look at settings, policies, store, upstreams and files, and name what is wrong."""
    from proxy.doctor import examine  # noqa: PLC0415

    findings = examine(_load(file, _home_flag(home)))
    if as_json:
        click.echo(
            orjson.dumps(
                [
                    {"level": each.level, "what": each.what, "advice": each.advice}
                    for each in findings
                ]
            )
        )
    else:
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        for each in findings:
            mark = click.style(f"{each.level:4}", fg=colours[each.level])
            click.echo(f"{mark}  {each.what}" + (f": {each.advice}" if each.advice else ""))
    return FOUND if any(each.level == "fail" for each in findings) else 0


def _load(file: Path | None, flags: dict[str, object]) -> Settings:
    from proxy.settings import load_settings  # noqa: PLC0415

    return load_settings(file, os.environ, flags)


def _home_flag(home: Path | None) -> dict[str, object]:
    return {} if home is None else {"home": str(home)}


def _keyring(file: Path | None, home: Path | None) -> Keyring:
    from proxy.auth.keyring import Keyring  # noqa: PLC0415
    from proxy.auth.pepper import ensure_pepper  # noqa: PLC0415

    settings = _load(file, _home_flag(home))
    pepper = ensure_pepper(settings.home, os.environ, settings.keys)
    return Keyring(settings.keys, pepper)


def _once(id_: str, secret: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps({"id": id_, "key": secret}))
    else:
        click.echo(f"{id_}\n{secret}\nKeep it now: it is not shown again.")


def _shown(record: KeyRecord, now: int) -> dict[str, object]:
    left = None if record.ends is None else max(0, record.ends - now)
    return {
        "id": record.id,
        "state": record.state(now).value,
        "account": record.account,
        "org": record.org,
        "plan": record.plan,
        "verified": record.verified,
        "ends_in": "never" if left is None else format_duration(left // 1_000_000 * 1_000_000),
        "purpose": record.purpose,
        "attributes": dict(record.attributes),
    }


def _demo_key(settings: Settings) -> str:
    """Issue a key that works for a day."""
    from proxy.auth.keyring import Keyring  # noqa: PLC0415
    from proxy.auth.pepper import ensure_pepper  # noqa: PLC0415

    pepper = ensure_pepper(settings.home, os.environ, settings.keys)
    return Keyring(settings.keys, pepper).issue("demo", plan="free", expires_in=24 * HOUR).secret


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


if __name__ == "__main__":
    main()
