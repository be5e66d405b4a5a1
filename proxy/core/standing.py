"""Standing: the level that an account is at now, why, and until when."""

from __future__ import annotations

from dataclasses import dataclass, replace
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


BY_LIMIT = "limit "  # how `by` begins where a limit has set it and not a person
BY_EVIDENCE = "evidence"  # what `by` says where an assessment has set it

RANKS = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Standing:
    """The level of an account, with its story.

    since, until: microseconds since the epoch; after `until` the account is clear again
    by:           who set it: an operator's name, or BY_LIMIT and the limit
    reason:       why, a sentence for people; never a prompt
    under:        a lower level that holds for longer, and so holds again after `until`
    """

    level: Level
    since: int
    until: int
    by: str = ""
    reason: str = ""
    under: Standing | None = None

    def at(self, now: int) -> Standing | None:
        """Return what is in force at a moment, microseconds since the epoch; None for nothing."""
        if now < self.until:
            return self
        return None if self.under is None else self.under.at(now)

    @property
    def ends(self) -> int:
        """When all of it has run out, what lies under it too."""
        return self.until if self.under is None else self.under.ends

    def to_bytes(self) -> bytes:
        """Return what stores keep."""
        return orjson.dumps(_plain(self))


def standing_of(stored: bytes) -> Standing:
    """Return what `to_bytes` wrote; ValueError for anything else.

    >>> standing_of(Standing(Level.WATCH, 1, 2, "ada", "odd").to_bytes()).level.rank
    1
    """
    return _standing(orjson.loads(stored))


def _plain(standing: Standing) -> dict[str, object]:
    plain: dict[str, object] = {
        "level": standing.level.value,
        "since": standing.since,
        "until": standing.until,
        "by": standing.by,
        "reason": standing.reason,
    }
    return plain if standing.under is None else {**plain, "under": _plain(standing.under)}


def _standing(told: object) -> Standing:
    if not isinstance(told, dict):
        raise ValueError("no standing")  # noqa: TRY004 - one error for all that is none
    try:
        found = Standing(
            Level(told["level"]), int(told["since"]), int(told["until"]),
            str(told["by"]), str(told["reason"]),
        )  # fmt: skip
        rest = told.get("under")
        if rest is None:
            return found
        # Read only where it is lower: however deep a text is, there are but so many levels.
        if Level(rest["level"]).rank >= found.level.rank or int(rest["until"]) <= found.until:
            raise ValueError("no standing")
    except (KeyError, TypeError) as error:
        raise ValueError("no standing") from error
    return replace(found, under=_standing(rest))


def lifted(before: Standing | None, standing: Standing, now: int) -> Standing | None:
    """Return what an account stands at after something raises it; None where nothing changes.

    It changes where the level is higher, or as high and for longer. A lower level that holds for
    longer lies under it, so that nothing that was set ends early.

    >>> lifted(Standing(Level.GUARDED, 0, 90), Standing(Level.WATCH, 5, 99), 5) is None
    True
    >>> lifted(Standing(Level.WATCH, 0, 90), Standing(Level.GUARDED, 5, 20), 5).at(20).level.value
    'watch'
    """
    held = None if before is None else before.at(now)
    if held is None:
        return standing
    if held.level.rank < standing.level.rank:
        return replace(standing, under=held.at(standing.until))
    if held.level is not standing.level or standing.until <= held.until:
        return None
    since = held.since if held.by == standing.by else standing.since
    under = None if held.under is None else held.under.at(standing.until)
    return replace(standing, since=since, under=under)


def pardoned(newest: Standing | None, standing: Standing) -> bool:
    """Return whether a person has said lately that an account is clear, so that no limit raises it.

    newest: the last entry of its history
    A pardon is good for as long as what is raised would have been: who looked need not look again.
    """
    return (
        newest is not None
        and newest.level is Level.CLEAR
        and newest.since + (standing.until - standing.since) > standing.since
    )
