"""Keys for the keys of some traffic, so that it can be sent to a gateway."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import TrafficError
from proxy.core.principal import Principal
from proxy.traffic.reading import loose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from proxy.auth.keyring import Keyring
    from proxy.traffic.reading import Tally

OWNER_ONLY = 0o600


@dataclass(slots=True)
class Owners:
    """Whose the keys of some traffic are.

    by_key:  the principal of each key, in the order in which they came, as its first line says
    changed: keys that a later line gives to another account, or another plan
    """

    by_key: dict[str, Principal] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)


def owners_of(
    files: Iterable[Path], tally: Tally, progress: Callable[[int], None] | None = None
) -> Owners:
    """Return whose the keys of some files are."""
    found = Owners()
    for file in files:
        for _, _, entry in loose(file, tally, progress):
            tally.read += 1
            whose = Principal(
                entry.key, entry.account, entry.org, entry.plan,
                entry.verified, entry.purpose, entry.attributes,
            )  # fmt: skip
            if found.by_key.setdefault(entry.key, whose) != whose:
                found.changed.add(entry.key)
    return found


def issue(owners: Owners, keyring: Keyring, out: Path) -> int:
    """Issue a key for each, write {key of the traffic: secret} to a new file; return how many.

    The file holds secrets and is its owner's alone to read. Raises TrafficError where it is there
    already, SettingsError for names that no key can have, OSError.
    """
    try:
        # First of all: secrets that could not be written would be lost.
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        raise TrafficError(f"{out}: is there already, and may hold secrets of use") from None
    written = False
    try:
        with os.fdopen(descriptor, "wb") as file:
            made = keyring.issue_all(owners.by_key.values())
            secrets = dict(zip(owners.by_key, (key.secret for key in made), strict=True))
            file.write(
                orjson.dumps(secrets, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            )
            file.flush()
            os.fsync(file.fileno())
        written = True
    finally:
        if not written:
            out.unlink(missing_ok=True)
    return len(made)
