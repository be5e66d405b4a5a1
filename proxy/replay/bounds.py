"""Bounds that a replay must keep, for a pipeline that tests edits of policies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.replay.difference import Difference
    from proxy.replay.summary import Summary

_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)%", re.ASCII)
_COUNT = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Most:
    """The most of something: a count, or a share of all requests in percent."""

    count: int | None = None
    percent: float | None = None

    def allows(self, found: int, of: int) -> bool:
        """Return whether so many of all requests are within the bound."""
        if self.count is not None:
            return found <= self.count
        assert self.percent is not None
        return found * 100 <= self.percent * of

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{self.percent:g}%"


def most(text: str) -> Most:
    """Return a bound: '0.1%' of all requests, or a count ('25'). ValueError says what would do.

    >>> most("0.1%").allows(1, 1000), most("0.1%").allows(2, 1000), most("3").allows(3, 1000)
    (True, False, True)
    """
    share = _SHARE.fullmatch(text.strip())
    if share is not None and float(share[1]) <= 100:  # noqa: PLR2004 - percent
        return Most(percent=float(share[1]))
    if _COUNT.fullmatch(text.strip()):
        return Most(count=int(text))
    raise ValueError(f"cannot read {text!r} as a bound (0.1%, or a count: 25)")


def names(limit: str, wanted: str) -> bool:
    """Return whether 'policy/limit' is what a name means: the whole, or the limit's own name.

    >>> names("free/money", "money"), names("free/money", "free/money"), names("free/money", "free")
    (True, True, False)
    """
    return wanted in {limit, limit.partition("/")[2]}


def broken(
    summary: Summary,
    difference: Difference | None,
    most_new: Most | None,
    fail_on: Sequence[str],
) -> list[str]:
    """Return the bounds that do not hold, as sentences.

    most_new: the most requests that may be refused that were not before
    fail_on:  limits that may not decide otherwise than before; without a set to compare with, that
              may not be without room at all
    """
    found = []
    if most_new is not None and difference is not None:
        new, of = difference.new_refusals, difference.requests
        if not most_new.allows(new, of):
            share = 100 * new / of if of else 0.0
            found.append(f"{new:,} of {of:,} requests are newly refused ({share:.3g}%): "
                         f"at most {most_new} may be")  # fmt: skip
    for wanted in fail_on:
        if difference is not None:
            changed = sum(
                each.refused + each.limited
                for name, each in difference.limits.items()
                if names(name, wanted)
            )
            if changed:
                found.append(f"{wanted} limits {changed:,} requests that it did not limit so")
            continue
        held = sum(
            story.no_room
            for (policy, limit), story in summary.limits.items()
            if names(f"{policy}/{limit}", wanted)
        )
        if held:
            found.append(f"{wanted} had no room for {held:,} requests")
    return found


def unknown(known: Sequence[str], fail_on: Sequence[str]) -> list[str]:
    """Return the names that no limit of the policies has: a bound on them would never break."""
    return [wanted for wanted in fail_on if not any(names(name, wanted) for name in known)]
