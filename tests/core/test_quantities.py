"""Amounts and durations are read exactly, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.quantities import (
    UNITS,
    format_usd,
    parse_count,
    parse_duration,
    parse_usd,
)


@given(st.integers(0, 10**15))
def test_dollars_come_back_as_they_were_told(microdollars):
    assert parse_usd(format_usd(microdollars).replace(",", "_")) == microdollars


@given(st.integers(0, 10**15))
def test_underscores_part_digits_and_change_nothing(count):
    assert parse_count(str(count)) == parse_count(f"{count:_}") == count


@given(st.integers(0, 10**9 - 1), st.sampled_from(sorted(UNITS)))
def test_a_duration_is_a_number_and_a_unit(count, unit):
    assert parse_duration(f"{count}{unit}") == count * UNITS[unit]


@pytest.mark.parametrize(
    "text", ["", "60", "1.5h", "-1s", "1 s", "1h30m", "1M", "٣s", "1" * 30 + "s"]
)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="cannot read"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "_1", "1_", "1__0", "1e3", "-1", "+1", "1.0", "٣", "9" * 30])
def test_what_is_no_count(text):
    with pytest.raises(ValueError, match="as a whole number"):
        parse_count(text)


@pytest.mark.parametrize(
    "text", ["", ".5", "1.", "1.0000001", "$1", "1,000", "-1", "1e3", "9" * 30]
)
def test_what_is_no_money(text):
    with pytest.raises(ValueError, match="as dollars"):
        parse_usd(text)
