"""Raising: what a limit without room makes of an account's standing. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.quantities import format_duration, format_usd
from proxy.core.standing import BY_LIMIT, Standing

if TYPE_CHECKING:
    from proxy.core.decision import Decision, Raise, Reason
    from proxy.limits.charges import Charged

PARTS = 10  # a level is prolonged when a tenth of it has passed, and not with each request
USD = "usd"


def tells(raised: Raise, standing: Standing | None, at: int) -> bool:
    """Return whether a raise is more than what the account stands at already.

    at: microseconds since the epoch
    It is where the level is higher, or as high and for longer by a tenth of its time.
    """
    if standing is None or standing.level.rank < raised.level.rank:
        return True
    longer = at + raised.lasts - standing.until
    return standing.level is raised.level and longer * PARTS >= raised.lasts


def highest(decision: Decision) -> Raise | None:
    """Return the highest level that a decision raises to, and of those the longest."""
    return max(
        decision.raised, key=lambda raised: (raised.level.rank, raised.lasts), default=None
    )  # fmt: skip


def standing_after(decision: Decision, charged: Charged) -> Standing | None:
    """Return what a decision raises the account to, for `Standings.lift`; None for nothing."""
    most = highest(decision)
    if most is None:
        return None
    return Standing(
        level=most.level,
        since=charged.at,
        until=charged.at + most.lasts,
        by=f"{BY_LIMIT}{most.policy}/{most.limit}",
        reason=_sentence(most),
    )


def _sentence(raised: Raise) -> str:
    """Return why, with the numbers.

    >>> from proxy.core.decision import Raise, Reason
    >>> from proxy.core.standing import Level
    >>> told = Reason("limit.raised", "p", "l", "org", "output_tokens", "rolling", 2_000_000, 90)
    >>> _sentence(Raise(Level.RESTRICTED, 259_200_000_000, told))
    'p/l has no room: 90 output tokens asked, 0 left of 2,000,000 by org; restricted for 3d'
    """
    reason = raised.reason
    unit = "" if reason.unit == USD else f" {reason.unit.replace('_', ' ')}"
    asked, left, amount = (
        _number(number, reason) for number in (reason.asked, reason.remaining, reason.amount)
    )
    return (
        f"{raised.policy}/{raised.limit} has no room: {asked}{unit} asked,"
        f" {left} left of {amount} by {reason.scope};"
        f" {raised.level} for {format_duration(raised.lasts)}"
    )


def _number(units: int, reason: Reason) -> str:
    return f"${format_usd(units)}" if reason.unit == USD else f"{units:,}"
