"""Decisions of a replay written as the journal would have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import orjson

from proxy.replay.records import record_of

if TYPE_CHECKING:
    from proxy.replay.played import Played


class RecordWriter:
    """Writes the record of each request that came to a decision; fills `Listener`.

    digest: of the policies that are played
    failed: why there are no more records: the disk is full; what else a replay finds is worth more
    """

    def __init__(self, file: BinaryIO, digest: str) -> None:
        self._file = file
        self._digest = digest
        self.failed: OSError | None = None

    def decided(self, played: Played) -> None:
        """Nothing is written before an answer has ended."""

    def settled(self, played: Played) -> None:
        """Write a record."""
        if played.decision is None or self.failed is not None:
            return
        plain = record_of(played, self._digest).to_dict()
        try:
            self._file.write(orjson.dumps(plain) + b"\n")
        except OSError as error:
            self.failed = error

    def close(self) -> None:
        """Write what is held back."""
        try:
            self._file.close()
        except OSError as error:
            self.failed = self.failed or error
