"""A whole replay: traffic through one policy set, or through two that are compared."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.replay.difference import Difference, Pairing
from proxy.replay.player import Player
from proxy.replay.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import FrameType

    from proxy.policy.loader import Loaded
    from proxy.replay.played import Listener
    from proxy.traffic.entry import Entry


class Stop:
    """Keeps a Ctrl-C until a request is counted everywhere: half a count is none.

    counting: a request is being counted; came: somebody wants to stop
    While the traffic is read, which may wait for a pipe, a Ctrl-C is heard at once.
    """

    def __init__(self) -> None:
        self.counting = False
        self.came = False

    def note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as signal calls it
        """Hear a Ctrl-C; raises KeyboardInterrupt where it need not wait."""
        self.came = True
        if not self.counting:
            raise KeyboardInterrupt

    def done(self) -> None:
        """Say that a request is counted; raises KeyboardInterrupt where one has waited."""
        self.counting = False
        if self.came:
            raise KeyboardInterrupt

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Take Ctrl-C until the block has ended, unless somebody else does."""
        before = signal.getsignal(signal.SIGINT)
        if (
            threading.current_thread() is not threading.main_thread()
            or before is not signal.default_int_handler
        ):
            yield
            return
        signal.signal(signal.SIGINT, self.note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


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
        stop = Stop()
        with stop.heard():
            try:
                self._feed(players, entries, stop)
            except KeyboardInterrupt:
                self.interrupted = True
            stop.counting = True  # one more Ctrl-C changes nothing: this takes no time
            for player in players:
                player.finish()

    def _both(self, before: Loaded) -> list[Player]:
        self.difference = Difference()
        return [
            Player(before, (self.summary_before, self._pair[0])),
            Player(self.rules, (self.summary, *self.listeners, self._pair[1])),
        ]

    def _feed(self, players: list[Player], entries: Iterable[Entry], stop: Stop) -> None:
        if self.difference is None:
            feed = players[0].feed
            for entry in entries:
                stop.counting = True
                feed(entry)
                stop.done()
            return
        before, after = players
        was, now = self._pair
        for entry in entries:
            stop.counting = True
            before.feed(entry)
            after.feed(entry)
            assert was.last is not None
            assert now.last is not None
            self.difference.compare(was.last, now.last)
            stop.done()
