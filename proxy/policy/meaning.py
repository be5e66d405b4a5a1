"""From what a limit says to how it counts. Pure; `Blame` carries the sentence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from proxy.core.decision import Mode, OnStoreError
from proxy.core.quantities import UNITS as TIMES
from proxy.core.quantities import format_duration, parse_count, parse_duration, parse_usd
from proxy.core.shape import NO_SHAPE
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
from proxy.policy.compiled import BY_FEATURES, Limit, Otherwise, Scope, Unit
from proxy.policy.sentences import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.core.shape import Shape
    from proxy.limits.buckets import Bucket
    from proxy.policy.schema import LimitText
    from proxy.policy.shapes import Shapes

Found = TypeVar("Found")

AMOUNT = re.compile(r"(\S+)\s+(\S.*)")
UNITS = {unit.value: unit for unit in Unit}
WINDOWS = {window.value: window for window in Window}
# The length of a calendar window, for those that always have the same.
LENGTHS = {Window.HOUR: HOUR, Window.DAY: DAY, Window.WEEK: 7 * DAY}
VALUE_OF = {Unit.DISTINCT_MODELS: "model", Unit.DISTINCT_ADDRESSES: "ip"}
DISTINCT = BY_FEATURES | {Unit.DISTINCT_PROMPTS, Unit.DISTINCT_MODELS, Unit.DISTINCT_ADDRESSES}
TOPICS = 4096  # there are no more of them

SHORTEST, LONGEST = 1_000, 400 * DAY
SHORTEST_HOLD, HOLD = 30 * TIMES["s"], 60 * TIMES["s"]
MOST, MOST_VALUES, MOST_SLOTS = 10**12, 500_000, 1_000_000


class Blame(ValueError):  # noqa: N818 - not an error of ours: a sentence for the author
    """What is wrong, and with which key."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


def limit_of(
    policy: str, text: LimitText, shapes: Shapes, blame: Callable[[Blame], None]
) -> Limit | None:
    """Return the limit that a text means, or None with every mistake in it told to `blame`."""
    mistakes: list[Blame] = []
    amount, unit = _attempt(lambda: _amount(text.allow), mistakes) or (0, None)
    span = _attempt(lambda: _per(text.per), mistakes)
    _attempt(lambda: _duration("half_life", text.half_life, TIMES["m"]), mistakes)
    _attempt(lambda: _duration("hold", text.hold, SHORTEST_HOLD, HOUR), mistakes)
    _attempt(lambda: _scopes(text, unit), mistakes)
    shape = _attempt(lambda: _shape(text, shapes), mistakes) or NO_SHAPE
    if unit is not None and not mistakes:
        bucket = _attempt(lambda: _bucket(text, amount, unit, span), mistakes)
        if bucket is not None:
            return Limit(
                policy=policy,
                name=text.limit,
                unit=unit,
                by=tuple(Scope(name) for name in text.by),
                bucket=bucket,
                mode=Mode(text.mode),
                on_store_error=OnStoreError(text.on_store_error),
                sentence=_sentence(text),
                otherwise=Otherwise(text.otherwise.does),
                shape=shape,
                level=text.otherwise.level,
                lasts=text.otherwise.lasts,
            )
    for mistake in mistakes:
        blame(mistake)
    return None


def _attempt(find: Callable[[], Found], mistakes: list[Blame]) -> Found | None:
    try:
        return find()
    except Blame as mistake:
        mistakes.append(mistake)
        return None


def _amount(text: str) -> tuple[int, Unit]:
    found = AMOUNT.fullmatch(text.strip())
    if found is None:
        raise Blame(
            "allow", f"cannot read {shown(text)} (60 requests, 200_000 output_tokens, 2.50 usd)"
        )
    words = " ".join(found[2].split())
    unit = UNITS.get(words)
    if unit is None:
        raise Blame("allow", f"cannot count {shown(words)} ({', '.join(UNITS)})")
    try:
        number = parse_usd(found[1]) if unit is Unit.USD else parse_count(found[1])
    except ValueError as error:
        raise Blame("allow", str(error)) from None
    most = MOST_VALUES if unit in DISTINCT else MOST_SLOTS if unit is Unit.CONCURRENT else MOST
    if number < 1:
        raise Blame("allow", "would never let anything through (1 or more)")
    if number > most:
        told = f"{most // TIMES['s']:,} usd" if unit is Unit.USD else f"{most:,} {unit.value}"
        raise Blame("allow", f"must be at most {told}")
    if unit is Unit.DISTINCT_TOPICS and number >= TOPICS:
        raise Blame("allow", f"there are but {TOPICS:,} topics (400 distinct topics)")
    return number, unit


