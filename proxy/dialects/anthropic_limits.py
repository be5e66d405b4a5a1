"""What is left, in headers: Anthropic's `anthropic-ratelimit-*` and the IETF fields.

Anthropic gives one set for requests, one for each direction of tokens and one for all tokens,
each with the moment at which it is whole again (RFC 3339). Only enforced limits are told.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.dialects.ratelimit_headers import SECOND, TOKEN_UNITS, ietf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.dialects.ratelimit_headers import LimitView

_GROUPS = (
    ("requests", frozenset({"requests"})),
    ("input-tokens", frozenset({"input_tokens"})),
    ("output-tokens", frozenset({"output_tokens"})),
    ("tokens", TOKEN_UNITS),
)
# The end of the year 9999, the last that RFC 3339 can write.
_LAST = 253_402_300_799


def headers(views: Sequence[LimitView], now: int) -> tuple[tuple[str, str], ...]:
    """Return all headers that these limits give; `now`: microseconds since the epoch."""
    enforced = [view for view in views if view.binding]
    told: list[tuple[str, str]] = []
    for name, units in _GROUPS:
        view = _tightest([view for view in enforced if view.unit in units])
        if view is not None:
            told += (
                (f"anthropic-ratelimit-{name}-limit", str(view.amount)),
                (f"anthropic-ratelimit-{name}-remaining", str(view.remaining)),
                (f"anthropic-ratelimit-{name}-reset", moment(now + view.reset)),
            )
    return (*told, *ietf(views))


def moment(us: int) -> str:
    """Return microseconds since the epoch in RFC 3339, rounded up to a second.

    >>> moment(1_772_049_751_000_001)
    '2026-02-25T20:02:32Z'
    """
    seconds = min(max(-(-us // SECOND), 0), _LAST)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tightest(views: Sequence[LimitView]) -> LimitView | None:
    """Return the limit with the least left: a rate, if there is one."""
    return min(
        views,
        key=lambda view: (view.kind != "rate", view.remaining, view.amount),
        default=None,
    )
