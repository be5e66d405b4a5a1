"""A whole replay: traffic through one policy set, or through two that are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.replay.difference import Difference, Pairing
from proxy.replay.player import Player
from proxy.replay.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.policy.loader import Loaded
    from proxy.replay.played import Listener
    from proxy.traffic.entry import Entry


@dataclass(slots=True)
class Replay:
    """Plays traffic through `rules` and, where there is a set to compare with, through `before`.

    listeners: who else wants to know what becomes of the requests under `rules`
    interrupted: the traffic was not played to its end
    """

    rules: Loaded
    before: Loaded | None = None
    listeners: Sequence[Listener] = ()
    summary: Summary = field(default_factory=Summary)
    summary_before: Summary = field(default_factory=Summary)
    difference: Difference | None = None
    interrupted: bool = False
    _pair: tuple[Pairing, Pairing] = field(default_factory=lambda: (Pairing(), Pairing()))

    def play(self, entries: Iterable[Entry]) -> None:
        """Play all; when it is interrupted, what was played so far is settled and stays."""
        if self.before is None:
            players = [Player(self.rules, (self.summary, *self.listeners))]
        else:
            players = self._both(self.before)
        try:
            self._feed(players, entries)
        except KeyboardInterrupt:
            self.interrupted = True
        for player in players:
            player.finish()

    def _both(self, before: Loaded) -> list[Player]:
        self.difference = Difference()
        return [
            Player(before, (self.summary_before, self._pair[0])),
            Player(self.rules, (self.summary, *self.listeners, self._pair[1])),
        ]

    def _feed(self, players: list[Player], entries: Iterable[Entry]) -> None:
        if self.difference is None:
            feed = players[0].feed
            for entry in entries:
                feed(entry)
            return
        before, after = players
        was, now = self._pair
        for entry in entries:
            before.feed(entry)
            after.feed(entry)
            assert was.last is not None
            assert now.last is not None
            self.difference.compare(was.last, now.last)
