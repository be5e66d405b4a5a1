"""A request's body while a shape changes it: those members alone, all other bytes as they came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from proxy.core.shape import EFFORTS, Change
from proxy.dialects import splice
from proxy.dialects.base import Forwarded

if TYPE_CHECKING:
    from proxy.core.shape import Shape


class Draft:
    """A body that the dialect has read: a JSON object without repeated keys.

    asked: what it says now
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: dict[str, Any] = orjson.loads(body)
        self._changes: list[Change] = []

    def set(self, name: str, value: object) -> None:
        """Give a member of the top level another value, or add it."""
        self.body = splice.set_member(self.body, name, orjson.dumps(value))
        self.asked[name] = value

    def remove(self, name: str) -> None:
        """Take a member of the top level out."""
        if name in self.asked:
            self.body = splice.remove_member(self.body, name)
            del self.asked[name]

    def note(self, verb: str, what: str, asked: object = "", given: object = "") -> None:
        """Keep a change for the client and the record; each one once."""
        change = Change(verb, what, str(asked), str(given))
        if change not in self._changes:
            self._changes.append(change)

    def forwarded(self) -> Forwarded:
        """Return what goes upstream."""
        return Forwarded(self.body, tuple(self._changes))

    def strip(self, names: tuple[str, ...], what: str) -> None:
        """Take members out that are in use; noted as one thing."""
        for name in names:
            if _in_use(name, self.asked.get(name)):
                self.note("strip", what)
            self.remove(name)

    def clamp(self, name: str, most: int | None, what: str = "") -> None:
        """Lower a whole number that is above `most`; one that is not there is left alone."""
        value = self.asked.get(name)
        if most is None or not isinstance(value, int) or isinstance(value, bool) or value <= most:
            return
        self.set(name, most)
        self.note("clamp", what or name, value, most)

    def cap(self, names: tuple[str, ...], most: int, verb: str, native: int | None = None) -> None:
        """Lower the cap of the output, by each of its names; where there is none, add one.

        names:  of the cap, the one to add first
        verb:   how it is noted
        native: the cap that holds where none is given; None: none
        """
        there = [name for name in names if self.asked.get(name) is not None]
        for name in there:
            value = self.asked[name]
            if isinstance(value, int) and value > most:
                self.set(name, most)
                self.note(verb, "output_tokens", value, most)
        if not there and (native is None or most < native):
            self.set(names[0], most)
            self.note(verb, "output_tokens", "", most)

    def clamp_temperature(self, shape: Shape) -> None:
        """Bring a temperature into the shape's range; one that is not there is left alone."""
        value = self.asked.get("temperature")
        if not isinstance(value, int | float) or isinstance(value, bool):
            return
        given: float = value
        if shape.temperature_max is not None:
            given = min(given, shape.temperature_max)
        if shape.temperature_min is not None:
            given = max(given, shape.temperature_min)
        if given != value:
            self.set("temperature", given)
            self.note("clamp", "temperature", value, given)


def _in_use(name: str, value: object) -> bool:
    if value is None or value is False or value in ({}, []):
        return False
    return value != 0 or name != "top_logprobs"  # a seed of 0 is one


def lower_effort(asked: object, highest: str) -> str | None:
    """Return the effort to ask for instead, None where the asked one may stay.

    An effort that is not known counts as the highest: it may be a new name for more.

    >>> lower_effort("high", "low"), lower_effort("low", "high"), lower_effort("ultra", "low")
    ('low', None, 'low')
    """
    if not highest or not isinstance(asked, str) or not asked:
        return None
    rank = EFFORTS.index(asked) if asked in EFFORTS else len(EFFORTS)
    return highest if rank > EFFORTS.index(highest) else None
