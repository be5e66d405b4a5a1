"""From what a limit says to how it counts. Pure; ValueError carries the sentence."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from proxy.core.decision import Mode, OnStoreError
from proxy.core.quantities import parse_duration
from proxy.limits.buckets import (
    DAY,
    HOUR,
    Budget,
    Distinct,
    Exposure,
    Lease,
    Rate,
    Rolling,
    Window,
)
from proxy.policy.compiled import Limit, Scope, Unit

if TYPE_CHECKING:
    from proxy.limits.buckets import Bucket
    from proxy.policy.schema import LimitText

AMOUNT = re.compile(r"(\d[\d_]*(?:\.\d+)?)\s+(\S.*)", re.ASCII)
UNITS = {unit.value: unit for unit in Unit}
WINDOWS = {window.value: window for window in Window}
SHORTEST, LONGEST = 1_000, 400 * DAY
MOST = 10**12
MOST_VALUES = 500_000
MOST_BURST = 2**40
HOLD = 60_000_000
MICRO = 1_000_000


class Blame(ValueError):  # noqa: N818 - not an error of ours: a sentence for the author
    """What is wrong, and with which key."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


def limit_of(policy: str, text: LimitText) -> Limit:
    """Return the limit that a text means. Raises Blame."""
    amount, unit = _amount(text.allow)
    bucket = _bucket(text, amount, unit)
    if len(set(text.by)) != len(text.by):
        raise Blame("by", "names the same thing twice")
    if "global" in text.by and len(text.by) > 1:
        raise Blame("by", "global counts everybody together (alone, or leave it out)")
    return Limit(
        policy=policy,
        name=text.limit,
        unit=unit,
        by=tuple(Scope(name) for name in text.by),
        bucket=bucket,
        mode=Mode(text.mode),
        on_store_error=OnStoreError(text.on_store_error),
        sentence=_sentence(text),
    )


def _amount(text: str) -> tuple[int, Unit]:
    found = AMOUNT.fullmatch(text.strip())
    if found is None:
        raise Blame("allow", f"cannot read {text!r} (60 requests, 200_000 output_tokens, 25 usd)")
    unit = UNITS.get(" ".join(found[2].split()))
    if unit is None:
        raise Blame("allow", f"counts no {found[2]!r} ({', '.join(UNITS)})")
    number = Decimal(found[1].replace("_", ""))
    if unit is Unit.USD:
        number *= MICRO
    if number != int(number):
        raise Blame("allow", f"{found[1]} is not a whole number of {unit.value}")
    if not 1 <= number <= MOST:
        raise Blame("allow", f"must be between 1 and {MOST:,}")
    return int(number), unit


def _bucket(text: LimitText, amount: int, unit: Unit) -> Bucket:  # noqa: C901 - a decision list
    if unit is Unit.CONCURRENT:
        return _lease(text, amount)
    if text.hold is not None:
        raise Blame("hold", "is for concurrent limits only")
    if unit in {Unit.DISTINCT_PROMPTS, Unit.DISTINCT_MODELS, Unit.DISTINCT_ADDRESSES}:
        return _distinct(text, amount)
    if text.half_life is not None:
        _nothing_else(text, "half_life", ("per", "burst", "as_"))
        return Exposure(amount, _duration("half_life", text.half_life, HOUR))
    if text.per is None:
        raise Blame("allow", "over what time? (per: 1m, 24h, day, month, or half_life: 30d)")
    kind = text.as_
    if text.per in WINDOWS:
        if kind not in {None, "budget"}:
            raise Blame("as", f"a {kind} needs a length of time (per: 24h), not a calendar word")
        _nothing_else(text, "budget", ("burst",))
        return Budget(amount, WINDOWS[text.per])
    period = _duration("per", text.per, SHORTEST, " or hour, day, week, month")
    if kind == "budget":
        raise Blame("per", f"a budget is of a calendar window, not {text.per!r} (day, month)")
    if kind == "rolling" or (kind is None and period > HOUR):
        _nothing_else(text, "rolling", ("burst",))
        return Rolling(amount, period)
    burst = amount if text.burst is None else text.burst
    if burst > MOST_BURST:
        raise Blame("burst", f"must be at most {MOST_BURST:,}")
    return Rate(amount, period, burst)


def _lease(text: LimitText, amount: int) -> Lease:
    _nothing_else(text, "concurrent", ("per", "half_life", "burst", "as_"))
    hold = HOLD if text.hold is None else _duration("hold", text.hold, 30 * MICRO)
    return Lease(amount, hold)


def _distinct(text: LimitText, amount: int) -> Distinct:
    _nothing_else(text, "distinct", ("half_life", "burst", "as_"))
    if amount > MOST_VALUES:
        raise Blame("allow", f"distinct values are counted up to {MOST_VALUES:,}")
    if text.per is None or text.per in WINDOWS:
        raise Blame("per" if text.per else "allow", "distinct needs a length of time (per: 24h)")
    return Distinct(amount, _duration("per", text.per, SHORTEST))


def _duration(key: str, text: str, shortest: int, also: str = "") -> int:
    try:
        found = parse_duration(text)
    except ValueError:
        raise Blame(key, f"cannot read {text!r} (30s, 1m, 6h, 7d{also})") from None
    if not shortest <= found <= LONGEST:
        raise Blame(key, f"{text} is out of bounds (400 days at most)")
    return found


def _nothing_else(text: LimitText, kind: str, keys: tuple[str, ...]) -> None:
    for key in keys:
        if getattr(text, key) is not None:
            name = key.rstrip("_")
            raise Blame(name, f"does not go with {kind} (leave it out)")


def _sentence(text: LimitText) -> str:
    span = f" per {text.per}" if text.per else ""
    if text.half_life:
        span = f" halving every {text.half_life}"
    return f"{text.allow}{span} by {', '.join(text.by)}"
