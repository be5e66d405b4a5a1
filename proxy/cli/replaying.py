"""`weir replay`: policies tried on traffic, before anybody feels them."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from proxy.cli.options import Duration
from proxy.cli.progress import Counted, bar
from proxy.cli.replayed import Outcome, Sets, Wanted, tell
from proxy.cli.sending import Pace, send

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.policy.loader import Loaded
    from proxy.replay.bounds import Most
    from proxy.replay.recordwriting import RecordWriter


OF_TARGET = {
    "speed": "--speed",
    "keys": "--keys",
    "lasting": "--for",
    "most": "--most",
    "concurrency": "--concurrency",
    "forward_ip": "--forward-ip",
}


class Bound(click.ParamType["Most"]):
    """A count, or a share in percent."""

    name = "bound"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Most:
        """Return a bound."""
        from proxy.replay.bounds import most  # noqa: PLC0415 - loaded when needed

        try:
            return most(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("traffic", nargs=-1, required=True, type=Path)
@click.option(
    "--policies", type=Path, default=Path("policies"), show_default=True, help="What is tried."
)
@click.option(
    "--against", type=Path, help="Policies to compare with: those in force, those of main."
)
@click.option("--json", "json_to", metavar="FILE|-", help="Write all results as JSON.")
@click.option(
    "--report", type=Path, metavar="FILE.html", help="Write one page to read in a browser."
)
@click.option(
    "--records", type=Path, metavar="FILE", help="Write each decision as a line of the journal."
)
@click.option(
    "--max-new-refusals",
    "most_new",
    type=Bound(),
    metavar="0.1%|N",
    help="Exit 1 when more requests are refused that --against does not refuse.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="LIMIT",
    help="Exit 1 when this limit limits what --against did not (without --against: anything).",
)
@click.option("--target", metavar="URL", help="Send the traffic as live HTTP to a gateway.")
@click.option("--speed", default="1x", show_default=True, metavar="1x|10x|max", help="Of --target.")
@click.option("--keys", type=Path, help="Of --target: {key of the traffic: secret}, JSON or YAML.")
@click.option(
    "--for", "lasting", type=Duration(), help="Of --target: end after so long (30s, 10m)."
)
@click.option("--most", type=click.IntRange(min=1), help="Of --target: end after so many requests.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    help="Of --target: requests on their way at one time.",
)
@click.option("--forward-ip", is_flag=True, help="Of --target: send x-forwarded-for.")
def replay(
    traffic: tuple[Path, ...],
    policies: Path,
    against: Path | None,
    json_to: str | None,
    report: Path | None,
    records: Path | None,
    most_new: Most | None,
    fail_on: tuple[str, ...],
    target: str | None,
    speed: str,
    keys: Path | None,
    lasting: int | None,
    most: int | None,
    concurrency: int,
    *,
    forward_ip: bool,
) -> int:
    """Play traffic through policies, and tell who would have been limited.

    TRAFFIC is JSON lines, plain, gzip or zstd: a recording (settings: record), what
    `weir traffic` and `weir population` write, or directories of these; - is standard input.
    Nothing is sent anywhere, but with --target.

    \b
    weir replay .weir/traffic --policies policies --report replay.html
    weir replay week.jsonl.zst --policies edited --against policies --max-new-refusals 0.1%
    weir replay week.jsonl.zst --target http://127.0.0.1:8080 --speed 10x --keys keys.json

    Exit 0: good. 1: a bound is broken. 2: nothing could be read, or a flag is wrong.
    """  # noqa: D301
    from proxy.policy.loader import load  # noqa: PLC0415 - commands load what they need

    for path in traffic:
        if not path.exists() and (target is not None or str(path) != "-"):
            raise click.UsageError(f"there is no traffic at {path}")
    rules = load(policies)
    if target is not None:
        for flag, given in (
            ("--against", against), ("--report", report), ("--records", records),
            ("--max-new-refusals", most_new), ("--fail-on", fail_on),
        ):  # fmt: skip
            if given:
                raise click.UsageError(f"{flag} is of a replay in memory: leave out --target")
        pace = Pace(target, speed, keys, lasting, most, concurrency, forward_ip=forward_ip)
        return send(traffic, rules, pace, json_to)
    _without_target()
    before = None if against is None else load(against)
    wanted = Wanted(json_to, report, records, most_new, fail_on)
    _sensible(wanted, rules, before)
    _apart(wanted, traffic)
    return _play(traffic, wanted, Sets(policies, rules, against, before))


def _without_target() -> None:
    """Refuse flags that are about sending where nothing is sent."""
    context = click.get_current_context()
    for name, flag in OF_TARGET.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{flag} is about --target URL, which is not there")


def _sensible(wanted: Wanted, rules: Loaded, before: Loaded | None) -> None:
    """Refuse bounds that could not break."""
    from proxy.replay.bounds import unknown  # noqa: PLC0415

    if wanted.most_new is not None and before is None:
        raise click.UsageError("--max-new-refusals compares: name the other policies by --against")
    limits = [
        f"{limit.policy}/{limit.name}"
        for loaded in (rules, before)
        if loaded is not None
        for policy in loaded.policies.policies
        for limit in policy.limits
    ]
    for name in unknown(limits, wanted.fail_on):
        raise click.UsageError(
            f"--fail-on {name}: no limit has this name ({nearest(name, limits)})"
        )


def _apart(wanted: Wanted, traffic: Sequence[Path]) -> None:
    """Refuse to write where nothing can be, over the traffic, or two things in one place."""
    from proxy.traffic.files import traffic_files  # noqa: PLC0415

    taken = {path.resolve(): "the traffic" for path in traffic_files(traffic)}
    json = None if wanted.json in {None, "-"} else Path(str(wanted.json))
    for flag, path in (
        ("--json", json),
        ("--report", wanted.report),
        ("--records", wanted.records),
    ):
        if path is None or (path.exists() and not path.is_file() and not path.is_dir()):
            continue  # a device and a pipe take what they are given
        if path.is_dir():
            raise click.UsageError(f"{flag} {path}: is a directory, a file is wanted")
        if not path.resolve().parent.is_dir():
            raise click.UsageError(f"{flag} {path}: there is no directory {path.parent}")
        if path.resolve() in taken:
            raise click.UsageError(f"{flag} {path}: is {taken[path.resolve()]} too")
        taken[path.resolve()] = flag


def nearest(name: str, limits: Sequence[str]) -> str:
    """Return what might have been meant."""
    from difflib import get_close_matches  # noqa: PLC0415

    own = {each.partition("/")[2] for each in limits}
    found = get_close_matches(name, [*own, *limits], n=1)
    return f"did you mean {found[0]}?" if found else f"there are {', '.join(sorted(own))}"


def _play(traffic: tuple[Path, ...], wanted: Wanted, sets: Sets) -> int:
    from proxy.evaluation.measuring import Measures  # noqa: PLC0415
    from proxy.replay.run import Replay  # noqa: PLC0415
    from proxy.traffic.files import size, traffic_files  # noqa: PLC0415
    from proxy.traffic.reading import Tally, entries  # noqa: PLC0415

    measures, tally = Measures(), Tally()
    files = traffic_files(traffic)  # before records are written, which may be among them
    with _records(wanted.records, sets.rules) as writers:
        played = Replay(sets.rules, sets.before, (measures, *writers))
        settle_down()
        counted = Counted("requests", lambda: tally.read)
        with bar("replaying", size(files) or None, counted) as advance:
            played.play(entries(files, tally, advance))
    unwritten = next((each.failed for each in writers), None)
    return tell(Outcome(played, measures, tally, sets, traffic, unwritten), wanted)


@contextmanager
def _records(path: Path | None, rules: Loaded) -> Iterator[Sequence[RecordWriter]]:
    """Yield who writes each decision to a file, where one is named."""
    if path is None:
        yield ()
        return
    from proxy.replay.recordwriting import RecordWriter  # noqa: PLC0415

    writer = RecordWriter(path.open("wb"), rules.policies.digest)
    try:
        yield (writer,)
    finally:
        writer.close()


def settle_down() -> None:
    """Let the collector of cycles look less often: what a replay makes lives long or dies at once.

    Looking every few hundred objects costs some per cent of the time.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
