"""People who talk: a chat product, a gateway with many tenants, a client in a retry storm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.population import prose, wire
from proxy.population.chance import dice, happens, opaque, popular, several
from proxy.population.exchange import ask, length
from proxy.population.honest.starting import starts
from proxy.population.rewriting import typed
from proxy.population.rhythm import DAY, SECOND
from proxy.population.wire import Ask, said, spoken

if TYPE_CHECKING:
    from random import Random

    from proxy.population.account import Account, World
    from proxy.population.playing import Process
    from proxy.population.texts import Text
    from proxy.population.wire import Turn
    from proxy.traffic.entry import Label

TURNS, MOST_TURNS = 2.4, 14
QUOTED = 160  # tokens of an answer that are kept at most
FOREIGN = 0.12  # share of a gateway's conversations that began with another provider


def chat_product(who: Account, world: World) -> Process:
    """Talk with many end users, whom most products name (`user`); the history grows by turns."""
    users = max(3, int(who.rate * (2 + 6 * who.rng.random())))
    for t in starts(who, world, TURNS):
        yield t
        user = end_user(who, users)
        yield conversation(who, world, t, who.persona.system, user)


def gateway(who: Account, world: World) -> Process:
    """Resells access to tenants of its own: many products behind one key, some with a history
    that another provider answered. `user` names the tenant, always the same for it.
    """  # noqa: D205 - one sentence
    tenants = max(6, int(who.rate / 10))
    for t in starts(who, world, TURNS):
        yield t
        tenant = popular(who.rng, tenants)
        system = prose.persona(dice("tenant", who.org, tenant)).system
        foreign = several(who.rng, 3.0, 5) if happens(who.rng, FOREIGN) else 0
        yield conversation(who, world, t, system, opaque("u", who.org, tenant), foreign=foreign)


def retry_storm(who: Account, world: World) -> Process:
    """Ask the same again and again while the provider fails, which it does now and then for
    minutes: the SDK's retries within the application's own.
    """  # noqa: D205 - one sentence
    rng, trouble, t = who.rng, [], who.begins
    while (t := t + int(rng.expovariate(1 / 2.5) * DAY)) < world.end:
        trouble.append((t, t + int((300 + rng.expovariate(1 / 900)) * SECOND)))
    who.trouble = tuple(trouble)
    for first, last in trouble:
        yield _insisting(who, world, first, last)
    for t in starts(who, world, 1.0):
        yield t
        yield _single(who, world, t)


def conversation(
    who: Account,
    world: World,
    t: int,
    system: str,
    user: str,
    *,
    label: Label | None = None,
    foreign: int = 0,
) -> Process:
    """Play one conversation of an end user from its first question on.

    foreign: turns of its history that somebody else answered before
    """
    rng = who.rng
    text = who.any_text(world)
    model = who.model(t)
    turns: list[Turn] = []
    for _ in range(foreign):
        turns.append(said("user", typed(rng, who.any_text(world).prompt)))
        turns.append(said("assistant", prose.answer(rng, 40, text.prompt)))
    many = several(rng, TURNS, MOST_TURNS)
    for turn in range(many):
        question = _next(rng, who, world, text, turn)
        turns.append(said("user", question))
        tokens = length(rng, text, world.trace)
        # What is not quoted again needs no words: the last answer is counted and not written.
        words = "" if turn == many - 1 else reply(rng, text, turn, tokens, question)
        answer, t = yield from ask(
            who, t, Ask(model, list(turns), system, user=user), tokens, text=words, label=label
        )
        if answer.end != "complete":
            return
        turns += spoken(wire.door_of(model, who.style), answer.text)
        t += int(SECOND * (2 + len(question) / 12 + rng.expovariate(1 / 25)))


def end_user(who: Account, users: int) -> str:
    """Return one of an account's end users, a few of whom come all the time; '' for no names."""
    return opaque("u", who.org, popular(who.rng, users)) if who.style.names_users else ""


def single(
    who: Account, world: World, t: int, system: str, user: str = "", *, label: Label | None = None
) -> Process:
    """Play one question without a history."""
    text = who.any_text(world)
    tokens = length(who.rng, text, world.trace)
    turns = [said("user", typed(who.rng, text.prompt))]
    yield from ask(who, t, Ask(who.model(t), turns, system, user=user), tokens, label=label)


def _single(who: Account, world: World, t: int) -> Process:
    yield from single(who, world, t, who.persona.system)


def _insisting(who: Account, world: World, first: int, last: int) -> Process:
    """Ask the same until it is answered, in some workers at once."""
    for _ in range(2 + int(who.rng.random() * 4)):
        yield _stubborn(who, world, first + int(who.rng.random() * 60 * SECOND), last)


def _stubborn(who: Account, world: World, t: int, last: int) -> Process:
    text = who.any_text(world)
    question = Ask(who.model(t), [said("user", text.prompt)], who.persona.system)
    while t < last + 60 * SECOND:
        tokens = length(who.rng, text, world.trace)
        answer, t = yield from ask(who, t, question, tokens, tries=6)
        if answer.end == "complete":
            return
        t += int(SECOND * (1 + who.rng.expovariate(1 / 15)))


def _next(rng: Random, who: Account, world: World, text: Text, turn: int) -> str:
    """Return what the user says in its turn: as the text goes on, or the next thing on its mind."""
    if 2 * turn < len(text.turns):
        return typed(rng, text.turns[2 * turn])
    return typed(rng, text.prompt if turn == 0 else who.any_text(world).prompt)


def reply(rng: Random, text: Text, turn: int, tokens: int, question: str) -> str:
    """Return an answer's words: as the text has them, in other words, so that no two are equal."""
    size = min(tokens, QUOTED)
    if 2 * turn + 1 < len(text.turns):
        begun = text.turns[2 * turn + 1][:400]
        return f"{begun} {prose.answer(rng, max(8, size - len(begun) // wire.CHARS), question)}"
    return prose.answer(rng, size, question)
