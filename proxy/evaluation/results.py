"""What is measured over labelled traffic, as values: of campaigns and of honest accounts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.evaluation.bounds import Share
    from proxy.evaluation.race import Got, Reached

DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Campaign:
    """What one campaign got.

    name:      its operator; archetype: what it is like
    accounts, requests, answers: of it; an answer is a request that was served something
    cover:     requests that it sent to look honest
    full:      answers at full fidelity that are not cover, and their output tokens
    refused, shaped, delayed: requests
    levels:    how it came to each level
    """

    name: str
    archetype: str
    accounts: int
    requests: int
    answers: int
    cover: int
    full: Got
    refused: int
    shaped: int
    delayed: int
    levels: tuple[Reached, ...]


@dataclass(frozen=True, slots=True)
class Reaching:
    """How many of some honest accounts came to a level or above, and on how many account-days."""

    name: str
    days: Share
    accounts: Share


@dataclass(frozen=True, slots=True)
class Honest:
    """What honest accounts of one archetype, or all, felt.

    days:      account-days: an account on a day of UTC with a request
    refused, shaped, delayed: requests
    refused_days, shaped_days: account-days with at least one such request
    full, tokens: answers at full fidelity; all output tokens that were served
    levels:    by level
    """

    name: str
    accounts: int
    days: int
    requests: int
    refused: int
    shaped: int
    delayed: int
    refused_days: Share
    shaped_days: Share
    full: int
    tokens: int
    levels: tuple[Reaching, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """All of it.

    pooled:     all honest accounts, None where there are none
    unlabelled: requests that are in nothing else
    """

    campaigns: tuple[Campaign, ...]
    archetypes: tuple[Honest, ...]
    pooled: Honest | None
    unlabelled: int

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON; times are microseconds, shares from 0 to 1."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield lines for a terminal."""
        from proxy.evaluation.telling import result_lines  # noqa: PLC0415 - it reads these types

        return result_lines(self)
