"""The engine: what a request would take, what is decided, and what it took in the end. Pure.

The walk is `plan` -> (the store charges) -> `decide` -> (the answer is relayed) -> `spent` ->
`settle`.
A request that a capability refuses is never charged: `decide_forbidden`. What was charged for one
that is refused all the same comes back by `undo`. Where the store did not answer: `decide_blind`,
and `debits` for what was served all the same. What a decision raises the account to:
`standing_after`. What an account's profile means: `assess`, and what it raises the account to:
`standing_for`. For an answer that comes later, perhaps through
another worker: `reservation`, and `settle_reservation` when it is there.
"""

from proxy.engine.assessing import Assessment, assess, standing_for
from proxy.engine.deciding import decide, decide_blind, decide_forbidden, reshaped, turned_away
from proxy.engine.planning import Context, Plan, local_plan, plan, price
from proxy.engine.raising import highest, standing_after
from proxy.engine.reserving import reservation, settle_reservation
from proxy.engine.settling import debits, final_cost, settle, undo
from proxy.engine.spending import NOTHING, Spent, spent

__all__ = [
    "NOTHING",
    "Assessment",
    "Context",
    "Plan",
    "Spent",
    "assess",
    "debits",
    "decide",
    "decide_blind",
    "decide_forbidden",
    "final_cost",
    "highest",
    "local_plan",
    "plan",
    "price",
    "reservation",
    "reshaped",
    "settle",
    "settle_reservation",
    "spent",
    "standing_after",
    "standing_for",
    "turned_away",
    "undo",
]
