"""What an account has been collecting: additive, decaying sketches in constant memory.

A profile is a vector of sums that halve with time, by family of evidence, and a few sets that
forget with their slice of time. Two profiles of one account add up to the profile of all that
both saw, in any order (up to the rounding of float32), so any number of gateways may write it.
No text, and nothing of a text that could be computed without the key.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import astuple, dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import orjson

from proxy.watch import layout
from proxy.watch.counting import Sampled, Slices
from proxy.watch.layout import FAMILIES, SIZE
from proxy.watch.observation import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from proxy.watch.observation import Observation

DAY = 86_400_000_000
HALF_LIVES: Mapping[str, int] = MappingProxyType({
    "content": 7 * DAY, "reasoning": 14 * DAY, "parameters": 7 * DAY, "volume": 7 * DAY,
    "recent": DAY, "invariant": 30 * DAY,
})  # fmt: skip
VERSION = 1
HEAD = struct.Struct("<BBqqH")  # version, compressed, at, first, bytes of the subject
PLAIN, PACKED = 0, 1
MOST_SUBJECT = 120  # bytes; longer names are left out: the profile's key tells whose it is
MOST_NAME = 8  # letters of a name that is cut: six bytes each at most
PROMPTS, NEAR, SERVED, USERS = 1024, 512, 512, 128  # cells


@dataclass(slots=True)
class Sets:
    """The sets of a profile: prompts and near-duplicates counted, marks served, end users named."""

    prompts: Sampled = field(default_factory=lambda: Sampled(PROMPTS))
    near: Sampled = field(default_factory=lambda: Sampled(NEAR))
    served: Slices = field(default_factory=lambda: Slices(SERVED, 1))
    users: Slices = field(default_factory=lambda: Slices(USERS, 1))

    def each(self) -> tuple[Slices, ...]:
        """Return them in the order in which they are stored."""
        return self.prompts, self.near, self.served, self.users


class Profile:
    """The sketches of one account; grows by `observe` and `add`.

    at:      the moment for which the sums are told, microseconds since the epoch
    first:   the first observation's moment, 0 before
    sums:    float32, `layout.SIZE` of them
    subject: whom the newest observation was of
    """

    __slots__ = ("at", "first", "half_lives", "sets", "subject", "sums")

    def __init__(self, at: int = 0, half_lives: Mapping[str, int] = HALF_LIVES) -> None:
        self.at = at
        self.first = 0
        self.half_lives = half_lives
        self.subject: Subject | None = None
        self.sums: NDArray[np.float32] = np.zeros(SIZE, np.float32)
        self.sets = Sets()

    def __getitem__(self, name: str) -> float:
        """Return one sum by its name (`layout.PLACES`)."""
        return float(self.sums[layout.PLACES[name]])

    def cells(self, name: str) -> NDArray[np.float32]:
        """Return the cells of a histogram by its name (`layout.RANGES`)."""
        return self.sums[layout.RANGES[name]]

    def observe(self, seen: Observation) -> None:
        """Add one exchange."""
        self.advance(seen.at)
        if self.subject is None or seen.at >= self.at:
            self.subject = seen.subject
        self.first = min(self.first or seen.at, seen.at)
        layout.note(self.sums, seen, self._weights(self.at - seen.at))
        self._note_sets(seen)

    def add(self, other: Profile) -> None:
        """Merge what another has seen of the same account."""
        self.advance(other.at)
        if other.at < self.at:
            self.sums += other.sums * self._factors(self.at - other.at)
        else:
            self.sums += other.sums
            self.subject = other.subject or self.subject
        self.subject = self.subject or other.subject
        if other.first:
            self.first = min(self.first or other.first, other.first)
        for own, others in zip(self.sets.each(), other.sets.each(), strict=True):
            own.add(others)

    def advance(self, at: int) -> None:
        """Let time pass up to a moment; earlier moments change nothing."""
        if at <= self.at:
            return
        if self.at and self.first:
            self.sums *= self._factors(at - self.at)
        self.at = at
        for each in self.sets.each():
            each.advance(at)

    def has_served(self, marks: tuple[int, ...]) -> int:
        """Return how many of a text's marks are of answers that this account was given."""
        return sum(self.sets.served.holds(mark) for mark in marks)

    def to_bytes(self) -> bytes:
        """Return what stores keep: the same for the same profile."""
        told = b"" if self.subject is None else _told(self.subject)
        number = self.sets.prompts.number
        parts = [number.to_bytes(4, "little"), self.sums.tobytes()]
        parts += [each.to_bytes() for each in self.sets.each()]
        plain = b"".join(parts)
        packed = zlib.compress(plain, 6)
        small = len(packed) < len(plain)
        head = HEAD.pack(VERSION, PACKED if small else PLAIN, self.at, self.first, len(told))
        return head + told + (packed if small else plain)

    def _weights(self, age: int) -> Mapping[str, float]:
        if age <= 0:
            return layout.WHOLE
        return {name: 2.0 ** -(age / half) for name, half in self.half_lives.items()}

    def _factors(self, age: int) -> NDArray[np.float32]:
        return _factors(age, tuple(self.half_lives[name] for name in FAMILIES))

    def _note_sets(self, seen: Observation) -> None:
        features = seen.features
        if features is not None and seen.how != "refused" and seen.retry == 0:
            self.sets.prompts.note(features.prompt, seen.at)
            self.sets.near.note(features.near, seen.at)
        if seen.user:
            self.sets.users.note(seen.user, seen.at)
        for mark in seen.served:
            self.sets.served.note(mark, seen.at)


