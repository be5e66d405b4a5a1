"""`weir accounts`: the standing of accounts, set and read by hand."""

from __future__ import annotations

import asyncio
import getpass
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import click
import orjson

from proxy.cli.options import HOME, JSON, SETTINGS, Duration, home_flag, load
from proxy.core.errors import SettingsError, StoreUnavailableError
from proxy.core.quantities import format_duration
from proxy.core.standing import Level, Standing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
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
@click.option("--policies", help="Directory of policy files, for what the evidence comes to.")
@JSON
def show(
    account: str,
    home: Path | None,
    file: Path | None,
    store: str | None,
    policies: str | None,
    *,
    as_json: bool,
) -> None:
    """Tell an account's level, since when, until when, by whom and why, the evidence, and history.

    \b
    weir accounts show acme
    """  # noqa: D301
    from proxy.assessment import story  # noqa: PLC0415 - so that --help is quick

    _named(account)
    now = _now()
    settings = _settings(home, file, store, policies)
    told = _answered(settings, story.known(settings, os.environ, account))
    if as_json:
        entries = [_entry(entry) for entry in told.history]
        shown = {**_shown(account, told.standing), "history": entries}
        click.echo(orjson.dumps({**shown, "evidence": story.evidence_as_dict(told)}))
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
    for line in story.evidence_told(told):
        click.echo(line)
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


@accounts.command("forget")
@ACCOUNT
@REASON
@BY
@HOME
@SETTINGS
@STORE
@JSON
def forget(
    account: str,
    reason: str,
    by: str | None,
    home: Path | None,
    file: Path | None,
    store: str | None,
    *,
    as_json: bool,
) -> None:
    """Purge the profile of an account: all that was noted of what it asked and was given.

    \b
    weir accounts forget --reason "they have left, and asked us to" acme

    Its level stays as it is (weir accounts pardon), and its history notes that it was forgotten.
    What it asks from now on is noted anew.
    """  # noqa: D301
    from proxy.assessment import story  # noqa: PLC0415 - so that --help is quick

    _named(account)
    settings, who, why = _settings(home, file, store), _by(by), _reason(reason)
    changed = _answered(settings, story.forgotten(settings, os.environ, account, who, why))
    if as_json:
        click.echo(orjson.dumps({"account": account, "changed": changed}))
    else:
        click.echo(f"{account} is forgotten" if changed else f"nothing was known of {account}")


def _settings(
    home: Path | None, file: Path | None, store: str | None, policies: str | None = None
) -> Settings:
    given = {**home_flag(home), "store": store, "policies": policies}
    return load(file, {name: value for name, value in given.items() if value is not None})


def _asked(settings: Settings, ask: Callable[[Standings], Awaitable[Answer]]) -> Answer:
    """Return what the standings of a store answer."""
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

    return _answered(settings, session())


def _answered(settings: Settings, asking: Coroutine[None, None, Answer]) -> Answer:
    """Return what a store answers. SettingsError says what to do when it does not."""
    try:
        return asyncio.run(asking)
    except StoreUnavailableError as error:
        if settings.store.kind == "embedded":
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
