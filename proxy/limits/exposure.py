"""Exposure: a sum that halves every half-life, for what is collected slowly.

The half-life is cut in 1024 steps. The factors of a step are the same literals here and in Lua and
are applied in the same order, so that both stores hold the same double to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.limits.charges import Receipt, bounded

if TYPE_CHECKING:
    from proxy.limits.buckets import Exposure
    from proxy.limits.charges import Charge, Found, Settlement

STEPS = 1024
GONE = 1000
HALVES_KEPT = 40  # 2^-40 of what was there: nobody would see it come back
FACTORS = (
    (512, 0.70710678118654757),
    (256, 0.8408964152537145),
    (128, 0.91700404320467122),
    (64, 0.9576032806985737),
    (32, 0.97857206208770009),
    (16, 0.98922801319397546),
    (8, 0.99459942348363317),
    (4, 0.99729605608547012),
    (2, 0.99864711289097019),
    (1, 0.99932332750265074),
)


@dataclass(slots=True)
class Counter:
    """An exposure in memory.

    value: units as of `step`
    until: moment after which next to nothing is left of it, microseconds
    """

    bucket: Exposure
    value: float = 0.0
    step: int = 0
    until: int = 0

    def look(self, charge: Charge, now: int) -> Found:
        """Return whether a charge fits, and what its receipt is made of."""
        bucket = self.bucket
        held = decayed(self.value, now // bucket.step - self.step)
        return held + bounded(charge.cost) <= bucket.amount, self.value, self.step, 0

    def charge(self, asked: Charge, found: Found, now: int, *, taken: bool) -> Receipt:
        """Take what a charge asks that found this, or leave it; return its receipt."""
        fits, value, step, _ = found
        cost = bounded(asked.cost)
        if taken:
            self._decay(now)
            self.value += cost
        return receipt(self.bucket, cost, value, step, now, fits=fits, taken=taken)

    def correct(self, settlement: Settlement, now: int) -> None:
        """Correct a charge that was taken, by what is left of it."""
        self._decay(now)
        delta = decayed(float(bounded(settlement.delta)), self.step - settlement.mark)
        self.value = max(0.0, self.value + delta)

    def _decay(self, now: int) -> None:
        step = max(now // self.bucket.step, self.step)
        self.value = decayed(self.value, step - self.step)
        self.step = step
        self.until = now + HALVES_KEPT * self.bucket.half_life


def step_of(bucket: Exposure) -> int:
    """Return the length of a step, microseconds."""
    return -(-bucket.half_life // STEPS)


def decayed(value: float, steps: int) -> float:
    """Return a value so many steps later.

    >>> decayed(8.0, 2 * STEPS)
    2.0
    """
    if steps <= 0:
        return value
    halves, rest = divmod(steps, STEPS)
    if halves > GONE:
        return 0.0
    value = math.ldexp(value, -halves)
    for bit, factor in FACTORS:
        if rest & bit:
            value *= factor
    return value


def receipt(
    bucket: Exposure, cost: int, value: float, step: int, now: int, *, fits: bool, taken: bool
) -> Receipt:
    """Return the receipt of a charge that found `value` as of `step`, where it was last stored.

    The wait is told from what is stored: decaying what is decayed already would round otherwise
    than the store will, and be a step off where the sum just fits.
    """
    width = bucket.step
    current = max(now // width, step)
    held = decayed(value, current - step)
    after = held + cost if taken else held
    if fits:
        wait: int | None = 0
    elif cost > bucket.amount:
        wait = None
    else:
        steps = _steps_until(value, cost, bucket.amount, current - step)
        wait = (step + steps) * width - now
    remaining = max(0, math.floor(bucket.amount - after))
    reset = max(0, (current + _steps_until(after, 0, 1, 0)) * width - now) if after > 1 else 0
    return Receipt(fits, taken, remaining, wait, reset, current)


def _steps_until(value: float, cost: int, amount: int, least: int) -> int:
    """Return the fewest steps, at least `least`, until `cost` fits beside the rest of `value`."""
    # The sum is rounded to doubles: half a unit in the last place beyond the amount still fits.
    room = amount - cost + math.ulp(amount) / 2
    # The logarithm is off by far less than a thousandth of a step.
    steps = max(least, math.ceil(STEPS * math.log2(value / room) - 0.001))
    while decayed(value, steps) + cost > amount:
        steps += 1
    return steps
