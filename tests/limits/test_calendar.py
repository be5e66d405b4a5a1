"""Calendar windows, with the answers worked out by hand."""

from __future__ import annotations

from datetime import datetime

import pytest

from proxy.limits import budget
from proxy.limits.buckets import Budget, Window

MOMENTS = [
    # window        now                            began          turns
    (Window.HOUR, "2026-11-23T11:59:59.999999", "2026-11-23T11", "2026-11-23T12"),
    (Window.HOUR, "2026-11-23T12:00:00.000000", "2026-11-23T12", "2026-11-23T13"),
    (Window.HOUR, "2026-12-31T23:30:00.000001", "2026-12-31T23", "2027-01-01T00"),
    (Window.DAY, "2024-02-28T23:59:59.999999", "2024-02-28", "2024-02-29"),
    (Window.DAY, "2024-02-29T00:00:00.000000", "2024-02-29", "2024-03-01"),
    (Window.DAY, "2026-02-28T12:00:00.000000", "2026-02-28", "2026-03-01"),
    # clocks in Europe and America change here; those of UTC do not
    (Window.DAY, "2026-10-25T02:30:00.000000", "2026-10-25", "2026-10-26"),
    (Window.WEEK, "2026-11-23T00:00:00.000000", "2026-11-23", "2026-11-30"),  # a Monday
    (Window.WEEK, "2026-11-22T23:59:59.999999", "2026-11-16", "2026-11-23"),  # a Sunday
    (Window.WEEK, "2027-01-01T08:00:00.000000", "2026-12-28", "2027-01-04"),  # a Friday
    (Window.WEEK, "2024-02-29T08:00:00.000000", "2024-02-26", "2024-03-04"),  # a Thursday
    (Window.MONTH, "2026-01-31T23:59:59.999999", "2026-01-01", "2026-02-01"),
    (Window.MONTH, "2026-02-28T23:59:59.999999", "2026-02-01", "2026-03-01"),
    (Window.MONTH, "2024-02-29T23:59:59.999999", "2024-02-01", "2024-03-01"),
    (Window.MONTH, "2028-02-01T00:00:00.000000", "2028-02-01", "2028-03-01"),
    (Window.MONTH, "2026-04-30T10:00:00.000000", "2026-04-01", "2026-05-01"),
    (Window.MONTH, "2026-12-31T23:59:59.999999", "2026-12-01", "2027-01-01"),
    # 2100 is no leap year
    (Window.MONTH, "2100-02-28T23:59:59.999999", "2100-02-01", "2100-03-01"),
]


def at(text: str) -> int:
    moment = datetime.fromisoformat(f"{text}+00:00" if "T" in text else f"{text}T00:00+00:00")
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond


@pytest.mark.parametrize(("window", "now", "began", "turns"), MOMENTS)
def test_a_window_begins_and_turns_as_the_calendar_says(window, now, began, turns):
    assert budget.start(window, at(now)) == at(began)
    assert budget.end(window, at(began)) == at(turns)
    assert budget.around(window, at(now))[1:3] == (at(began), at(turns))


@pytest.mark.parametrize(
    ("window", "now", "starts"),
    [
        (Window.HOUR, "2027-01-01T00:30", ["2026-12-31T23", "2027-01-01T00", "2027-01-01T01", "2027-01-01T02"]),
        (Window.DAY, "2024-02-28T13:07", ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"]),
        (Window.WEEK, "2026-11-25T13:07", ["2026-11-16", "2026-11-23", "2026-11-30", "2026-12-07"]),
        (Window.MONTH, "2024-01-31T13:07", ["2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01"]),
    ],
)  # fmt: skip
def test_the_windows_around_a_moment_touch_each_other(window, now, starts):
    assert budget.around(window, at(now)) == tuple(at(each) for each in starts)


def test_the_epochs_own_week_began_before_it():
    assert budget.start(Window.WEEK, 0) == at("1969-12-29")  # 1970-01-01 was a Thursday


@pytest.mark.parametrize(
    ("cost", "used", "fits", "taken", "remaining", "wait"),
    [
        (4, 6, True, True, 0, 0),
        (5, 6, False, False, 4, 1),
        (5, 6, False, True, 0, 1),
        (11, 0, False, False, 10, None),
        (0, 12, False, False, 0, 1),
    ],
)
def test_a_budgets_receipt_in_its_last_microsecond(cost, used, fits, taken, remaining, wait):
    began, turns = at("2026-11-23"), at("2026-11-24")
    bucket = Budget(10, Window.DAY)
    told = budget.receipt(bucket, cost, used, began, turns - 1, fits=fits, taken=taken)
    assert (told.remaining, told.retry_after, told.reset, told.mark) == (remaining, wait, 1, began)
