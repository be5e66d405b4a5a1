"""The results of `weir replay`: printed, written, and as an exit code."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from proxy.cli.options import BAD, FOUND
from proxy.journal.sentences import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.evaluation.measuring import Measures
    from proxy.policy.loader import Loaded
    from proxy.replay.bounds import Most
    from proxy.replay.report import Report
    from proxy.replay.run import Replay
    from proxy.traffic.reading import Tally

INTERRUPTED = 130
MOST_TOLD = 20  # complaints on a terminal; JSON and report have a hundred


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a replay shall give: the flags that are about its results."""

    json: str | None
    report: Path | None
    records: Path | None
    most_new: Most | None
    fail_on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sets:
    """The policies that are tried, and those that they are compared with; and where both are."""

    policies: Path
    rules: Loaded
    against: Path | None
    before: Loaded | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A replay that is over: what was played, what was measured, what the reading met.

    traffic: as it was named
    unwritten: why not all records could be written
    """

    played: Replay
    measures: Measures
    tally: Tally
    sets: Sets
    traffic: tuple[Path, ...]
    unwritten: OSError | None = None


def tell(found: Outcome, wanted: Wanted) -> int:
    """Write and print the results; return the exit code."""
    from proxy.replay.bounds import broken  # noqa: PLC0415 - commands load what they need

    played, tally = found.played, found.tally
    if played.interrupted:
        click.echo(
            "interrupted: these are the results so far (Ctrl-C again leaves without them)", err=True
        )
    breaches = broken(played.summary, played.difference, wanted.most_new, wanted.fail_on)
    for complaint in tally.complaints[:MOST_TOLD]:
        click.echo(printable(str(complaint)), err=True)
    for line in _left_out(tally):
        click.echo(line, err=True)
    # Files first: whoever reads standard output may leave early.
    unwritten = list(_unwritten(found, wanted, breaches))
    if wanted.json == "-":
        click.echo(_json(found, breaches), nl=False)
    else:
        for line in lines(found):
            click.echo(printable(line))
    for why in unwritten:
        click.echo(f"weir: {why}", err=True)
    for breach in breaches:
        click.echo(f"BROKEN: {breach}", err=True)
    return _code(found, wanted, failed=bool(unwritten), broken=bool(breaches))


def _code(found: Outcome, wanted: Wanted, *, failed: bool, broken: bool) -> int:
    """Return the exit code, and say what it is for where nothing else does."""
    if found.played.interrupted:
        return INTERRUPTED
    tally = found.tally
    if not tally.read:
        click.echo("nothing could be read: there is no request in this traffic", err=True)
        return BAD
    bounded = wanted.most_new is not None or bool(wanted.fail_on)
    if bounded and tally.unreadable + tally.late > tally.read:
        click.echo("more was left out than played: the bounds say nothing", err=True)
        return BAD
    if failed:
        return BAD
    return FOUND if broken else 0


def lines(found: Outcome) -> Iterator[str]:
    """Yield the results for people."""
    from proxy.replay.telling import difference_lines, summary_lines  # noqa: PLC0415

    yield from summary_lines(found.played.summary)
    if found.played.difference is not None:
        yield ""
        yield from difference_lines(found.played.difference, str(found.sets.against))
    if found.measures.labelled:
        yield ""
        yield from found.measures.results().lines()


def results(found: Outcome, breaches: Sequence[str]) -> dict[str, object]:
    """Return all results as plain values."""
    from proxy.replay.results import difference_dict, summary_dict  # noqa: PLC0415

    played, sets, tally = found.played, found.sets, found.tally
    plain: dict[str, object] = {
        "v": 1,
        "traffic": {
            "files": [printable(str(path)) for path in found.traffic],
            "read": tally.read,
            "unreadable": tally.unreadable,
            "late": tally.late,
            "complaints": [str(each) for each in tally.complaints],
        },
        "interrupted": played.interrupted,
        "policies": {
            "directory": printable(str(sets.policies)),
            "digest": sets.rules.policies.digest,
        },
        **summary_dict(played.summary),
        "broken": list(breaches),
    }
    if found.measures.labelled:
        plain["metrics"] = found.measures.results().as_dict()
    if played.difference is not None and sets.before is not None:
        plain["against"] = {
            "policies": {
                "directory": printable(str(sets.against)),
                "digest": sets.before.policies.digest,
            },
            **summary_dict(played.summary_before),
            "difference": difference_dict(played.difference),
        }
    return plain


def report(found: Outcome, wanted: Wanted, breaches: Sequence[str]) -> Report:
    """Return what the page is made from."""
    from proxy.evaluation.tables import result_tables  # noqa: PLC0415
    from proxy.replay.report import Against, Report, Rules, Table  # noqa: PLC0415

    played, sets = found.played, found.sets
    against = None
    if played.difference is not None and sets.before is not None:
        before = Rules(str(sets.against), sets.before.policies)
        against = Against(before, played.summary_before, played.difference)
    tables = list(result_tables(found.measures.results())) if found.measures.labelled else []
    bounds = [f"--fail-on {name}" for name in wanted.fail_on]
    if wanted.most_new is not None:
        bounds.insert(0, f"--max-new-refusals {wanted.most_new}")
    return Report(
        summary=played.summary,
        rules=Rules(str(sets.policies), sets.rules.policies),
        files=tuple(str(path) for path in found.traffic),
        tally=found.tally,
        against=against,
        tables=tuple(Table(each.title, each.head, each.rows, each.note) for each in tables),
        bounds=tuple(bounds),
        broken=tuple(breaches),
        interrupted=played.interrupted,
    )


def _unwritten(found: Outcome, wanted: Wanted, breaches: Sequence[str]) -> Iterator[str]:
    """Write the files that are wanted; yield why one of them could not be."""
    if found.unwritten is not None:
        yield f"{wanted.records} is not whole: {found.unwritten.strerror}"
    if wanted.json not in {None, "-"}:
        yield from _placed(Path(str(wanted.json)), _json(found, breaches))
    if wanted.report is not None:
        from proxy.replay.report import page  # noqa: PLC0415

        told = page(report(found, wanted, breaches)).encode()
        failed = list(_placed(wanted.report, told))
        yield from failed
        if not failed:
            click.echo(f"report written to {wanted.report}", err=True)


def _placed(path: Path, data: bytes) -> Iterator[str]:
    """Write a file whole or not at all; yield why it could not be."""
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a device, a pipe
            return
        path = path.resolve()
        draft = path.with_name(f".weir-{secrets.token_hex(8)}")
        try:
            with draft.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        yield f"{path} could not be written: {error.strerror}"


def _json(found: Outcome, breaches: Sequence[str]) -> bytes:
    return orjson.dumps(results(found, breaches), option=orjson.OPT_INDENT_2) + b"\n"


def _left_out(tally: Tally) -> Iterator[str]:
    """Yield what of the traffic was not played."""
    left = tally.unreadable + tally.late
    if left:
        told = min(MOST_TOLD, len(tally.complaints))
        more = f"; the first {told} are told above" if told < left else ""
        yield f"left out: {tally.unreadable:,} unreadable, {tally.late:,} out of order{more}"
    if not tally.read:
        yield "nothing could be read: there is no request in this traffic"
