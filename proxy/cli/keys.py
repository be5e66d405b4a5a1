"""`weir keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import orjson

from proxy.cli.options import HOME, JSON, SETTINGS, Duration, home_flag, keyring_of, load
from proxy.core.quantities import format_duration

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.auth.keys import KeyRecord


@click.group()
def keys() -> None:
    """Issue, list, rotate and revoke developers' keys. A secret is printed once."""


@keys.command("issue")
@click.option("--account", required=True)
@click.option("--org", help="The account's organisation (the account itself).")
@click.option("--plan", default="", help="Name that policies match on.")
@click.option("--verified", is_flag=True)
@click.option("--purpose", default="")
@click.option("--attr", multiple=True, help="name=value; may be given more than once.")
@click.option("--expires", type=Duration(), help="Such as 30d (never).")
@HOME
@SETTINGS
@JSON
def issue(
    account: str,
    org: str | None,
    plan: str,
    purpose: str,
    attr: tuple[str, ...],
    expires: int | None,
    home: Path | None,
    file: Path | None,
    *,
    verified: bool,
    as_json: bool,
) -> None:
    """Make a key.

    \b
    weir keys issue --account acme --plan free --json
    """  # noqa: D301
    attributes = {}
    for pair in attr:
        name, mark, value = pair.partition("=")
        if not mark:
            raise click.BadParameter(f"{pair!r} is not name=value", param_hint="--attr")
        attributes[name] = value
    made = keyring_of(load(file, home_flag(home))).issue(
        account,
        org=org,
        plan=plan,
        verified=verified,
        purpose=purpose,
        attributes=attributes,
        expires_in=expires,
    )
    _once(made.id, made.secret, as_json=as_json)


@keys.command("list")
@HOME
@SETTINGS
@JSON
def list_(home: Path | None, file: Path | None, *, as_json: bool) -> None:
    """List all keys, oldest first; never their secrets."""
    from proxy.auth.keys import microseconds  # noqa: PLC0415

    now = microseconds()
    records = keyring_of(load(file, home_flag(home))).load()
    if as_json:
        click.echo(orjson.dumps([_shown(record, now) for record in records]))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("id", "state", "account", "org", "plan", "verified", "ends in")
    for record in records:
        shown = _shown(record, now)
        table.add_row(*(str(value) for value in list(shown.values())[:7]))
    Console().print(table)


@keys.command("rotate")
@click.argument("id_", metavar="ID")
@click.option("--grace", type=Duration(), default="24h", show_default=True)
@HOME
@SETTINGS
@JSON
def rotate(id_: str, grace: int, home: Path | None, file: Path | None, *, as_json: bool) -> None:
    """Make a new key for the same principal; the old one works until the grace has passed."""
    made = keyring_of(load(file, home_flag(home))).rotate(id_, grace)
    if not as_json:
        click.echo(f"{id_} works for {format_duration(grace)} more", err=True)
    _once(made.id, made.secret, as_json=as_json)


@keys.command("revoke")
@click.argument("id_", metavar="ID")
@HOME
@SETTINGS
def revoke(id_: str, home: Path | None, file: Path | None) -> None:
    """Take a key back at once; all workers know within two seconds."""
    keyring_of(load(file, home_flag(home))).revoke(id_)
    click.echo(f"{id_} is revoked")


def _once(id_: str, secret: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps({"id": id_, "key": secret}))
    else:
        click.echo(f"{id_}\n{secret}\nKeep it now: it is not shown again.")


def _shown(record: KeyRecord, now: int) -> dict[str, object]:
    left = None if record.ends is None else max(0, record.ends - now)
    return {
        "id": record.id,
        "state": record.state(now).value,
        "account": record.account,
        "org": record.org,
        "plan": record.plan,
        "verified": record.verified,
        "ends_in": "never" if left is None else format_duration(left // 1_000_000 * 1_000_000),
        "purpose": record.purpose,
        "attributes": dict(record.attributes),
    }
