"""What is left, in headers: OpenAI's `x-ratelimit-*` and the IETF fields `RateLimit(-Policy)`.

OpenAI gives one set for requests and one for tokens, with durations as Go prints them; the IETF
draft (draft-ietf-httpapi-ratelimit-headers) lists every limit as structured fields (RFC 9651).
Only enforced limits are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND = 1_000_000
MILLISECOND = 1_000
# The largest integer of a structured field (RFC 9651, 3.3.1).
MAX_INTEGER = 999_999_999_999_999
TOKEN_UNITS = frozenset({"tokens", "input_tokens", "output_tokens"})

_GROUPS = (("requests", frozenset({"requests"})), ("tokens", TOKEN_UNITS))
_QUOTA_UNITS = {
    "requests": "requests",
    "concurrent": "concurrent-requests",
    "tokens": "weir-tokens",
    "input_tokens": "weir-input-tokens",
    "output_tokens": "weir-output-tokens",
    "usd": "weir-microdollars",
}


@dataclass(frozen=True, slots=True)
class LimitView:
    """One limit as the client may see it.

    name:      'policy/limit'
    unit:      'requests', 'tokens', 'input_tokens', 'output_tokens', 'usd', 'concurrent', …
    kind:      'rate', 'budget', 'rolling', 'lease', 'distinct', 'exposure'
    amount:    in the unit (micro-dollars for usd)
    period:    microseconds: the period, the window's length, the half-life; 0 for a lease
    remaining: what is left now, in the unit
    reset:     microseconds until it is whole again
    binding:   it is enforced; shadow limits are not told
    largest:   the most that one request may take: a rate's burst; 0 says `amount`
    """

    name: str
    unit: str
    kind: str
    amount: int
    period: int
    remaining: int
    reset: int
    binding: bool = True
    largest: int = 0


def headers(
    views: Sequence[LimitView],
    now: int,  # noqa: ARG001 - waits are told as durations
) -> tuple[tuple[str, str], ...]:
    """Return all headers that these limits give; none for no enforced limit."""
    enforced = [view for view in views if view.binding]
    if not enforced:
        return ()
    told: list[tuple[str, str]] = []
    for name, units in _GROUPS:
        view = _tightest([view for view in enforced if view.unit in units])
        if view is not None:
            told += (
                (f"x-ratelimit-limit-{name}", str(view.amount)),
                (f"x-ratelimit-remaining-{name}", str(view.remaining)),
                (f"x-ratelimit-reset-{name}", go_duration(view.reset)),
            )
    return (*told, *ietf(enforced))


def ietf(views: Sequence[LimitView]) -> tuple[tuple[str, str], ...]:
    """Return the IETF's fields alone; none for no enforced limit."""
    enforced = [view for view in views if view.binding]
    if not enforced:
        return ()
    policies = [_policy(view.name, view.unit, view.amount, view.period) for view in enforced]
    left = [
        f"{_sf_string(view.name)};r={min(view.remaining, MAX_INTEGER)};t={-(-view.reset // SECOND)}"
        for view in enforced
    ]
    return ("ratelimit-policy", ", ".join(policies)), ("ratelimit", ", ".join(left))


def go_duration(us: int) -> str:
    """Return microseconds as Go prints a duration, in whole milliseconds, rounded up.

    >>> [go_duration(us) for us in (0, 1, 547_000, 1_200_000, 172_800_000, 360_000_000)]
    ['0s', '1ms', '547ms', '1.2s', '2m52.8s', '6m0s']
    """
    milliseconds = -(-max(us, 0) // MILLISECOND)
    if 0 < milliseconds < 1_000:  # noqa: PLR2004 - below a second Go changes its unit
        return f"{milliseconds}ms"
    seconds, fraction = divmod(milliseconds, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    decimals = f".{fraction:03}".rstrip("0") if fraction else ""
    text = f"{seconds}{decimals}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _tightest(views: Sequence[LimitView]) -> LimitView | None:
    """Return the limit with the least left: a rate, as OpenAI tells no others, if there is one."""
    if len(views) < 2:  # noqa: PLR2004 - nothing to compare
        return views[0] if views else None
    return min(views, key=lambda view: (view.kind != "rate", view.remaining, view.amount))


@lru_cache(maxsize=4_096)
def _policy(name: str, unit: str, amount: int, period: int) -> str:
    quota_unit = _QUOTA_UNITS.get(unit) or "weir-" + unit.replace(" ", "-").replace("_", "-")
    window = f";w={-(-period // SECOND)}" if period else ""
    return f'{_sf_string(name)};q={min(amount, MAX_INTEGER)}{window};qu="{quota_unit}"'


@lru_cache(maxsize=4_096)
def _sf_string(text: str) -> str:
    r"""Return a structured field's string: printable ASCII, quote and backslash escaped.

    >>> print(_sf_string('a"b\\é'))
    "a\"b\\%c3%a9"
    """
    kept = "".join(
        chr(byte) if 0x20 <= byte <= 0x7E else f"%{byte:02x}"  # noqa: PLR2004
        for byte in text.encode("utf-8", "surrogatepass")
    )
    return '"' + kept.replace("\\", "\\\\").replace('"', '\\"') + '"'
