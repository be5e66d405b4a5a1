"""`weir population`: labelled traffic, composed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from proxy.cli.options import JSON
from proxy.cli.progress import bar

if TYPE_CHECKING:
    from proxy.population.spec import Spec

MINUTE = 60_000_000


@click.command()
@click.argument("spec", metavar="SPEC.yaml", type=Path)
@click.option("--out", type=Path, help="Where it is written: .jsonl, .jsonl.gz, .jsonl.zst; or -.")
@click.option("--seed", type=click.IntRange(min=0), help="In place of the file's own.")
@click.option("--data", type=Path, help="Directory of texts and traces, in place of the file's.")
@click.option("--describe", is_flag=True, help="Tell what would be made, and make nothing.")
@JSON
def population(
    spec: Path,
    out: Path | None,
    seed: int | None,
    data: Path | None,
    *,
    describe: bool,
    as_json: bool,
) -> int:
    """Compose labelled traffic: honest accounts of many kinds, and campaigns among them.

    The same file and seed make the same bytes. docs/populations.md is the language.

    \b
    weir population bench/populations/small.yaml --out small.jsonl.zst
    weir population bench/populations/medium.yaml --describe
    weir replay small.jsonl.zst --policies policies
    """  # noqa: D301 - \b is click's word for "keep these lines"
    from proxy.population.compose import compose  # noqa: PLC0415 - commands load what they need
    from proxy.population.counting import Counts  # noqa: PLC0415
    from proxy.population.spec import load  # noqa: PLC0415
    from proxy.traffic.writing import open_traffic  # noqa: PLC0415

    if (out is None) != describe:
        raise click.UsageError("give --out FILE, or --describe to see what would be made")
    loaded = load(spec, data)
    if out is None:
        _describe(loaded, as_json=as_json)
        return 0
    piped = str(out) == "-"
    counts = Counts(last=loaded.start)
    minutes = (loaded.end - loaded.start) // MINUTE
    with open_traffic(None if piped else out) as writer, bar("composing", minutes) as progress:
        shown = loaded.start
        for entry in compose(loaded, seed):
            writer.write(entry)
            counts.take(entry)
            if entry.t - shown >= MINUTE:
                passed = (entry.t - shown) // MINUTE
                progress(passed)
                shown += passed * MINUTE
    size = 0 if piped else out.stat().st_size
    if as_json:
        told = counts.as_dict() | ({} if piped else {"bytes": size})
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2), err=piped)
    else:
        for line in counts.lines():
            click.echo(line, err=piped)
        if not piped:
            click.echo(f"{out}: {size:,} bytes")
    return 0


def _describe(loaded: Spec, *, as_json: bool) -> None:
    from proxy.population.counting import promises  # noqa: PLC0415

    found = promises(loaded)
    if as_json:
        rows = [
            {"name": p.name, "kind": p.kind, "accounts": p.accounts, "requests": p.requests}
            for p in found
        ]
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    text = loaded.text
    click.echo(f"{text.population}: {text.days} days from {text.start}, seed {text.seed}")
    if text.about:
        click.echo(text.about)
    click.echo(f"{'':18} {'':34} {'accounts':>9} {'requests, about':>16}")
    for each in found:
        click.echo(f"{each.name:18.18} {each.kind:34.34} {each.accounts:>9,} {each.requests:>16,}")
    click.echo(f"{sum(each.requests for each in found):,} requests, about")