def _told(subject: Subject) -> bytes:
    """Return a subject as it is stored: what does not fit is left out, what policies need last."""
    whole = orjson.dumps(astuple(subject))
    if len(whole) <= MOST_SUBJECT:
        return whole
    least = replace(subject, account="", org="", model="")
    short = orjson.dumps(astuple(least))
    if len(short) <= MOST_SUBJECT:
        return short
    cut = replace(least, plan=least.plan[:MOST_NAME], purpose=least.purpose[:MOST_NAME])
    return orjson.dumps(astuple(cut))


@lru_cache(maxsize=512)
def _factors(age: int, half_lives: tuple[int, ...]) -> NDArray[np.float32]:
    """Return what is left of each sum after a time."""
    left = [2.0 ** -(age / half) for half in half_lives]
    found: NDArray[np.float32] = np.repeat(np.array(left, np.float32), layout.SIZES)
    found.flags.writeable = False
    return found


def profile_of(data: bytes, half_lives: Mapping[str, int] = HALF_LIVES) -> Profile:
    """Return what `to_bytes` wrote; ValueError for anything else."""
    try:
        version, packing, at, first, told = HEAD.unpack_from(data)
        body = data[HEAD.size + told :]
        if version != VERSION or packing not in {PLAIN, PACKED} or told > MOST_SUBJECT:
            raise ValueError("no profile")
        if packing == PACKED:
            reading = zlib.decompressobj()
            body = reading.decompress(body, LENGTH)
            if reading.unconsumed_tail or not reading.eof:
                raise ValueError("no profile")
        if len(body) != LENGTH:
            raise ValueError("no profile")
        found = Profile(at, half_lives)
        found.first = first
        if told:
            found.subject = Subject(*orjson.loads(data[HEAD.size : HEAD.size + told]))
    except (struct.error, zlib.error, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError("no profile") from error
    number = int.from_bytes(body[:4], "little")
    place = 4 + 4 * SIZE
    found.sums = np.frombuffer(body[4:place], np.float32).copy()
    if not np.isfinite(found.sums).all():
        raise ValueError("no profile")
    for each in found.sets.each():
        each.load(body[place : place + each.packed], number)
        place += each.packed
    return found


LENGTH = 4 + 4 * SIZE + sum(each.packed for each in Sets().each())
