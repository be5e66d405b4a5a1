"""Whose the stored objects are: an answer that is kept for later is its account's alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxy import engine
from proxy.core.errors import ObjectUnknownError, StoreUnavailableError
from proxy.core.stored import Claim

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from proxy.core.facts import RequestFacts, Usage
    from proxy.core.principal import Principal
    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader, Call
    from proxy.front.admission import Admission
    from proxy.front.exchange import Exchange
    from proxy.metrics import Metrics
    from proxy.ports import Objects

BACKGROUND = "background"
DELETE = "DELETE"


@dataclass(slots=True)
class Ownership:
    """Claims what is made, and lets nobody else read it."""

    objects: Objects
    admission: Admission
    metrics: Metrics

    async def check(
        self, facts: RequestFacts, call: Call, principal: Principal, exchange: Exchange
    ) -> RequestFacts:
        """Return the facts of a request whose references are all its account's own.

        What reads an object is about the model that made it. Raises ObjectUnknownError (also for
        what is somebody else's) and StoreUnavailableError.
        """
        claims = await self.objects.find(facts.references)
        for identity, claim in zip(facts.references, claims, strict=True):
            if claim is None or claim.account != principal.account:
                raise ObjectUnknownError(
                    f"Response with id '{identity}' not found."
                    if call.object
                    else f"Previous response with id '{identity}' not found.",
                    identity,
                    param=None if call.object else "previous_response_id",
                )
        if not call.object:
            return facts
        exchange.claim = claims[0]
        exchange.record.object_id = call.object
        assert exchange.claim is not None
        return replace(facts, model=exchange.claim.model)

    def claiming(
        self, exchange: Exchange, facts: RequestFacts, principal: Principal, shape: Shape
    ) -> Callable[[AnswerReader], Awaitable[None]]:
        """Return how the objects that an answer names become its account's."""

        async def claim(reader: AnswerReader) -> None:
            first = exchange.record.object_id == ""
            exchange.record.object_id = exchange.record.object_id or reader.objects[0]
            reservation = b""
            plan, charged = exchange.plan, exchange.charged
            if BACKGROUND in facts.features and exchange.local is None and plan and charged:
                reservation = engine.reservation(plan, charged)
            anchor = b"" if exchange.bound is None else exchange.bound.anchor
            made = Claim(principal.account, facts.model, shape, anchor=anchor)
            try:
                if first:
                    # What was reserved is noted once, with the answer itself.
                    kept = replace(made, reservation=reservation)
                    await self.objects.claim(reader.objects[:1], kept)
                if reader.objects[1:]:
                    await self.objects.claim(reader.objects[1:], made)
            except StoreUnavailableError:
                # Unclaimed, nobody can read it later; the answer itself is not held up.
                self.metrics.unclaimed.inc()

        return claim

    async def drop(self, identities: Sequence[str]) -> None:
        """Make objects nobody's: they are not read any more."""
        for identity in identities:
            await self.objects.forget(identity)

    async def settle(self, exchange: Exchange, call: Call, usage: Usage) -> None:
        """Settle what a finished background answer had reserved, once; forget what was deleted.

        Called when an object was read, or its making has come to an end that tells its cost.
        """
        identity, claim = exchange.record.object_id, exchange.claim
        if call.method == DELETE:
            await self.objects.forget(identity)
        elif claim is not None and not claim.reservation:
            return
        elif usage.reported_output is not None:
            reservation = await self.objects.take_reservation(identity)
            if reservation and call.object:
                spent = (
                    usage.reported_prompt or 0,
                    usage.reported_output,
                    usage.reported_cached or 0,
                )
                exchange.released_at = await self.admission.settle_reservation(
                    reservation, exchange, spent
                )
