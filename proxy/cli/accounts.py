"""`weir accounts`: the standing of accounts, set and read by hand."""

from __future__ import annotations

import asyncio
import getpass
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import click
import orjson

from proxy.cli.options import HOME, JSON, SETTINGS, Duration, home_flag, load
from proxy.core.errors import SettingsError, StoreUnavailableError
from proxy.core.quantities import format_duration
from proxy.core.standing import Level, Standing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from proxy.ports import Standings
    from proxy.settings import Settings

Answer = TypeVar("Answer")

SECOND = 1_000_000
SHORTEST, LONGEST = 60 * SECOND, 400 * 86_400 * SECOND
MOST_REASON, MOST_NAME = 500, 100
STORE = click.option("--store", help="Where the counters are, as `weir serve` has it (embedded).")
REASON = click.option("--reason", required=True, help="Why, for people; shown with the level.")
BY = click.option("--by", help="Who says so (your login name).")
ACCOUNT = click.argument("account")


@dataclass(frozen=True, slots=True)
class Told:
    """What `show` tells of an account."""

    standing: Standing | None
    history: list[Standing]


@click.group()
def accounts() -> None:
    """Show and set the level of suspicion that an account is at.

    \b
    weir accounts set-level restricted --for 72h --reason "400 accounts ask one template" acme
    weir accounts show acme
    weir accounts pardon --reason "they showed us their product" acme

    Levels are clear, watch, guarded, restricted and contained. What each does is said by the
    ladders in the policies; contained refuses.
    """  # noqa: D301


@accounts.command("show")
@ACCOUNT
@HOME
@SETTINGS
@STORE
@JSON
def show(
    account: str, home: Path | None, file: Path | None, store: str | None, *, as_json: bool
) -> None:
    """Tell an account's level, since when, until when, by whom and why, and what was before.

    \b
    weir accounts show acme
    """  # noqa: D301
    _named(account)
    now = _now()

    async def ask(standings: Standings) -> Told:
        return Told(await standings.find(account, now), await standings.history(account))

    told = _asked(_settings(home, file, store), ask)
    if as_json:
        entries = [_entry(entry) for entry in told.history]
        click.echo(orjson.dumps({**_shown(account, told.standing), "history": entries}))
        return
    if told.standing is None:
        click.echo(f"{account} is clear")
    else:
        left = (told.standing.until - now) // SECOND * SECOND
        click.echo(f"{account} is {told.standing.level.value}")
        click.echo(f"  since   {_moment(told.standing.since)}")
        click.echo(f"  until   {_moment(told.standing.until)}, {format_duration(left)} from now")
        click.echo(f"  by      {told.standing.by}")
        click.echo(f"  reason  {told.standing.reason}")
    if told.history:
        click.echo("history, the newest first")
    for entry in told.history:
        level = entry.level.value
        until = "" if entry.level is Level.CLEAR else f" until {_moment(entry.until)}"
        click.echo(f"  {_moment(entry.since)}  {level}{until}, by {entry.by}: {entry.reason}")


@accounts.command("set-level")
@click.argument("level", type=click.Choice([level.value for level in Level]), metavar="LEVEL")
@ACCOUNT
@click.option(
    "--for", "length", type=Duration(), required=True, help="How long: 24h, 7d; from 1m to 400d."
)
@REASON
@BY
@HOME
@SETTINGS
@STORE
@JSON
def set_level(
    level: str,
    account: str,
    length: int,
    reason: str,
    by: str | None,
    home: Path | None,
    file: Path | None,
    store: str | None,
    *,
    as_json: bool,
) -> None:
    """Put an account at a level (watch, guarded, restricted or contained) for a time.

    \b
    weir accounts set-level restricted --for 72h --reason "400 accounts ask one template" acme

    It takes the place of the level before, holds from each worker's next request on, and ends by
    itself.
    """  # noqa: D301
    if level == Level.CLEAR.value:
        raise click.UsageError(
            f"an account is made clear by: weir accounts pardon --reason … {account}"
        )
    _named(account)
    if not SHORTEST <= length <= LONGEST:
        raise click.BadParameter("it must be from 1m to 400d", param_hint="--for")
    now = _now()
    standing = Standing(Level(level), now, now + length, _by(by), _reason(reason))
    _asked(_settings(home, file, store), lambda standings: standings.set(account, standing))
    if as_json:
        click.echo(orjson.dumps(_shown(account, standing)))
    else:
        click.echo(f"{account} is {level} until {_moment(standing.until)}")