def _scopes(text: LimitText, unit: Unit | None) -> None:
    if len(set(text.by)) != len(text.by):
        raise Blame("by", "names the same thing twice")
    if "global" in text.by and len(text.by) > 1:
        raise Blame("by", "global counts everybody together (alone, or leave it out)")
    same = None if unit is None else VALUE_OF.get(unit)
    if unit is not None and same in text.by:
        raise Blame("by", f"{unit.value} by {same} are never more than one (by: [account])")


def _shape(text: LimitText, shapes: Shapes) -> Shape:
    """Return what is given without room; NO_SHAPE where the answer is no shape."""
    if text.otherwise.does != "shape":
        return NO_SHAPE
    try:
        return shapes.find(text.otherwise.shape)
    except ValueError as error:
        raise Blame("otherwise", str(error)) from None


def _per(text: str | None) -> Window | int | None:
    if text is None:
        return None
    return WINDOWS.get(text) or _duration("per", text, SHORTEST)


def _duration(key: str, text: str | None, shortest: int, longest: int = LONGEST) -> int:
    """Return microseconds; 0 for a key that is not there."""
    if text is None:
        return 0
    try:
        found = parse_duration(text)
    except ValueError:
        would_do = "30s, 1m, 6h, day, month" if key == "per" else "30s, 1h, 30d"
        raise Blame(key, f"cannot read {shown(text)} ({would_do})") from None
    if not shortest <= found <= longest:
        bounds = f"{format_duration(shortest)} to {format_duration(longest)}"
        raise Blame(key, f"{text} is out of bounds ({bounds})")
    return found


def _bucket(text: LimitText, amount: int, unit: Unit, span: Window | int | None) -> Bucket:
    if unit is Unit.CONCURRENT:
        _without(text, "a concurrent limit", ("per", "half_life", "burst", "as"))
        return Lease(amount, _duration("hold", text.hold, SHORTEST_HOLD) or HOLD)
    _without(text, f"{unit.value}, only with concurrent", ("hold",))
    if unit in DISTINCT:
        _without(text, "distinct values", ("half_life", "burst", "as"))
        if not isinstance(span, int):
            raise Blame("per" if span else "allow", "distinct needs a length of time (per: 24h)")
        return Distinct(amount, span)
    if text.half_life is not None:
        _without(text, "half_life", ("per", "burst", "as"))
        return Exposure(amount, parse_duration(text.half_life))
    if span is None:
        raise Blame("allow", "over what time? (per: 1m, 24h, day, month, or half_life: 30d)")
    return _over(text, amount, span)


def _over(text: LimitText, amount: int, span: Window | int) -> Bucket:
    """Return what counts over a span: as `as` says, else as the span is written."""
    kind = text.as_ or (
        "budget" if isinstance(span, Window) else "rate" if span <= HOUR else "rolling"
    )
    if kind == "budget":
        _without(text, "a budget", ("burst",))
        window = (
            span
            if isinstance(span, Window)
            else next((window for window, length in LENGTHS.items() if length == span), None)
        )
        if window is None:
            raise Blame("per", f"{text.per} is no calendar window (hour, day, week, month)")
        return Budget(amount, window)
    length = LENGTHS.get(span) if isinstance(span, Window) else span
    if length is None:
        raise Blame("as", f"a {kind} needs a length of time, and months differ (per: 30d)")
    if kind == "rolling":
        _without(text, "a rolling limit", ("burst",))
        return Rolling(amount, length)
    burst = amount if text.burst is None else text.burst
    if burst > MOST:
        raise Blame("burst", f"must be at most {MOST:,}")
    return Rate(amount, length, burst)


def _without(text: LimitText, what: str, keys: tuple[str, ...]) -> None:
    for key in keys:
        if getattr(text, "as_" if key == "as" else key) is not None:
            raise Blame(key, f"does not go with {what} (leave it out)")


def _sentence(text: LimitText) -> str:
    span = f" per {text.per}" if text.per else ""
    if text.half_life:
        span = f" halving every {text.half_life}"
    told = f"{' '.join(text.allow.split())}{span} by {', '.join(text.by)}"
    if text.otherwise.does != "level":
        return told
    return f"{told}, else {text.otherwise.level} for {format_duration(text.otherwise.lasts)}"
