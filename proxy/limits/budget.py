"""Budget: so much in each calendar window of UTC, never refilled before the window turns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from proxy.limits.buckets import Window
from proxy.limits.charges import Receipt

if TYPE_CHECKING:
    from proxy.limits.buckets import Budget

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000


class State(NamedTuple):
    """used: units taken in the window that began at `start` (microseconds)."""

    start: int
    used: int


EMPTY = State(0, 0)


def start(window: Window, now: int) -> int:
    """Return when the window of a moment began, microseconds since the epoch."""
    moment = EPOCH + timedelta(seconds=now // SECOND)
    day = moment.replace(hour=0, minute=0, second=0)
    began = {
        Window.HOUR: day.replace(hour=moment.hour),
        Window.DAY: day,
        Window.WEEK: day - timedelta(days=moment.weekday()),
        Window.MONTH: day.replace(day=1),
    }
    return int((began[window] - EPOCH).total_seconds()) * SECOND


@lru_cache(maxsize=1024)
def end(window: Window, began: int) -> int:
    """Return when the window that began then turns."""
    longest = {Window.HOUR: 3600, Window.DAY: 86_400, Window.WEEK: 7 * 86_400}
    if window is Window.MONTH:
        return start(window, began + 32 * 86_400 * SECOND)
    return began + longest[window] * SECOND


@lru_cache(maxsize=1024)
def _around(window: Window, hour: int) -> tuple[int, int, int, int]:
    began = start(window, hour * 3600 * SECOND)
    turns = end(window, began)
    return start(window, began - SECOND), began, turns, end(window, turns)


def around(window: Window, now: int) -> tuple[int, int, int, int]:
    """Return the starts of the last, this, the next window and of the one after.

    The store picks among them by its own clock, so that ours need not be exact.
    """
    return _around(window, now // (3600 * SECOND))


def receipt(
    bucket: Budget, cost: int, used: int, began: int, now: int, *, fits: bool, taken: bool
) -> Receipt:
    """Return the receipt of a charge that found `used` in the window that began then."""
    after = used + cost if taken else used
    left = max(1, end(bucket.window, began) - now)
    wait = 0 if fits else None if cost > bucket.amount else left
    return Receipt(
        fits=fits,
        taken=taken,
        remaining=max(0, bucket.amount - after),
        retry_after=wait,
        reset=left,
        mark=began,
    )
