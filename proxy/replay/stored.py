"""Stored answers in a replay: who made them, in which shape, and what is reserved for their end."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy import engine
from proxy.core.shape import NO_SHAPE, Shape
from proxy.dialects import openai_stored

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.limits.charges import Settlement
    from proxy.replay.played import Played

MOST = 200_000


@dataclass(slots=True)
class Made:
    """A stored answer.

    model:    that made it, '' where this traffic did not
    shape:    that it was given in: whoever reads it later gets no more
    reserved: what was taken for its end, until somebody reads what it took (`engine.reservation`)
    """

    model: str = ""
    shape: Shape = NO_SHAPE
    reserved: bytes = b""


@dataclass(frozen=True, slots=True)
class Release:
    """What was reserved for an answer, to be settled by what its reader was told that it took."""

    reserved: bytes
    reader: Played

    def settlements(self) -> list[Settlement]:
        """Return the corrections, at the reader's prices."""
        plan, usage = self.reader.plan, self.reader.usage
        assert plan is not None
        return engine.settle_reservation(
            self.reserved,
            plan.model,
            usage.reported_prompt or 0,
            usage.reported_output or 0,
            usage.reported_cached or 0,
        )


def reads(facts: RequestFacts) -> bool:
    """Return whether a request is about an answer that was made before."""
    return facts.dialect == openai_stored.NAME


@dataclass(slots=True)
class Stored:
    """The stored answers that some traffic has made, the newest MOST of them."""

    _kept: OrderedDict[str, Made] = field(default_factory=OrderedDict)

    def model(self, identity: str) -> str:
        """Return the model that made an answer, '' where nobody knows."""
        return self._kept.get(identity, NOTHING).model

    def read(self, facts: RequestFacts) -> Made:
        """Return the answer that a request is about, where this traffic made it."""
        if not reads(facts) or not facts.references:
            return NOTHING
        return self._kept.get(facts.references[0], NOTHING)

    def keep(self, played: Played, shape: Shape) -> None:
        """Note what a request has made, if anything."""
        answer, facts = played.entry.answer, played.facts
        if answer is None or not answer.object or facts is None:
            return
        reserved = b""
        if answer.kept and played.plan is not None and played.charged is not None:
            reserved = engine.reservation(played.plan, played.charged)
        self._kept[answer.object] = Made(facts.model, shape, reserved)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)

    def release(self, reader: Played) -> Release | None:
        """Return what is settled now that somebody has read what an answer took; only once."""
        assert reader.facts is not None
        made = self.read(reader.facts)
        if not made.reserved or reader.usage.reported_output is None:
            return None
        reserved, made.reserved = made.reserved, b""
        return Release(reserved, reader)


NOTHING = Made()
