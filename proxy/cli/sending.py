"""`weir replay --target`: traffic sent as live HTTP to a gateway."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from proxy.cli.options import FOUND
from proxy.cli.progress import bar

if TYPE_CHECKING:
    from proxy.policy.loader import Loaded

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Pace:
    """The flags that are about sending.

    lasting: microseconds of sending, None for the default
    most:    requests, None for the default
    """

    target: str
    speed: str
    keys: Path | None
    lasting: int | None
    most: int | None
    concurrency: int
    forward_ip: bool


def send(traffic: tuple[Path, ...], rules: Loaded, pace: Pace, json_to: str | None) -> int:
    """Send traffic and tell what came of it; exit 1 where decisions were other than expected."""
    from proxy.replay.live import Options, load_keys, run, speed_of, target_of  # noqa: PLC0415
    from proxy.traffic.reading import Tally, entries  # noqa: PLC0415

    if pace.keys is None:
        raise click.UsageError(
            "--target needs --keys FILE (weir traffic keys TRAFFIC --home .weir --out keys.json)"
        )
    defaults = Options(target_of(pace.target))
    options = Options(
        defaults.target,
        speed_of(pace.speed),
        defaults.lasts if pace.lasting is None else pace.lasting,
        defaults.most if pace.most is None else pace.most,
        pace.concurrency,
        forward_ip=pace.forward_ip,
    )
    tally = Tally()
    with bar("sending", options.most) as advance:
        result = asyncio.run(
            run(options, entries(traffic, tally), load_keys(pace.keys), rules, advance)
        )
    for complaint in tally.complaints[:20]:
        click.echo(str(complaint), err=True)
    plain = orjson.dumps(result.as_dict(), option=orjson.OPT_INDENT_2) + b"\n"
    if json_to == "-":
        click.echo(plain, nl=False)
    else:
        if json_to is not None:
            Path(json_to).write_bytes(plain)
        for line in result.lines():
            click.echo(line)
    if result.interrupted:
        return INTERRUPTED
    return 0 if result.agreed else FOUND
