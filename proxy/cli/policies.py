"""`weir check`, `weir test`, `weir schema`."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from proxy.cli.options import BAD, FOUND, JSON


@click.command()
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


@click.command("test")
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


@click.command()
@click.argument(
    "what", type=click.Choice(["policy", "models", "cases", "traffic"]), default="policy"
)
def schema(what: str) -> None:
    """Print the JSON Schema of policy files, the models file, cases, or lines of traffic."""
    from proxy.policy.schema import models_schema, policy_schema  # noqa: PLC0415
    from proxy.replay.cases import case_schema  # noqa: PLC0415
    from proxy.traffic.schema import schema as traffic_schema  # noqa: PLC0415

    made = {
        "policy": policy_schema,
        "models": models_schema,
        "cases": case_schema,
        "traffic": traffic_schema,
    }[what]()
    click.echo(orjson.dumps(made, option=orjson.OPT_INDENT_2))
