"""`weir explain` and `weir doctor`."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from proxy.cli.options import FOUND, HOME, JSON, SETTINGS, home_flag, load


@click.command()
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
    where = directory or load(file, home_flag(home)).journal.directory
    if decision_id is not None:
        decision_id = decision_id.partition(";")[0]  # the header may have been pasted whole
        record = reader.find(where, decision_id)
        if record is None:
            click.echo(f"{decision_id}: not in {where}", err=True)
            return FOUND
        lines = [orjson.dumps(record).decode()] if as_json else telling.explain(record)
    else:
        records = (one for one in reader.records(where) if one.get("account") == account)
        if as_json:
            lines = [orjson.dumps(list(records)).decode()]
        else:
            lines = telling.explain_account(records, account or "")
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
