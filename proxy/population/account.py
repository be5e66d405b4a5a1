"""Accounts: ids that tell nothing, plans, addresses, models, habits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from proxy.population import prose, wire
from proxy.population.chance import dice, happens, opaque
from proxy.population.rhythm import DAY, SECOND, Rhythm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from proxy.population.prose import Persona
    from proxy.population.texts import Text, Trace
    from proxy.population.wire import Style
    from proxy.traffic.entry import Label

# What is used, by size; weights say how often an organisation's first choice.
MODELS: Mapping[str, tuple[tuple[str, int], ...]] = MappingProxyType({
    "small": (("gpt-4.1-mini", 5), ("gpt-5-mini", 4), ("claude-haiku-4-5", 4)),
    "large": (("gpt-4.1", 3), ("gpt-5", 4), ("claude-sonnet-4-5", 6), ("o3", 1)),
    "any": (("gpt-4.1-mini", 4), ("gpt-5-mini", 3), ("gpt-4.1", 3), ("gpt-5", 3),
            ("claude-haiku-4-5", 3), ("claude-sonnet-4-5", 4), ("o3-mini", 1)),
})  # fmt: skip
ZONES = (-8, -7, -6, -5, -5, -3, 0, 1, 1, 1, 2, 2, 3, 5, 7, 8, 8, 9, 10)
PLAIN = 0.35  # share of the organisations that have no system prompt, or a quick start's
AGENCIES = 40  # that pay for several organisations with one card
NETWORKS = 400  # of a few providers, in which servers stand


@dataclass(frozen=True, slots=True)
class Release:
    """A model that comes out while the population lives; `t` in microseconds."""

    model: str
    t: int


@dataclass(frozen=True, slots=True)
class World:
    """What a group of accounts lives in.

    start, end: microseconds since the epoch, `start` a midnight UTC
    texts:      what they may ask
    trace:      arrivals and answer lengths of a real service, None for made ones
    """

    start: int
    end: int
    texts: tuple[Text, ...] = field(repr=False)
    trace: Trace | None = field(default=None, repr=False)
    releases: tuple[Release, ...] = ()


@dataclass(slots=True)
class Account:
    """One account while it lives. `key`, `account` and `signed` change when it moves house.

    rate:    requests on an ordinary weekday
    begins:  its first moment, microseconds since the epoch
    window:  texts of the world that are this one's own: first index and count
    adopts:  when it moves to a model that came out, microseconds since the epoch
    trouble: stretches in which what it asks fails (first and last microsecond)
    ramp:    its first days are quiet where it begins while the population lives
    """

    key: str
    account: str
    org: str
    plan: str
    label: Label
    rng: Random = field(repr=False)
    rate: float
    begins: int
    rhythm: Rhythm
    persona: Persona
    style: Style
    models: tuple[str, ...]
    addresses: tuple[str, ...]
    attributes: Mapping[str, str]
    window: tuple[int, int] = (0, 1)
    verified: bool = False
    purpose: str = ""
    adopts: tuple[Release, ...] = ()
    trouble: tuple[tuple[int, int], ...] = ()
    ramp: bool = True

    def model(self, t: int) -> str:
        """Return the model that this one asks now."""
        for each in self.adopts:
            if t >= each.t:
                return each.model
        if len(self.models) > 1 and happens(self.rng, 0.25):
            return self.models[1 + int(self.rng.random() * (len(self.models) - 1))]
        return self.models[0]

    def text(self, world: World, index: int) -> Text:
        """Return a text of its own; the index runs round."""
        first, size = self.window
        return world.texts[(first + index % size) % len(world.texts)]

    def any_text(self, world: World) -> Text:
        """Return one of its own texts by chance."""
        return self.text(world, int(self.rng.random() * self.window[1]))


def identity(*parts: object) -> tuple[str, str, str]:
    """Return ids of a key, its account and its organisation: the same form for everybody."""
    return opaque("key", *parts), opaque("acct", *parts), opaque("org", *parts)


def attributes(rng: Random, signed: int, *owner: object, card: object = None) -> Mapping[str, str]:
    """Return what the operator knows of an account: the day of its signing up, who pays.

    signed: microseconds since the epoch
    card:   what the card is named after, where it is not the owner's own
    """
    if card is None:
        card = ("agency", rng.randrange(AGENCIES)) if happens(rng, 0.02) else owner
    day = signed // DAY
    return MappingProxyType({"signed_up": _date(day), "card": opaque("card", card, digits=8)})


def addresses(rng: Random, many: int) -> tuple[str, ...]:
    """Return addresses in ranges that nobody owns (RFC 2544, RFC 6598): servers stand together."""
    network = int(NETWORKS * rng.random() ** 2)
    found = []
    for _ in range(many):
        if happens(rng, 0.2):
            network = int(NETWORKS * rng.random() ** 2)
        second, third = divmod(network, 256)
        found.append(f"198.{18 + second}.{third}.{rng.randint(1, 254)}" if network < 512  # noqa: PLR2004
                     else f"100.64.{third}.{rng.randint(1, 254)}")  # fmt: skip
    return tuple(found)


def chosen_models(rng: Random, size: str, given: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the models of an organisation, its first choice first."""
    if given:
        pool, weights = tuple(given), [1] * len(given)
    else:
        pool, weights = tuple(m for m, _ in MODELS[size]), [w for _, w in MODELS[size]]
    many = 1 if happens(rng, 0.6) else 2
    return tuple(dict.fromkeys(rng.choices(pool, weights, k=many)))


def house(*parts: object) -> tuple[Random, Persona, Style]:
    """Return what the accounts of one organisation share: dice of its own, a product, a client."""
    rng = dice("house", *parts)
    found = prose.persona(rng)
    if happens(rng, PLAIN):
        found = replace(found, system=rng.choice(("", prose.QUICK_START)))
    return rng, found, wire.style_of(rng)


def _date(day: int) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 - of this one place

    return datetime.fromtimestamp(day * DAY // SECOND, UTC).date().isoformat()
