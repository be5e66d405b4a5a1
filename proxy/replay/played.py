"""What becomes of a request in a replay, and who wants to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from proxy import engine
from proxy.core.facts import Usage

if TYPE_CHECKING:
    from proxy.core.decision import Decision
    from proxy.core.facts import RequestFacts
    from proxy.core.shape import Change
    from proxy.engine import Plan, Spent
    from proxy.limits.charges import Charged
    from proxy.traffic.entry import Entry


@dataclass(slots=True)
class Played:
    """One request in a replay, filled as it goes.

    at:       moment of its charge, microseconds since the epoch
    code:     the error's code where it was no request that we serve, else ''; there are no facts
    plan, charged, decision: as the gateway's; None for what is not metered
    changes:  what the shape changed in the request
    full:     an answer was served, and nothing of it was changed
    usage, spent: tokens of the answer as it would have been; what was charged for them
    ended_at: moment of its settlement
    how:      'complete', 'error', 'abandoned', 'broken', or 'refused'
    guessed:  nobody has seen the answer: it was taken to be like the others
    """

    entry: Entry
    at: int
    code: str = ""
    facts: RequestFacts | None = None
    plan: Plan | None = None
    charged: Charged | None = None
    decision: Decision | None = None
    changes: tuple[Change, ...] = ()
    full: bool = False
    usage: Usage = field(default_factory=Usage)
    spent: Spent = engine.NOTHING
    ended_at: int = 0
    how: str = ""
    guessed: bool = False

    @property
    def cost(self) -> int:
        """Price of what was charged, micro-dollars."""
        if self.plan is None:
            return 0
        return engine.price(
            self.plan.model, self.spent.prompt, self.spent.output, self.spent.cached
        )


class Listener(Protocol):
    """Who wants to know what becomes of the requests."""

    def decided(self, played: Played) -> None:
        """Hear of a request when it is decided, in the order of time."""
        ...

    def settled(self, played: Played) -> None:
        """Hear of a request when its answer has ended and is paid; after `decided`."""
        ...
