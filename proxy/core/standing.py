"""Standing: the level that an account is at now, why, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import orjson


class Level(StrEnum):
    """Levels of suspicion, from none to most; compare by `rank`."""

    CLEAR = "clear"
    WATCH = "watch"
    GUARDED = "guarded"
    RESTRICTED = "restricted"
    CONTAINED = "contained"

    @property
    def rank(self) -> int:
        """The level's place: 0 for clear, 4 for contained."""
        return RANKS[self]


RANKS = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Standing:
    """The level of an account, with its story.

    since, until: microseconds since the epoch; after `until` the account is clear again
    by:           who set it: an operator's name
    reason:       why, a sentence for people; never a prompt
    """

    level: Level
    since: int
    until: int
    by: str = ""
    reason: str = ""

    def holds(self, now: int) -> bool:
        """Return whether it is in force at a moment, microseconds since the epoch."""
        return now < self.until

    def to_bytes(self) -> bytes:
        """Return what stores keep."""
        return orjson.dumps(
            {
                "level": self.level.value,
                "since": self.since,
                "until": self.until,
                "by": self.by,
                "reason": self.reason,
            }
        )


def standing_of(stored: bytes) -> Standing:
    """Return what `to_bytes` wrote; ValueError for anything else.

    >>> standing_of(Standing(Level.WATCH, 1, 2, "ada", "odd").to_bytes()).level.rank
    1
    """
    told = orjson.loads(stored)
    if not isinstance(told, dict):
        raise ValueError("no standing")  # noqa: TRY004 - one error for all that is none
    try:
        return Standing(
            Level(told["level"]), int(told["since"]), int(told["until"]),
            str(told["by"]), str(told["reason"]),
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise ValueError("no standing") from error
