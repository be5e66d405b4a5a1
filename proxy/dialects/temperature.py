"""The temperature of a request, where a format leaves it to its provider to refuse a bad one."""

from __future__ import annotations


def temperature_of(asked: dict[str, object]) -> float | None:
    """Return the temperature that was asked for, None where there is none that can be read.

    >>> temperature_of({"temperature": 1}), temperature_of({"temperature": "hot"})
    (1.0, None)
    """
    value = asked.get("temperature")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
