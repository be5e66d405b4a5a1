"""What was decided about a request, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from proxy.core.shape import NO_SHAPE, Shape

if TYPE_CHECKING:
    from proxy.core.standing import Level


class Effect(StrEnum):
    """What a decision does to a request."""

    ALLOW = "allow"
    SHAPE = "shape"
    DELAY = "delay"
    REFUSE = "refuse"


class Mode(StrEnum):
    """How a limit is applied."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


class OnStoreError(StrEnum):
    """What a limit does while the counters cannot be reached."""

    DENY = "deny"
    ALLOW = "allow"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Reason:
    """One coded sentence with numbers.

    code:        'limit.exceeded', 'limit.never_fits', 'limit.shadow', 'limit.shaped',
                 'limit.flagged', 'limit.raised', 'capability.forbidden', 'capability.required',
                 'capability.shadow', 'standing.<level>', 'store.unavailable', …
    policy:      the policy that says so, '' where none
    limit:       the limit, capability or shape in it, '' where none
    because:     the operator's own sentence for people, ''
    says:        the code that a refused client is told, '' for `code`
    scope:       what it counts by, joined with '+': 'account', 'key+model'
    unit:        'requests', 'output_tokens', 'usd', 'concurrent', 'distinct prompts', …
    kind:        'rate', 'budget', 'rolling', 'lease', 'distinct', 'exposure'
    amount:      the limit's amount, in the unit (micro-dollars for usd)
    asked:       what this request would have taken, in the unit
    remaining:   what was left before it, in the unit
    retry_after: microseconds until it would fit; None when it never will
    """

    code: str
    policy: str = ""
    limit: str = ""
    scope: str = ""
    unit: str = ""
    kind: str = ""
    amount: int = 0
    asked: int = 0
    remaining: int = 0
    retry_after: int | None = None
    because: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class Raise:
    """A limit without room raises the standing of the account that asked, from its next request on.

    level:  watch, guarded or restricted
    lasts:  microseconds, from the moment of the charge
    reason: the limit and its numbers, 'limit.raised'
    """

    level: Level
    lasts: int
    reason: Reason

    @property
    def policy(self) -> str:
        """The limit's policy."""
        return self.reason.policy

    @property
    def limit(self) -> str:
        """The limit."""
        return self.reason.limit


@dataclass(frozen=True, slots=True)
class Decision:
    """The whole: an effect, all reasons for it, and what shadow limits would have said.

    reasons:     of a refusal, what refuses; else what shapes or delays. Then what raises or flags
    retry_after: microseconds until the request would fit every limit that refused it;
                 None when waiting does not help (or nothing was refused)
    blind:       the counters did not answer; limits were decided by their on_store_error
    shape:       what is changed in request and answer, of all shapes the strictest
    level:       the account's standing, as it was before this request raised it
    raised:      what raises it; each is among the reasons too
    """

    effect: Effect
    reasons: tuple[Reason, ...] = ()
    shadowed: tuple[Reason, ...] = ()
    retry_after: int | None = None
    blind: bool = False
    shape: Shape = NO_SHAPE
    level: str = "clear"
    raised: tuple[Raise, ...] = ()
