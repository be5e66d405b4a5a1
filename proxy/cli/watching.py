"""`weir watch`: assessing accounts in a process of its own."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click
import orjson

from proxy.cli.options import FOUND, HOME, JSON, SETTINGS, home_flag, load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@click.command()
@SETTINGS
@HOME
@click.option("--policies", help="Directory of policy files (policies).")
@click.option("--store", help="Where the counters are, as `weir serve` has it (embedded).")
@click.option("--once", is_flag=True, help="Assess what is due now, then end.")
@JSON
def watch(
    file: Path | None,
    home: Path | None,
    policies: str | None,
    store: str | None,
    *,
    once: bool,
    as_json: bool,
) -> int:
    """Assess what accounts collect, beside gateways that leave that to others.

    \b
    weir watch --store redis://counters:6379/0      with `watch: {assess: false}` in the gateways
    weir watch --once                               assess what is due now; 1 if it raised somebody

    It needs the gateways' store and pepper (the same --home, or WEIR_PEPPER). Any number may run:
    an account that one has claimed is nobody else's, and what one that died had claimed comes back
    after half a minute. Each level that it raises is a line, and a record in its journal.
    """  # noqa: D301
    from proxy import runner  # noqa: PLC0415 - so that --help is quick
    from proxy.assessment import process  # noqa: PLC0415

    flags = {"policies": policies, "store": store, **home_flag(home)}
    settings = load(file, {name: value for name, value in flags.items() if value is not None})
    runner.configure_log(settings.log.level)

    def ready(what: str) -> None:
        click.echo(f"watching {what}", err=as_json)

    def tell(record: Mapping[str, object]) -> None:
        if as_json:
            click.echo(orjson.dumps(record))
        else:
            click.echo(f"{record['account']} is {record['level']}: {record['reason']}")

    raised = asyncio.run(process.watch(settings, os.environ, once=once, ready=ready, tell=tell))
    return FOUND if once and raised else 0
