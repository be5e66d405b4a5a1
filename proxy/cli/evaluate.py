"""`weir evaluate`: what policies and baselines are worth on labelled traffic."""

from __future__ import annotations

import gc
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from proxy.cli.options import BAD, Duration
from proxy.cli.source import Source
from proxy.core.quantities import format_duration

if TYPE_CHECKING:
    from proxy.evaluation.evaluating import Evaluation

MOST_TOLD = 20


@click.command()
@click.argument("sources", metavar="TRAFFIC|SPEC.yaml…", nargs=-1, required=True, type=Path)
@click.option(
    "--policies", type=Path, default=Path("policies"), show_default=True, help="What is measured."
)
@click.option(
    "--baselines",
    default="all",
    show_default=True,
    metavar="all|none|NAME,…",
    help="Beside them: requests, distinct, prada, seat, mmd.",
)
@click.option(
    "--controls",
    type=click.IntRange(0, 1000),
    default=20,
    show_default=True,
    help="Repeats of each negative control.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of chance.")
@click.option(
    "--calibrate",
    type=Duration(),
    default="7d",
    show_default=True,
    help="Beginning of the traffic that baselines are calibrated on.",
)
@click.option(
    "--ablation/--no-ablation",
    default=True,
    show_default=True,
    help="Leave out families, detectors and sources of texts, one by one.",
)
@click.option("--data", type=Path, help="Texts and traces of a SPEC, in place of where it says.")
@click.option("--json", "json_to", metavar="FILE|-", help="Write all results as JSON.")
@click.option(
    "--markdown",
    "markdown_to",
    type=Path,
    metavar="FILE",
    help="Write tables, in a document that is there between its markers.",
)
def evaluate(
    sources: tuple[Path, ...],
    policies: Path,
    baselines: str,
    controls: int,
    seed: int,
    calibrate: int,
    data: Path | None,
    json_to: str | None,
    markdown_to: Path | None,
    *,
    ablation: bool,
) -> int:
    """Measure policies on labelled traffic: what thieves get, and what honest accounts feel.

    Traffic is read from files, or composed as a population's SPEC.yaml says, and played through
    the policies. Beside them, published detectors and plain quotas are tried on the same requests,
    and negative controls tell what all of it says of campaigns that are none. Where evidence sets
    levels, its marks are told, and what each part of it is worth.

    \b
    weir evaluate bench/populations/small.yaml
    weir evaluate week.jsonl.zst --policies edited --baselines requests,mmd --json week.json
    weir evaluate bench/populations/medium.yaml --markdown docs/evaluation.md
    """  # noqa: D301 - \b is click's word for "keep these lines"
    from proxy.evaluation.evaluating import Asked  # noqa: PLC0415 - commands load what they need
    from proxy.evaluation.evaluating import evaluate as evaluation_of  # noqa: PLC0415
    from proxy.evaluation.telling import evaluation_lines  # noqa: PLC0415
    from proxy.policy.loader import load  # noqa: PLC0415

    rules = load(policies)
    _writable(markdown_to)
    source = Source(sources, data, seed if _given("seed") else None)
    asked = Asked(
        _families(baselines), controls, seed, calibrate, ablate=ablation,
        sources=source.asked_of() if ablation else {},
    )  # fmt: skip
    # What this makes lives long or dies at once: few looks for cycles are enough, as in a replay.
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    found = evaluation_of(source.entries, rules, asked)
    for complaint in source.tally.complaints[:MOST_TOLD]:
        click.echo(str(complaint), err=True)
    if source.tally.unreadable or source.tally.late:
        click.echo(
            f"left out: {source.tally.unreadable:,} unreadable lines, "
            f"{source.tally.late:,} out of order",
            err=True,
        )
    if json_to is not None:
        _write_json(found, json_to)
    if markdown_to is not None:
        command = _command(sources, policies, baselines, controls, seed, calibrate)
        command += "" if ablation else " --no-ablation"
        _write_markdown(found, markdown_to, command)
    if json_to != "-":
        for line in evaluation_lines(found):
            click.echo(line)
    return BAD if source.tally.unreadable and not source.tally.read else 0


def _families(text: str) -> tuple[str, ...]:
    from proxy.evaluation.calibrating import FAMILIES  # noqa: PLC0415

    if text in {"all", "none"}:
        return FAMILIES if text == "all" else ()
    named = [name.strip() for name in text.split(",")]
    for name in named:
        if name not in FAMILIES:
            raise click.UsageError(
                f"--baselines: there is no {name!r} (all, none, {', '.join(FAMILIES)})"
            )
    return tuple(family for family in FAMILIES if family in named)


def _given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is not click.core.ParameterSource.DEFAULT


def _command(
    sources: tuple[Path, ...],
    policies: Path,
    baselines: str,
    controls: int,
    seed: int,
    calibrate: int,
) -> str:
    """Return the command that makes these results, as short as it can be."""
    words = ["weir", "evaluate", *(str(path) for path in sources)]
    for name, value in (
        ("policies", str(policies)),
        ("baselines", baselines),
        ("controls", str(controls)),
        ("seed", str(seed)),
        ("calibrate", format_duration(calibrate)),
    ):
        if _given(name):
            words += [f"--{name}", value]
    return shlex.join(words)


def _writable(path: Path | None) -> None:
    """Refuse a document whose markers are broken before the work, not after it."""
    from proxy.evaluation.markdown import replaced  # noqa: PLC0415

    if path is None or not path.exists():
        return
    try:
        replaced(path.read_text("utf-8"), "")
    except ValueError as error:
        raise click.UsageError(f"--markdown {path}: {error}") from None


def _write_json(found: Evaluation, to: str) -> None:
    data = orjson.dumps(found.as_dict(), option=orjson.OPT_INDENT_2) + b"\n"
    if to == "-":
        sys.stdout.buffer.write(data)
    else:
        Path(to).write_bytes(data)


def _write_markdown(found: Evaluation, to: Path, command: str) -> None:
    from proxy.evaluation.markdown import markdown, replaced  # noqa: PLC0415

    before = to.read_text("utf-8") if to.exists() else ""
    to.write_text(replaced(before, markdown(found, command)), "utf-8")
