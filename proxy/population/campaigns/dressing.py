"""A costume: what a campaign asks, as if a product's users had asked it in conversations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from proxy.population import prose, wire
from proxy.population.chance import dice, several
from proxy.population.honest.conversing import MOST_TURNS, TURNS, end_user
from proxy.population.rhythm import HOUR

if TYPE_CHECKING:
    from random import Random

    from proxy.population.account import Account
    from proxy.population.prose import Persona
    from proxy.population.wire import Ask, Style, Turn

USERS = 60  # that an account in a costume pretends to have


@dataclass(slots=True)
class Thread:
    """A conversation that never was: unrelated questions of a harvest, one after the other.

    model: that answers it; left: questions that still go into it
    last:  moment of the last one, microseconds since the epoch
    """

    model: str
    system: str = field(repr=False)
    user: str = field(repr=False)
    left: int
    last: int
    turns: list[Turn] = field(default_factory=list, repr=False)

    def worn(self, question: Ask) -> Ask:
        """Return a question as the next one of this conversation."""
        return replace(
            question,
            model=self.model,
            turns=[*self.turns, *question.turns],
            system=self.system,
            user=self.user,
        )

    def heard(self, question: Ask, text: str, style: Style) -> None:
        """Go on with what was answered."""
        self.turns += [*question.turns, *wire.spoken(wire.door_of(self.model, style), text)]
        self.left -= 1


def thread(rng: Random, last: Thread | None, who: Account, question: Ask, t: int) -> Thread:
    """Return the conversation that a question goes into: an account's last one, or a new one."""
    if last is not None and last.left > 0 and t - last.last < HOUR:
        last.last = t
        return last
    many = several(rng, TURNS, MOST_TURNS)
    return Thread(question.model, who.persona.system, end_user(who, USERS), many, t)


def in_costume(persona: Persona, *owner: object) -> Persona:
    """Return a product that has a prompt of its own, as those have that matter."""
    if persona.system not in {"", prose.QUICK_START}:
        return persona
    return replace(persona, system=prose.persona(dice("costume", *owner)).system)
