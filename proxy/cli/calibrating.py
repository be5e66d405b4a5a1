"""`weir calibrate`: tables that turn detectors' scores into evidence, made of honest traffic."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import click

from proxy.cli.options import BAD, FOUND
from proxy.cli.source import Source

RESTRICTED = 7.0  # nats, as the sample policies have it


@click.command()
@click.argument("sources", metavar="TRAFFIC|SPEC.yaml…", nargs=-1, required=True, type=Path)
@click.option("--out", type=Path, required=True, metavar="FILE", help="Where the tables go.")
@click.option(
    "--policies",
    type=Path,
    default=Path("policies"),
    show_default=True,
    help="Whose models and half-lives count.",
)
@click.option("--data", type=Path, help="Texts and traces of a SPEC, in place of where it says.")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Of a SPEC, over its own.")
def calibrate(
    sources: tuple[Path, ...], out: Path, policies: Path, data: Path | None, seed: int | None
) -> int:
    """Learn from honest traffic how rare each score of each detector is.

    The traffic is played without limits, each account's highest scores are kept, and the tables
    say how many nats of evidence a score is: as rare as it is among honest accounts of the worst
    archetype. Accounts that are labelled as extraction are left out; where nothing is labelled,
    all of it is taken to be honest. The more accounts, the further the tables reach: a level at
    7 nats needs 1,100 of them.

    \b
    weir calibrate .weir/traffic --out policies/calibration.json
    weir calibrate bench/populations/calibration.yaml --out policies/calibration.json

    A running Weir takes the file up within a second, as any edit of its policies.
    """  # noqa: D301 - \b is click's word for "keep these lines"
    from proxy.policy.loader import load  # noqa: PLC0415 - commands load what they need
    from proxy.replay.calibrating import Scores  # noqa: PLC0415
    from proxy.replay.player import Player  # noqa: PLC0415
    from proxy.replay.watching import Watching  # noqa: PLC0415
    from proxy.watch.calibration import Calibration  # noqa: PLC0415

    rules = load(policies)
    half_lives = rules.policies.half_lives
    free = replace(rules, policies=replace(rules.policies, policies=()))
    source = Source(sources, data, seed)
    if not out.parent.is_dir():
        raise click.UsageError(f"--out {out}: there is no directory {out.parent}")
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    scores = Scores()
    watching = Watching(free.policies, Calibration(), (scores,), half_lives=half_lives)
    Player(free, (), watching).play(source.entries())
    found = scores.calibration()
    if source.tally.unreadable:
        click.echo(f"left out: {source.tally.unreadable:,} unreadable lines", err=True)
    if not found.accounts:
        click.echo("nothing was learnt: there is no account in this traffic", err=True)
        return BAD
    partial = out.with_name(f"{out.name}.partial")
    partial.write_bytes(found.to_bytes())
    partial.replace(out)
    kinds = ", ".join(f"{name or 'unlabelled'} {many:,}" for name, many in found.archetypes.items())
    click.echo(f"{found.accounts:,} honest accounts: {kinds}")
    if scores.left_out:
        click.echo(f"left out: {len(scores.left_out):,} accounts of campaigns")
    click.echo(f"{out}: {found.digest}, at most {found.most:.1f} nats of evidence")
    if found.most < RESTRICTED:
        click.echo(
            f"too few accounts for a level at {RESTRICTED:g} nats: it would never be reached",
            err=True,
        )
        return FOUND
    return 0
