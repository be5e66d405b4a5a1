"""`weir explain` and `weir doctor`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from proxy.cli.options import FOUND, HOME, JSON, SETTINGS, home_flag, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.settings import Settings


@click.command()
@click.argument("decision_id", required=False)
@click.option("--account", help="Tell an account's story instead.")
@click.option("--journal", "directory", type=Path, help="Directory of the journal.")
@click.option("--store", help="Where the counters are, as `weir serve` has it (embedded).")
@click.option("--policies", help="Directory of policy files (policies).")
@HOME
@SETTINGS
@JSON
def explain(
    decision_id: str | None,
    account: str | None,
    directory: Path | None,
    store: str | None,
    policies: str | None,
    home: Path | None,
    file: Path | None,
    *,
    as_json: bool,
) -> int:
    """Tell why a request was decided as it was, as sentences with their numbers.

    \b
    weir explain wd_…              the id is in the answer's x-weir-decision header
    weir explain --account acme    what it was seen doing, since when, what that comes to, which
                                   level it has and why, and what would bring it down

    The story of an account is put together from the journal and from the store; where that does not
    answer, the journal tells what it knows.
    """  # noqa: D301
    if (decision_id is None) == (account is None):
        raise click.UsageError("give a decision id, or --account")
    given = {**home_flag(home), "store": store, "policies": policies}
    if directory is None or account is not None:
        settings = load(file, {name: value for name, value in given.items() if value is not None})
        directory = directory or settings.journal.directory
    if account is not None:
        return _account(settings, directory, account, as_json=as_json)
    assert decision_id is not None
    return _decision(directory, decision_id, as_json=as_json)


def _decision(directory: Path, decision_id: str, *, as_json: bool) -> int:
    from proxy.journal import explain as telling  # noqa: PLC0415 - so that --help is quick
    from proxy.journal import reader  # noqa: PLC0415

    decision_id = decision_id.partition(";")[0]  # the header may have been pasted whole
    record = reader.find(directory, decision_id)
    if record is None:
        click.echo(f"{decision_id}: not in {directory}", err=True)
        return FOUND
    for line in [orjson.dumps(record).decode()] if as_json else telling.explain(record):
        click.echo(line)
    return 0


def _account(settings: Settings, directory: Path, account: str, *, as_json: bool) -> int:
    from proxy.assessment import story  # noqa: PLC0415 - so that --help is quick
    from proxy.core.errors import WeirError  # noqa: PLC0415
    from proxy.journal import explain as telling  # noqa: PLC0415
    from proxy.journal import reader  # noqa: PLC0415
    from proxy.journal.sentences import moment  # noqa: PLC0415

    levels: list[dict[str, Any]] = []

    def decisions() -> Iterator[dict[str, object]]:
        for one in reader.everything(directory):
            if one.get("account") != account:
                continue
            if "kind" in one:
                levels.append(one)
            else:
                yield one

    known, why = None, ""
    try:
        known = asyncio.run(story.known(settings, os.environ, account))
    except WeirError as error:  # what it says is told: the journal has a story of its own
        why = str(error)
    if as_json:
        told: dict[str, object] = {
            "account": account,
            "decisions": list(decisions()),
            "levels": levels,
        }
        told |= {"store": why} if known is None else story.as_dict(known)
        click.echo(orjson.dumps(told))
        return 0
    lines = telling.explain_account(decisions(), account)
    if levels:
        lines.append("What evidence came to, as the journal has it, the newest last:")
        lines += [f"  {moment(one['t'])} {story.change_told(one)}" for one in levels]
    lines += [f"The store does not tell more: {why}."] if known is None else story.told(known)
    for line in lines:
        click.echo(line)
    return 0


@click.command()
@SETTINGS
@HOME
@JSON
def doctor(file: Path | None, home: Path | None, *, as_json: bool) -> int:
    """Look at settings, policies, store, upstreams and files, and name what is wrong."""
    from proxy.doctor import examine  # noqa: PLC0415

    findings = examine(load(file, home_flag(home)))
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
