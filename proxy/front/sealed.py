"""Sealed reasoning that a request brings along: opened, dropped or turned away, and noted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.errors import ReasoningForeignError
from proxy.core.sealing import NOWHERE
from proxy.dialects.binding import DROP, PASS, REFUSE, Bound, found
from proxy.journal.record import ForeignEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.core.sealing import Kind, Sealing
    from proxy.core.shape import Change
    from proxy.front.exchange import Exchange
    from proxy.policy.compiled import Policy

STRICTEST = (REFUSE, DROP, PASS)


@dataclass(slots=True)
class Seals:
    """Opens the requests of one worker.

    sealing: made of the pepper, so that all gateways read each other's wrappings
    """

    sealing: Sealing

    def opened(
        self,
        exchange: Exchange,
        facts: RequestFacts,
        body: bytes,
        principal: Principal,
        address: str,
        policies: Iterable[Policy],
    ) -> tuple[bytes, tuple[Change, ...]]:
        """Return the body for the model API, and what was changed in it.

        What the policies refuse is only noted here: `check_turned_away` says it, once the limits
        have decided, so that it counts as asked.
        """
        known = None
        if exchange.claim is not None:
            # What reads an answer asks nothing: it was made for what was asked then.
            known = exchange.claim.anchor or NOWHERE
        bound = exchange.bound = Bound(
            self.sealing, principal.account, principal.org, facts.dialect, body, known
        )
        things = found(bound)
        if things is None:
            return body, ()
        exchange.foreign = things.foreign
        rule = DROP
        if exchange.foreign:
            exchange.record.foreign = _entry(exchange.foreign)
            rule = foreign_rule(policies, principal, facts, address)
            exchange.turned_away = rule == REFUSE
        bound.body, changes = things.opened(rule)
        return bound.body, changes


def foreign_rule(
    policies: Iterable[Policy], principal: Principal, facts: RequestFacts, address: str
) -> str:
    """Return what happens to foreign reasoning: the strictest word of the policies that speak."""
    said = {
        policy.foreign
        for policy in policies
        if policy.foreign and policy.applies(principal, facts, address)
    }
    return next((rule for rule in STRICTEST if rule in said), DROP)


def check_turned_away(exchange: Exchange) -> None:
    """Raise ReasoningForeignError where the policies refuse what the request brings along."""
    if not exchange.turned_away:
        return
    raise ReasoningForeignError(
        "This request carries reasoning (thinking signatures or encrypted reasoning items) that "
        "was not handed to this account in this conversation. Send the conversation again "
        "without its thinking blocks or reasoning items."
    )


def _entry(foreign: dict[Kind, int]) -> ForeignEntry:
    return ForeignEntry(**{kind.value: count for kind, count in foreign.items()})
