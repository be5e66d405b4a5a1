"""When: the hours of a day, and bursts within them."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from proxy.population.texts import Trace

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
SATURDAY = 5

# Share of a day's requests by local hour, and how much of a weekday's volume a weekend has.
HOURS: Mapping[str, tuple[float, ...]] = MappingProxyType({
    "office": (1, 1, 1, 1, 1, 2, 4, 9, 18, 26, 28, 26, 19, 22, 27, 27, 24, 18, 11, 7, 5, 4, 3, 2),
    "people": (8, 5, 3, 2, 2, 3, 6, 10, 14, 16, 17, 18, 19, 18, 17, 17, 18, 20, 23, 26, 27, 25, 20,
               13),
    "night": (18, 26, 28, 22, 12, 6, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 9),
    "flat": (10,) * 24,
})  # fmt: skip
WEEKENDS: Mapping[str, float] = MappingProxyType(
    {"office": 0.15, "people": 1.1, "night": 0.85, "flat": 1.0}
)
# Shape of a gamma distribution of gaps where no trace is given: CV = 1 / sqrt(0.4) = 1.6.
BURSTY = 0.4


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a day's requests lie in it.

    reached: share of the day's requests that came before each full hour UTC; 25 of them, 0 to 1
    weekend: volume of a Saturday or Sunday, of a weekday's
    offset:  hours that local time is ahead of UTC
    """

    reached: tuple[float, ...]
    weekend: float
    offset: int

    def moment(self, share: float) -> int:
        """Return the microsecond of the day (UTC) at which so much of it has come.

        share: 0 up to 1, 1 left out
        """
        hour = min(23, bisect_right(self.reached, share) - 1)
        low, high = self.reached[hour], self.reached[hour + 1]
        return hour * HOUR + int((share - low) / (high - low) * HOUR)

    def weight(self, midnight: int) -> float:
        """Return the volume of the day that begins at `midnight`, of a weekday's."""
        local = datetime.fromtimestamp(midnight // SECOND, UTC).weekday()
        return self.weekend if local >= SATURDAY else 1.0


def rhythm(kind: str, offset: int) -> Rhythm:
    """Return the rhythm of a kind (of HOURS) for people whose clocks are `offset` hours ahead."""
    local = HOURS[kind]
    hours = [local[(hour + offset) % 24] for hour in range(24)]
    total = math.fsum(hours)
    reached = [0.0, *(sum_ / total for sum_ in accumulate(hours))]
    reached[-1] = 1.0
    return Rhythm(tuple(reached), WEEKENDS[kind], offset)


def shares(rng: Random, n: int, trace: Trace | None, shape: float = BURSTY) -> Sequence[float]:
    """Return n ordered shares of a day between which lie gaps as a real service had them.

    With a trace: a block of its gaps in their order (block bootstrap), stretched to a day.
    Without: a renewal process with gamma gaps of this shape.
    """
    if trace is not None:
        gaps, size = trace.gaps, len(trace.gaps)
        start = rng.randrange(size)
        block = [gaps[(start + each) % size] + 1e-4 for each in range(n + 1)]
    else:
        block = [rng.gammavariate(shape, 1.0) + 1e-6 for _ in range(n + 1)]
    # The last gap is cut at random: a day does not end with a request.
    block[-1] *= rng.random()
    total = math.fsum(block)
    return [min(reached / total, 1 - 1e-9) for reached in accumulate(block[:-1])]
