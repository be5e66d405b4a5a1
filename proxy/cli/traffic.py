"""`weir traffic`: looking at traffic, putting it in order, and making it of other things."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from proxy.cli.options import FOUND, HOME, JSON, SETTINGS, home_flag, keyring_of, load
from proxy.cli.progress import bar
from proxy.journal.sentences import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from proxy.traffic.contents import Contents
    from proxy.traffic.reading import Tally
    from proxy.traffic.writing import Writer

MOST_TOLD = 20  # complaints on a terminal; JSON has a hundred
MOST_ROWS = 10
TRAFFIC = click.argument("traffic_", metavar="TRAFFIC…", nargs=-1, required=True, type=Path)
OUT = click.option(
    "--out",
    required=True,
    type=Path,
    help="Where it is written: .jsonl, .jsonl.gz or .jsonl.zst; - for standard output.",
)


@click.group()
def traffic() -> None:
    """Look at traffic, sort and sample it; make it of a journal or of HAR.

    Traffic is JSON lines, a request with its answer each (docs/traffic.md): plain, gzip or zstd.
    A directory means all traffic files in it, - standard input.
    """


@traffic.command("check")
@TRAFFIC
@JSON
def check(traffic_: tuple[Path, ...], *, as_json: bool) -> int:
    """Tell what is in some traffic, and what in it cannot be read.

    \b
    weir traffic check .weir/traffic

    Exit 0: all of it can be used. 1: lines are unreadable, or too far out of order.
    """  # noqa: D301 - \b is click's word for "keep these lines"
    from proxy.traffic.contents import contents  # noqa: PLC0415 - commands load what they need

    files = _files(traffic_)
    with _reading(files) as progress:
        found = contents(files, progress)
    if as_json:
        click.echo(orjson.dumps(found.as_dict()))
    else:
        for line in _told(found):
            click.echo(printable(line))
        _complain(found.tally)
    return FOUND if found.tally.unreadable or found.needs_sorting else 0


@traffic.command("sort")
@TRAFFIC
@OUT
def sort(traffic_: tuple[Path, ...], out: Path) -> int:
    """Put traffic in the order of time, however large it is and whatever its order.

    Unreadable lines are told and left out (exit 1); all others are kept as they are.

    \b
    weir traffic sort exports/ --out week.jsonl.zst
    """  # noqa: D301
    from proxy.traffic.reading import Tally  # noqa: PLC0415
    from proxy.traffic.sorting import sorted_lines  # noqa: PLC0415
    from proxy.traffic.writing import is_device  # noqa: PLC0415

    files, tally = _files(traffic_), Tally()
    near = None if str(out) == "-" or is_device(out) else out.parent
    with (
        tempfile.TemporaryDirectory(dir=near, prefix=f".{out.name}.sort-") as folder,
        _writing(out) as writer,
    ):
        with _reading(files) as progress:
            lines = sorted_lines(files, tally, Path(folder), progress)
            first = next(lines, None)
        if first is not None:
            writer.write_line(first)
        with bar("writing", tally.read) as wrote:
            for line in lines:
                writer.write_line(line)
                wrote(1)
    return _done(out, writer.written, tally)


@traffic.command("sample")
@TRAFFIC
@OUT
@click.option("--accounts", required=True, type=click.IntRange(min=1), help="How many.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one, other accounts.")
def sample(traffic_: tuple[Path, ...], out: Path, accounts: int, seed: int) -> int:
    """Keep all traffic of some accounts, and in order; the same ones each time.

    \b
    weir traffic sample month.jsonl.zst --accounts 200 --out small.jsonl.gz
    """  # noqa: D301
    from proxy.traffic.reading import Tally, entries  # noqa: PLC0415
    from proxy.traffic.sampling import accounts_of, sampled  # noqa: PLC0415

    files, tally = _files(traffic_), Tally()
    if not all(each.is_file() for each in files):
        raise click.UsageError("a sample reads its traffic twice: give files, no pipe")
    with _reading(files) as progress:
        chosen = sampled(accounts_of(files, Tally(), progress), accounts, seed)
    with _writing(out) as writer, _reading(files) as progress:
        for entry in entries(files, tally, progress):
            if entry.account in chosen:
                writer.write(entry)
    return _done(out, writer.written, tally, f" of {len(chosen)} accounts")


@traffic.command("from-journal")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@OUT
def from_journal(directory: str, out: Path) -> int:
    """Turn a journal back into traffic, with fingerprints in place of text.

    What a journal does not hold is in docs/traffic.md. Records that never came to a decision are
    left out and counted.

    \b
    weir traffic from-journal .weir/journal --out week.jsonl.zst
    weir replay week.jsonl.zst --policies edited --against policies
    """  # noqa: D301
    from proxy.journal.reader import files  # noqa: PLC0415
    from proxy.traffic.journalled import Left, journalled  # noqa: PLC0415

    if not files(Path(directory)):
        raise click.UsageError(f"{directory}: holds no journal (decisions-*.jsonl)")
    left = Left()
    with _writing(out) as writer, bar("reading", None) as progress:
        for entry in journalled(Path(directory), left):
            writer.write(entry)
            progress(1)
    if left.undecided:
        click.echo(f"{left.undecided} records never came to a decision: left out", err=True)
    if left.unreadable:
        click.echo(f"{left.unreadable} records or files could not be read: left out", err=True)
    _wrote(out, writer.written)
    return FOUND if left.unreadable else 0


@traffic.command("from-har")
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@OUT
@click.option("--account", default="", help="Who sent all of it (account-1 … by credential).")
def from_har(file: str, out: Path, account: str) -> int:
    """Import the requests of a HAR 1.2 file that go to doors which Weir serves.

    Credentials are never written; without --account each one becomes account-1, account-2 and
    so on.

    \b
    weir traffic from-har session.har --account acme --out session.jsonl
    """  # noqa: D301
    from proxy.traffic.har import from_har as imported  # noqa: PLC0415

    left: Counter[str] = Counter()
    with _writing(out) as writer:
        for entry in imported(Path(file).read_bytes(), left, account):
            writer.write(entry)
    for reason, number in sorted(left.items(), key=lambda each: (-each[1], each[0])):
        click.echo(f"{number} left out: {reason}", err=True)
    _wrote(out, writer.written)
    return 0 if writer.written else FOUND


@traffic.command("keys")
@TRAFFIC
@click.option("--out", required=True, type=Path, help="A new file, readable by its owner only.")
@HOME
@SETTINGS
def keys(traffic_: tuple[Path, ...], out: Path, home: Path | None, file: Path | None) -> int:
    """Issue a key for each key of some traffic, to send it to a gateway.

    The file that is written holds their secrets.

    \b
    weir traffic keys week.jsonl --home .weir --out keys.json
    weir replay week.jsonl --target http://127.0.0.1:8080 --keys keys.json
    """  # noqa: D301
    from proxy.traffic.issuing import issue, owners_of  # noqa: PLC0415
    from proxy.traffic.reading import Tally  # noqa: PLC0415

    files, tally = _files(traffic_), Tally()
    keyring = keyring_of(load(file, home_flag(home)))
    with _reading(files) as progress:
        owners = owners_of(files, tally, progress)
    made = issue(owners, keyring, out)
    if owners.changed:
        click.echo(
            f"{len(owners.changed)} keys change their account or plan: as in their first line",
            err=True,
        )
    click.echo(f"{out}: {made} keys. It holds secrets: delete it when the replay is over", err=True)
    _complain(tally)
    return FOUND if tally.unreadable else 0


def _files(paths: Sequence[Path]) -> list[Path]:
    from proxy.traffic.files import traffic_files  # noqa: PLC0415

    return traffic_files(paths)


@contextmanager
def _reading(files: Sequence[Path]) -> Iterator[Callable[[int], None]]:
    from proxy.traffic.files import size  # noqa: PLC0415

    with bar("reading", size(files) or None) as progress:
        yield progress


@contextmanager
def _writing(out: Path) -> Iterator[Writer]:
    from proxy.traffic.writing import PARTIAL, open_traffic  # noqa: PLC0415

    with open_traffic(None if str(out) == "-" else out) as writer:
        try:
            yield writer
        except KeyboardInterrupt:
            if writer.written and str(out) != "-":
                click.echo(f"interrupted: what is whole is in {out}{PARTIAL}", err=True)
            raise


def _done(out: Path, written: int, tally: Tally, more: str = "") -> int:
    _wrote(out, written, more)
    _complain(tally)
    return FOUND if tally.unreadable or tally.late else 0


def _wrote(out: Path, written: int, more: str = "") -> None:
    click.echo(f"{'standard output' if str(out) == '-' else out}: {written} lines{more}", err=True)


def _complain(tally: Tally) -> None:
    """Tell what could not be used, on stderr."""
    for each in tally.complaints[:MOST_TOLD]:
        click.echo(printable(str(each)), err=True)
    rest = tally.unreadable + tally.late - len(tally.complaints[:MOST_TOLD])
    if rest:
        click.echo(f"and {rest} more", err=True)
    if tally.unreadable:
        click.echo(f"{tally.unreadable} lines could not be read: left out", err=True)
    if tally.late:
        click.echo(f"{tally.late} lines came too late for their order: left out", err=True)


def _told(found: Contents) -> Iterator[str]:
    """Yield what is in some traffic as lines for people."""
    told = found.as_dict()
    yield f"lines      {found.tally.read} read, {found.tally.unreadable} unreadable"
    if not found.tally.read:
        return
    yield f"time       {told['first']} to {told['last']}"
    yield f"accounts   {len(found.accounts)}, with {len(found.keys)} keys"
    if found.operators:
        yield f"operators  {len(found.operators)}; {found.covers} innocent requests of campaigns"
    if found.without_body:
        yield f"bodies     {found.without_body} are not known: facts stand in their place"
    if found.unordered:
        what = "weir traffic sort puts that right" if found.needs_sorting else "read in order"
        yield f"order      {found.unordered} lines up to {found.behind / 1e6:.3f} s late ({what})"
    titles = ["labels", "doors", "models", "answers"]
    for title in [*titles, "effects"] if found.recorded else titles:
        yield from _rows(title, told[title])


def _rows(title: str, names: object) -> Iterator[str]:
    if not isinstance(names, dict):
        return
    for number, (name, count) in enumerate(names.items()):
        if number == MOST_ROWS:
            yield f"{'':10} {len(names) - MOST_ROWS} more"
            return
        yield f"{'' if number else title:10} {count:>9}  {name}"
