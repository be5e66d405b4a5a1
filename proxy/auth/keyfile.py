"""The file of keys: hashes only, one key a line, YAML that people can read and edit.

A file as we write it is read quickly, line by line (tens of thousands of keys in a blink); one
that was edited by hand goes through a strict YAML reader, which is slow and knows line numbers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from proxy.auth.keys import KeyRecord, mistakes
from proxy.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ruamel.yaml.error import StringMark

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MOMENTS = ("created", "changed", "expires", "revoked_at", "grace_until")
TEXTS = ("hash", "account", "org", "plan", "purpose", "replaced_by")
FIELDS = (*TEXTS, "verified", "attributes", *MOMENTS)
HEAD = """\
# Weir's keys: their hashes, never the keys themselves. One key a line.
# Take a key back with `weir keys revoke ID`; a line that is deleted may come back from the store.
"""
_LINE = re.compile(r"  (key_[0-9A-Za-z]+): (\{.*\})")
_START = re.compile(
    re.escape(HEAD) + r'version: 1\npepper: "([0-9a-f]{16})"\nkeys:( \{\})?\n(.*)', re.DOTALL
)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What the file says: the fingerprint of the pepper that its hashes are under, and the keys."""

    pepper: str
    records: Mapping[str, KeyRecord]


def written(file: KeyFile) -> str:
    """Return the file's text, keys in the order of their making."""
    records = sorted(file.records.values(), key=lambda record: (record.created, record.id))
    head = f'{HEAD}version: 1\npepper: "{file.pepper}"\n'
    if not records:
        return head + "keys: {}\n"
    return head + "keys:\n" + "".join(f"{_line(record)}\n" for record in records)


def entry(record: KeyRecord) -> dict[str, object]:
    """Return a record as JSON's values, without what is empty; times as ISO 8601 in UTC."""
    values: dict[str, object] = {}
    for name in FIELDS:
        value = getattr(record, name)
        if name in MOMENTS and value is not None:
            value = (EPOCH + value * MICROSECOND).isoformat().replace("+00:00", "Z")
        if name == "attributes":
            value = dict(value)
        if value or name == "account":
            values[name] = value
    return values


def record_of(id_: str, values: Mapping[str, Any]) -> KeyRecord:
    """Return the record that `entry` made these values of; SettingsError lists its mistakes."""
    found = [
        f"{name}: is no field of a key ({', '.join(FIELDS)})" for name in set(values) - {*FIELDS}
    ]
    given: dict[str, Any] = {"hash": "", "account": ""}
    for name in FIELDS:
        if name in values:
            try:
                given[name] = _value(name, values[name])
            except ValueError as mistake:
                found.append(f"{name}: {mistake}")
    if not given.get("org"):
        given["org"] = given["account"]
    record = KeyRecord(id=id_, **given)
    found += mistakes(record)
    if found:
        raise SettingsError("\n".join(found))
    return record


def key_file(text: str, source: str) -> KeyFile:
    """Read the file's text; SettingsError says `source:line: key: what is wrong`, all of it."""
    return _as_written(text) or _as_edited(text, source)


def _line(record: KeyRecord) -> str:
    return f"  {record.id}: {json.dumps(entry(record), ensure_ascii=False)}"


def _value(name: str, value: Any) -> object:
    if name == "attributes":
        if not isinstance(value, dict):
            raise ValueError("must be names with values")
        return MappingProxyType({str(key): text for key, text in value.items()})
    if name == "verified":
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    if not isinstance(value, str):
        raise ValueError("must be a text (in quotes)")  # noqa: TRY004 - one error for all mistakes
    return _moment(value) if name in MOMENTS else str(value)


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = EPOCH.replace(tzinfo=None)
    if moment.tzinfo is None:
        raise ValueError(f'cannot read {text!r} as a time ("2026-01-31T12:00:00Z")')
    return (moment - EPOCH) // MICROSECOND


def _as_written(text: str) -> KeyFile | None:
    """Read what `written` wrote, quickly; None for everything that differs from that."""
    if (start := _START.fullmatch(text)) is None:
        return None
    records: dict[str, KeyRecord] = {}
    for line in start[3].splitlines():
        if (match := _LINE.fullmatch(line)) is None or match[1] in records:
            return None
        try:
            record = record_of(match[1], orjson.loads(match[2]))
        except (ValueError, SettingsError):
            return None
        if _line(record) != line:
            return None
        records[record.id] = record
    return KeyFile(start[1], records) if bool(records) != bool(start[2]) else None


def _as_edited(text: str, source: str) -> KeyFile:
    root = _document(text, source)
    found = [
        f"{source}:{root.lc.key(name)[0] + 1}: {name}: is unknown (version, pepper, keys)"
        for name in root
        if name not in {"version", "pepper", "keys"}
    ]
    if root.get("version") != 1:
        found.append(f"{source}: version: must be 1")
    pepper = root.get("pepper")
    if not isinstance(pepper, str) or not re.fullmatch(r"[0-9a-f]{16}", pepper):
        found.append(f"{source}: pepper: must be the 16 hex digits that Weir wrote (in quotes)")
    keys = root.get("keys")
    if not isinstance(keys, CommentedMap):
        found.append(f"{source}: keys: must be ids with their fields ({{}} for none)")
        keys = CommentedMap()
    records: dict[str, KeyRecord] = {}
    for id_, values in keys.items():
        place = f"{source}:{keys.lc.key(id_)[0] + 1}: {id_}"
        if not isinstance(values, CommentedMap):
            found.append(f"{place}: must be a key's fields ({{hash: …, account: …}})")
            continue
        try:
            records[str(id_)] = record_of(str(id_), values)
        except SettingsError as error:
            found += [f"{place}: {mistake}" for mistake in str(error).splitlines()]
    if found:
        raise SettingsError("\n".join(found))
    return KeyFile(str(pepper), records)


def _document(text: str, source: str) -> CommentedMap:
    try:
        root = YAML(typ="rt", pure=True).load(text)
    except DuplicateKeyError as error:
        raise SettingsError(f"{_place(source, error)}: the same name stands twice") from None
    except MarkedYAMLError as error:
        raise SettingsError(f"{_place(source, error)}: is no YAML ({error.problem})") from None
    except (YAMLError, ValueError, RecursionError):
        raise SettingsError(f"{source}: is no YAML") from None
    if not isinstance(root, CommentedMap):
        raise SettingsError(f"{source}: must begin with version, pepper and keys")
    return root


def _place(source: str, error: MarkedYAMLError) -> str:
    mark: StringMark | None = error.problem_mark
    return source if mark is None else f"{source}:{mark.line + 1}"
