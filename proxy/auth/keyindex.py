"""The gateway's side of keys: from a secret to its principal, and news within a second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.auth.keyring import read_keys
from proxy.auth.keys import KeyRecord, hash_key, merged
from proxy.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from proxy.core.errors import WeirError
    from proxy.core.principal import Principal

POLL = 0.5


@dataclass(frozen=True, slots=True)
class Held:
    """A key as the path needs it. ends: microseconds since the epoch, None for never."""

    principal: Principal
    ends: int | None
    revoked: bool


class KeyIndex:
    """All keys of the file and of the mirror by hash; the last good ones while either is bad.

    `generation` grows with every reading of the file, so that a mirror knows when to push.
    """

    def __init__(self, path: Path, pepper: bytes, on_error: Callable[[WeirError], None]) -> None:
        self._path = path
        self._pepper = pepper
        self._on_error = on_error
        self._seen: tuple[int, ...] | None = None
        self._file: Mapping[str, KeyRecord] = {}
        self._mirror: Mapping[str, KeyRecord] = {}
        self._held: Mapping[str, Held] = {}
        self.generation = 0

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"KeyIndex({len(self)} keys)"

    def find(self, secret: str) -> Held | None:
        """Return what is held of a key, None for a stranger's."""
        return self._held.get(hash_key(self._pepper, secret))

    def records(self) -> tuple[KeyRecord, ...]:
        """Return all that is known of keys, from the file and from the store."""
        return tuple(self._together().values())

    def load(self) -> None:
        """Read the file now, for a start; SettingsError when it is bad."""
        self._seen = self._stamp()
        self._take(read_keys(self._path, self._pepper, missing_ok=True))

    def mirror(self, records: Iterable[KeyRecord]) -> None:
        """Add what the store says; what it does not know (any more) is kept."""
        told = {record.id: record for record in records}
        self._mirror = {
            id_: merged(told[id_], old) if id_ in told else old for id_, old in self._mirror.items()
        } | {id_: record for id_, record in told.items() if id_ not in self._mirror}
        self._build()

    async def watch(self, every: float = POLL) -> None:
        """Read the file again whenever it changes, looking every `every` seconds; never ends."""
        while True:
            await asyncio.sleep(every)
            await self.refresh()

    async def refresh(self) -> None:
        """Read the file again if it changed; a bad one is reported once and changes nothing."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            # A large file takes a while, and the requests of that while should not wait.
            records = await asyncio.to_thread(read_keys, self._path, self._pepper, missing_ok=False)
        except SettingsError as error:
            self._on_error(error)
            return
        self._take(records)

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _take(self, records: Mapping[str, KeyRecord]) -> None:
        self._file = records
        self.generation += 1
        self._build()

    def _together(self) -> dict[str, KeyRecord]:
        together = dict(self._mirror)
        for id_, record in self._file.items():
            together[id_] = merged(record, together[id_]) if id_ in together else record
        return together

    def _build(self) -> None:
        held: dict[str, Held] = {}
        for record in self._together().values():
            revoked = record.revoked_at is not None
            # A line copied under another id must not bring a revoked key back.
            if revoked or record.hash not in held:
                held[record.hash] = Held(record.principal(), record.ends, revoked)
        self._held = held
