"""The operator's side of keys: issue, list, rotate, revoke. The secret is shown once."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from proxy.auth.keyfile import KeyFile, key_file, written
from proxy.auth.keys import (
    KeyRecord,
    NewKey,
    State,
    checked,
    hash_key,
    microseconds,
    new_key,
)
from proxy.auth.pepper import fingerprint
from proxy.core.errors import SettingsError
from proxy.core.principal import NO_ATTRIBUTES, Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path


def read_keys(path: Path, pepper: bytes, *, missing_ok: bool) -> dict[str, KeyRecord]:
    """Return the keys of a file by id; none where there is no file, if that may be.

    SettingsError says what is wrong, with lines, and notices hashes under another pepper.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if missing_ok:
            return {}
        raise SettingsError(f"{path}: is gone") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({type(error).__name__})") from None
    file = key_file(text, str(path))
    if file.pepper != fingerprint(pepper):
        raise SettingsError(
            f"{path}: its keys were hashed under another pepper than the one in use"
            f" (fingerprint {file.pepper}, in use {fingerprint(pepper)})"
        )
    return dict(file.records)


class Keyring:
    """The keys of one file, changed under a lock that other processes respect.

    Every mistake is a SettingsError with a sentence. Times and lengths are microseconds.
    """

    def __init__(self, path: Path, pepper: bytes, clock: Callable[[], int] = microseconds) -> None:
        self._path = path
        self._pepper = pepper
        self._clock = clock

    def load(self) -> tuple[KeyRecord, ...]:
        """Return all keys, oldest first."""
        records = read_keys(self._path, self._pepper, missing_ok=True).values()
        return tuple(sorted(records, key=lambda record: (record.created, record.id)))

    def issue(
        self,
        account: str,
        *,
        org: str | None = None,
        plan: str = "",
        verified: bool = False,
        purpose: str = "",
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
        expires_in: int | None = None,
    ) -> NewKey:
        """Make a key for an account; its organisation is the account itself where none is given."""
        key = new_key()
        whose = Principal(
            key=key.id,
            account=account,
            org=account if org is None else org,
            plan=plan,
            verified=verified,
            purpose=purpose,
            attributes=attributes,
        )
        self._add([(key, whose)], expires_in)
        return key

    def issue_all(
        self, principals: Iterable[Principal], *, expires_in: int | None = None
    ) -> list[NewKey]:
        """Make a key for each of many in one change; their own `key` and `expires` do not count."""
        made = [(new_key(), each) for each in principals]
        self._add(made, expires_in)
        return [key for key, _ in made]

    def _add(self, made: Iterable[tuple[NewKey, Principal]], expires_in: int | None) -> None:
        if expires_in is not None and expires_in <= 0:
            raise SettingsError("expires: must be in the future")
        with self._changing() as records:
            now = self._clock()
            for key, whose in made:
                records[key.id] = checked(
                    KeyRecord(
                        id=key.id,
                        hash=hash_key(self._pepper, key.secret),
                        account=whose.account,
                        org=whose.org,
                        plan=whose.plan,
                        verified=whose.verified,
                        purpose=whose.purpose,
                        attributes=MappingProxyType(dict(whose.attributes)),
                        created=now,
                        changed=now,
                        expires=None if expires_in is None else now + expires_in,
                    )
                )

    def rotate(self, id_: str, grace: int) -> NewKey:
        """Make a key for the same principal; the old one works for `grace` microseconds more."""
        if grace < 0:
            raise SettingsError("grace: cannot be negative")
        key = new_key()
        with self._changing() as records:
            now = self._clock()
            old = _held(records, id_)
            match old.state(now):
                case State.REVOKED | State.EXPIRED as state:
                    raise SettingsError(
                        f"{id_}: is {state} and cannot be rotated (issue a new key)"
                    )
                case State.REPLACED:
                    raise SettingsError(f"{id_}: was rotated to {old.replaced_by} already")
                case State.ACTIVE:
                    pass
            changed = max(now, old.changed + 1)
            records[key.id] = replace(
                old,
                id=key.id,
                hash=hash_key(self._pepper, key.secret),
                created=now,
                changed=now,
            )
            records[id_] = replace(
                old, changed=changed, replaced_by=key.id, grace_until=now + grace
            )
        return key

    def revoke(self, id_: str) -> KeyRecord:
        """Take a key back for good, and return its record; again is no mistake."""
        with self._changing() as records:
            old = _held(records, id_)
            if old.revoked_at is None:
                now = self._clock()
                records[id_] = replace(old, changed=max(now, old.changed + 1), revoked_at=now)
            return records[id_]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, KeyRecord]]:
        """Lend the keys under the lock, and write them when the block ends without an error."""
        path = self._path.resolve()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The file itself is replaced at every change, so its neighbour is what is locked.
            with path.with_name(f".{path.name}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                records = read_keys(path, self._pepper, missing_ok=True)
                before = dict(records)
                yield records
                if records != before:
                    replace_file(path, written(KeyFile(fingerprint(self._pepper), records)))
        except OSError as error:
            raise SettingsError(f"{path}: cannot be written ({type(error).__name__})") from None


def replace_file(path: Path, text: str) -> None:
    """Put `text` in the place of a file, at once or not at all, readable by its owner only."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with ExitStack() as undo:
        undo.callback(os.unlink, draft)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)  # noqa: PTH105 - the draft is a text, as mkstemp returns it
        undo.pop_all()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _held(records: Mapping[str, KeyRecord], id_: str) -> KeyRecord:
    if (record := records.get(id_)) is None:
        raise SettingsError("there is no key with this id (weir keys list)")
    return record
