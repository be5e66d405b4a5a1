"""One exchange as profiles see it: who, when, what kind of thing was asked, what was served."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.watch.features import Features


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a profile is of, as policies choose them; the newest request says it."""

    account: str
    org: str = ""
    plan: str = ""
    purpose: str = ""
    verified: bool = False
    model: str = ""


@dataclass(slots=True)
class Observation:
    """One metered exchange.

    at, ended: arrival and settlement, microseconds since the epoch
    features:  what was asked, keyed; None where only facts are known (traffic of a journal)
    how:       'complete', 'error', 'abandoned', 'broken' or 'refused' (by us)
    full:      an answer was served and nothing of it was changed
    knobs:     features of the request (`core.facts.FEATURES`)
    choices, capped, temperature: as the request asked; None for a temperature that it did not name
    at_cap:    it asked for as many tokens as the model can write
    prompt_tokens, output_tokens, reasoning_tokens: of the answer, as it was settled
    declined:  the provider itself refused (its refusal or content filter), not we
    retry:     which try an SDK said that this was; above 0 it is not asked anew
    user:      keyed fingerprint of the end user that was named, 0 for none
    history:   assistant turns that the request brought along; unserved: those of them that this
               account was never served here, as far as we remember
    echoed:    the request holds, outside of its history, what this account was served
    foreign:   sealed reasoning in the request that was not this account's and conversation's own:
               1 for an item of another organisation's account, 1/3 for one of another
               conversation, 1/20 for one that was never wrapped
    running:   answers of this account that were under way at its arrival, in this process
    gap:       microseconds since the account's request before, in this process; None for the first
    served:    marks of the answer's text (`features.marks`), to know it again
    """

    subject: Subject
    at: int
    ended: int
    features: Features | None = None
    how: str = "complete"
    full: bool = True
    knobs: frozenset[str] = frozenset()
    choices: int = 1
    capped: bool = False
    at_cap: bool = False
    temperature: float | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    declined: bool = False
    retry: int = 0
    user: int = 0
    history: int = 0
    unserved: int = 0
    echoed: bool = False
    foreign: float = 0.0
    running: int = 0
    gap: int | None = None
    served: tuple[int, ...] = field(default=(), repr=False)