@accounts.command("pardon")
@ACCOUNT
@REASON
@BY
@HOME
@SETTINGS
@STORE
@JSON
def pardon(
    account: str,
    reason: str,
    by: str | None,
    home: Path | None,
    file: Path | None,
    store: str | None,
    *,
    as_json: bool,
) -> None:
    """Make an account clear again, from each worker's next request on.

    \b
    weir accounts pardon --reason "they showed us their product" acme
    """  # noqa: D301
    _named(account)
    now, who, why = _now(), _by(by), _reason(reason)
    changed = _asked(
        _settings(home, file, store), lambda standings: standings.pardon(account, now, who, why)
    )
    if as_json:
        click.echo(orjson.dumps({**_shown(account, None), "changed": changed}))
    else:
        click.echo(f"{account} is clear" if changed else f"{account} was clear already")


def _settings(home: Path | None, file: Path | None, store: str | None) -> Settings:
    return load(file, {**home_flag(home), **({} if store is None else {"store": store})})


def _asked(settings: Settings, ask: Callable[[Standings], Awaitable[Answer]]) -> Answer:
    """Return what the standings of a store answer. SettingsError says what to do when none does."""
    from proxy.store.embedded import embedded_url  # noqa: PLC0415 - so that --help is quick
    from proxy.store.open import open_standings  # noqa: PLC0415

    embedded = settings.store.kind == "embedded"
    url = embedded_url(settings.home) if embedded else settings.store.url.get_secret_value()

    async def session() -> Answer:
        standings = open_standings(url, settings.store.environment)
        try:
            return await ask(standings)
        finally:
            await standings.close()

    try:
        return asyncio.run(session())
    except StoreUnavailableError as error:
        if embedded:
            which = f"the embedded store of --home {settings.home} does not answer"
            advice = (
                "it runs while `weir serve` does: start that, or name another --home or --store"
            )
        else:
            which = f"store {settings.store.shown} does not answer"
            advice = "start it, or mend its URL (--store, or WEIR_STORE where it has a password)"
        raise SettingsError(f"{which} ({error}): {advice}") from None


def _named(account: str) -> None:
    from proxy.auth.keys import is_name  # noqa: PLC0415 - so that --help is quick

    if not is_name(account):
        raise click.BadParameter(
            f"{account!r} names no account (1 to 128 of A-Z a-z 0-9 . _ : @ / + | = ~ -)",
            param_hint="ACCOUNT",
        )


def _reason(text: str) -> str:
    return _printable(text.strip(), "--reason", MOST_REASON)


def _by(name: str | None) -> str:
    if name is None:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            raise click.UsageError("this system does not say who you are: give --by") from None
    return _printable(name.strip(), "--by", MOST_NAME)


def _printable(text: str, option: str, most: int) -> str:
    if not 0 < len(text) <= most or not text.isprintable():
        raise click.BadParameter(f"1 to {most} printable characters", param_hint=option)
    return text


def _now() -> int:
    from proxy.store.memory import microseconds  # noqa: PLC0415 - so that --help is quick

    return microseconds()


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _shown(account: str, standing: Standing | None) -> dict[str, object]:
    if standing is None:
        return {"account": account, "level": Level.CLEAR.value}
    return {"account": account, **_entry(standing)}


def _entry(standing: Standing) -> dict[str, object]:
    """Return a standing for programs; moments as RFC 3339, a pardon without an end."""
    ends = standing.level is not Level.CLEAR
    return {
        "level": standing.level.value,
        "since": _stamp(standing.since),
        **({"until": _stamp(standing.until)} if ends else {}),
        "by": standing.by,
        "reason": standing.reason,
    }


def _stamp(at: int) -> str:
    return datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
