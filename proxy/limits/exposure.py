"""Exposure: a sum that halves every half-life, for what is collected slowly.

The half-life is cut in 1024 steps. The factors of a step are the same literals here and in Lua and
are applied in the same order, so that both stores hold the same double to the last bit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from proxy.limits.charges import Receipt

if TYPE_CHECKING:
    from proxy.limits.buckets import Exposure

STEPS = 1024
GONE = 1000
FACTORS = (
    0.70710678118654757,
    0.8408964152537145,
    0.91700404320467122,
    0.9576032806985737,
    0.97857206208770009,
    0.98922801319397546,
    0.99459942348363317,
    0.99729605608547012,
    0.99864711289097019,
    0.99932332750265074,
)


class State(NamedTuple):
    """value: units as of `step`."""

    value: float
    step: int


EMPTY = State(0.0, 0)


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
    bit = STEPS // 2
    for factor in FACTORS:
        if rest >= bit:
            value *= factor
            rest -= bit
        bit //= 2
    return value


def receipt(
    bucket: Exposure, cost: int, value: float, step: int, now: int, *, fits: bool, taken: bool
) -> Receipt:
    """Return the receipt of a charge that found `value` as of `step`, where it was last stored.

    The wait is told from what is stored: decaying what is decayed already would round otherwise
    than the store will, and be a step off where the sum just fits.
    """
    width = step_of(bucket)
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
    return Receipt(
        fits=fits,
        taken=taken,
        remaining=max(0, math.floor(bucket.amount - after)),
        retry_after=wait,
        reset=max(0, (current + _steps_until(after, 0, 1, 0)) * width - now) if after > 1 else 0,
        mark=current,
    )


def _steps_until(value: float, cost: int, amount: int, least: int) -> int:
    """Return the fewest steps, at least `least`, until `cost` fits beside the rest of `value`."""
    # The sum is rounded to doubles: half a unit in the last place beyond the amount still fits.
    room = amount - cost + math.ulp(amount) / 2
    steps = max(least, math.ceil(STEPS * math.log2(value / room)) - 2)
    while decayed(value, steps) + cost > amount:
        steps += 1
    return steps
