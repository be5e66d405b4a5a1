"""Budget: so much in each calendar window of UTC, never refilled before the window turns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from proxy.limits.buckets import HOUR, Window
from proxy.limits.charges import Receipt, bounded

if TYPE_CHECKING:
    from proxy.limits.buckets import Budget
    from proxy.limits.charges import Charge, Found, Settlement

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000


@dataclass(slots=True)
class Counter:
    """A budget in memory.

    used:  units taken in the window that began at `start` (microseconds)
    until: when that window turns, microseconds; 0 where nothing was ever taken
    """

    bucket: Budget
    start: int = 0
    used: int = 0
    until: int = 0

    def look(self, charge: Charge, now: int) -> Found:
        """Return whether a charge fits, and what its receipt is made of."""
        bucket = self.bucket
        began = max(start(bucket.window, now), self.start)
        used = self.used if self.start == began else 0
        return used + bounded(charge.cost) <= bucket.amount, used, began, 0

    def charge(self, asked: Charge, found: Found, now: int, *, taken: bool) -> Receipt:
        """Take what a charge asks that found this, or leave it; return its receipt."""
        fits, before, began, _ = found
        used, cost = int(before), bounded(asked.cost)
        if taken:
            self.start, self.used = began, used + cost
            self.until = end(self.bucket.window, began)
        return receipt(self.bucket, cost, used, began, now, fits=fits, taken=taken)

    def correct(self, settlement: Settlement, _now: int) -> None:
        """Correct a charge that was taken, unless its window has turned."""
        if self.until and self.start == settlement.mark:
            self.used = max(0, self.used + bounded(settlement.delta))


def start(window: Window, now: int) -> int:
    """Return when the window of a moment began, microseconds since the epoch."""
    return _start(window, now // HOUR)


@lru_cache(maxsize=4096)
def _start(window: Window, hour: int) -> int:
    moment = EPOCH + timedelta(hours=hour)
    day = moment.replace(hour=0)
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
    began = start(window, hour * HOUR)
    turns = end(window, began)
    return start(window, began - SECOND), began, turns, end(window, turns)


def around(window: Window, now: int) -> tuple[int, int, int, int]:
    """Return the starts of the last, this, the next window and of the one after.

    The store picks among them by its own clock, so that ours need not be exact.
    """
    return _around(window, now // HOUR)


def receipt(
    bucket: Budget, cost: int, used: int, began: int, now: int, *, fits: bool, taken: bool
) -> Receipt:
    """Return the receipt of a charge that found `used` in the window that began then."""
    after = used + cost if taken else used
    left = max(1, end(bucket.window, began) - now)
    wait = 0 if fits else None if cost > bucket.amount else left
    return Receipt(fits, taken, max(0, bucket.amount - after), wait, left, began)
