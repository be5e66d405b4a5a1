"""The honest archetypes by name, with what is usual for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from proxy.population.account import addresses, attributes, identity
from proxy.population.honest.batching import batch, cron, grader, load_test, translator
from proxy.population.honest.coding import ci, code_agent
from proxy.population.honest.conversing import chat_product, gateway, retry_storm
from proxy.population.honest.producing import tutor, writer
from proxy.population.honest.retrieving import rag
from proxy.population.honest.studying import evaluation, licensed, researcher
from proxy.population.rhythm import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.population.account import Account, World
    from proxy.population.playing import Process

# Kept out of what detectors are calibrated on: they look like thieves and are customers.
STRANGE = ("writer", "tutor")
PREPARED = 5.0  # days before a move on which the new account was signed up, mean


@dataclass(frozen=True, slots=True)
class Archetype:
    """What an honest account is like.

    process:  what it does
    rhythms:  its day, of `rhythm.HOURS`; one is chosen for each account
    size:     of its models, of `account.MODELS`
    rate:     median of requests on an ordinary weekday, and sigma of the logarithm
    plans:    weights
    purposes: what its accounts declare, weights; '' for nothing
    egress:   addresses from which it asks, from and up to
    """

    process: Callable[[Account, World], Process]
    rhythms: tuple[str, ...]
    size: str
    rate: tuple[float, float]
    plans: Mapping[str, int]
    purposes: Mapping[str, int] = field(default_factory=lambda: _SILENT)
    egress: tuple[int, int] = (1, 3)


def migration(who: Account, world: World) -> Process:
    """Move an application to a new key and account of its organisation: there from the first day
    with all of its traffic, while its templates and texts go on as they were.
    """  # noqa: D205 - one sentence
    rng = who.rng
    inner = (chat_product, batch, rag, translator)[rng.randrange(4)]
    yield inner(who, world)
    first = max(who.begins, world.start)
    moves = first + int((0.25 + rng.random() / 2) * (world.end - first))
    yield moves
    owner = moved(who.account)
    who.key, who.account, _ = identity(*owner)
    signed = moves - int(rng.expovariate(1 / PREPARED) * DAY)
    who.attributes = attributes(rng, signed, *owner, card=("org", who.org))
    who.addresses = addresses(rng, len(who.addresses))


def moved(account: str) -> tuple[str, ...]:
    """Return what the account that an account moves to is named after."""
    return (account, "moved")


_SILENT: Mapping[str, int] = MappingProxyType({"": 1})
_SELF_SERVE: Mapping[str, int] = MappingProxyType({"free": 5, "paid": 4, "enterprise": 1})
_PAYING: Mapping[str, int] = MappingProxyType({"free": 1, "paid": 6, "enterprise": 3})
_LARGE: Mapping[str, int] = MappingProxyType({"paid": 4, "enterprise": 6})
_SOME_EVAL: Mapping[str, int] = MappingProxyType({"eval": 1, "": 1})
_SOME_BATCH: Mapping[str, int] = MappingProxyType({"batch": 2, "": 3})

ARCHETYPES: Mapping[str, Archetype] = MappingProxyType({
    "chat-product": Archetype(chat_product, ("people", "people", "office"), "any", (14, 1.1),
                              _SELF_SERVE, egress=(1, 4)),
    "gateway": Archetype(gateway, ("people", "flat"), "any", (60, 1.0), _LARGE, egress=(2, 8)),
    "batch": Archetype(batch, ("night", "flat", "flat"), "small", (40, 1.1), _PAYING, _SOME_BATCH),
    "rag": Archetype(rag, ("office", "people"), "any", (14, 1.1), _PAYING),
    "code-agent": Archetype(code_agent, ("office", "office", "people"), "large", (22, 1.0),
                            _SELF_SERVE, egress=(1, 2)),
    "eval": Archetype(evaluation, ("office", "night"), "large", (16, 1.0), _SELF_SERVE, _SOME_EVAL,
                      (1, 2)),
    "cron": Archetype(cron, ("night",), "small", (6, 0.8), _PAYING, egress=(1, 1)),
    "ci": Archetype(ci, ("office",), "small", (16, 0.9), _PAYING),
    "migration": Archetype(migration, ("people", "flat"), "any", (30, 0.9), _LARGE, egress=(1, 4)),
    "retry-storm": Archetype(retry_storm, ("people", "flat"), "any", (10, 0.9), _PAYING),
    "grader": Archetype(grader, ("office", "people"), "any", (10, 1.0), _PAYING, _SOME_EVAL),
    "researcher": Archetype(researcher, ("office", "people"), "large", (9, 1.0), _SELF_SERVE,
                            egress=(1, 2)),
    "translator": Archetype(translator, ("office", "flat"), "any", (16, 1.1), _PAYING, _SOME_BATCH),
    "load-test": Archetype(load_test, ("office",), "small", (6, 0.7), _LARGE),
    "licensed": Archetype(licensed, ("flat", "office"), "large", (40, 0.8),
                          MappingProxyType({"enterprise": 1}),
                          MappingProxyType({"synthetic-licensed": 1})),
    "writer": Archetype(writer, ("office", "people", "flat"), "large", (40, 1.0), _PAYING,
                        egress=(1, 2)),
    "tutor": Archetype(tutor, ("people",), "any", (30, 1.0), _PAYING, egress=(1, 4)),
})  # fmt: skip
