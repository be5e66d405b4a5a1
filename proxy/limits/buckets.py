"""What a bucket is: its kind and its numbers, as compiled from a policy's limit.

Times are microseconds, amounts are whole units (requests, tokens, micro-dollars, values).
Each kind's arithmetic lives in a module of its own beside this one; the Lua scripts mirror it.
What follows from a bucket's numbers is worked out once, when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from proxy.limits import distinct, exposure, rate, rolling

HOUR = 3_600_000_000
DAY = 24 * HOUR


class Window(StrEnum):
    """A calendar window in UTC; weeks begin on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Rate:
    """Weighted GCRA: `amount` units drain in each `period`; at most `burst` may stand at once."""

    amount: int
    period: int
    burst: int
    gauge: rate.Gauge = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gauge", rate.gauge(self))


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `amount` in each calendar window; never refills before the window turns."""

    amount: int
    window: Window


@dataclass(frozen=True, slots=True)
class Rolling:
    """Never more than `amount` in any stretch of `period`, to the precision of its slices."""

    amount: int
    period: int
    slice: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "slice", rolling.slice_of(self))


@dataclass(frozen=True, slots=True)
class Lease:
    """At most `amount` at once; a slot not renewed for `hold` comes back by itself."""

    amount: int
    hold: int


@dataclass(frozen=True, slots=True)
class Distinct:
    """At most `amount` differing values in any stretch of `period`.

    cells, most: how many cells they are counted in, and how many of those may be in use
    """

    amount: int
    period: int
    slice: int = field(init=False, repr=False, compare=False)
    cells: int = field(init=False, repr=False, compare=False)
    most: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "slice", rolling.slice_of(self))
        object.__setattr__(self, "cells", distinct.cells(self))
        object.__setattr__(self, "most", distinct.most_cells(self))


@dataclass(frozen=True, slots=True)
class Exposure:
    """A sum that halves every `half_life` and may not exceed `amount`."""

    amount: int
    half_life: int
    step: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", exposure.step_of(self))


Bucket = Rate | Budget | Rolling | Lease | Distinct | Exposure

KINDS: dict[type, str] = {
    Rate: "rate",
    Budget: "budget",
    Rolling: "rolling",
    Lease: "lease",
    Distinct: "distinct",
    Exposure: "exposure",
}
