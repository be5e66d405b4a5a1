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
    """

    def __init__(self, file: BinaryIO, digest: str) -> None:
        self._file = file
        self._digest = digest

    def decided(self, played: Played) -> None:
        """Nothing is written before an answer has ended."""

    def settled(self, played: Played) -> None:
        """Write a record."""
        if played.decision is not None:
            plain = record_of(played, self._digest).to_dict()
            self._file.write(orjson.dumps(plain) + b"\n")
