"""Customers who look like thieves: bare questions with long answers, pupils who want reasoning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.population import prose, wire
from proxy.population.chance import happens, popular, several
from proxy.population.exchange import ask, length
from proxy.population.honest.conversing import QUOTED, end_user
from proxy.population.honest.starting import starts
from proxy.population.rewriting import typed
from proxy.population.rhythm import SECOND
from proxy.population.wire import Ask, said, spoken

if TYPE_CHECKING:
    from proxy.population.account import Account, World
    from proxy.population.playing import Process
    from proxy.population.texts import Text
    from proxy.population.wire import Turn

LONG = 2.2  # times as long as other answers to the same text
AGAIN = 0.25  # share of what is written that is asked for once more, as it was
PILE = 8.0  # pieces that are ordered at once, mean
WORKING = (
    "Show your reasoning.", "pls show all the steps", "Show your work, not only the answer.",
    "explain step by step how you thought about it", "I need to see the whole working",
    "Walk me through your reasoning step by step.", "how did you get there??",
    "Think out loud, I want to learn how.",
)  # fmt: skip
MORE = (
    "why?", "I do not understand the second step", "can you show the reasoning for that again",
    "is there another way", "what if the numbers were twice as big?", "ok and the check?",
)  # fmt: skip
ASKING = 0.45  # share of the pupils' questions that want the working
EXERCISES = (60, 900)  # that a course has, from and up to
TURNS, MOST_TURNS = 2.2, 8


def writer(who: Account, world: World) -> Process:
    """Have long texts written to bare briefs, one after the other through the own list: no system
    prompt, no conversation, no users. A quarter is asked for again until somebody likes it.
    """  # noqa: D205 - one sentence
    rng = who.rng
    item = rng.randrange(who.window[1])
    for t in starts(who, world, PILE * (1 + AGAIN)):
        yield t
        many = int(rng.expovariate(1 / PILE)) + 1
        yield _pieces(who, world, t, item, many)
        item += many


def tutor(who: Account, world: World) -> Process:
    """Help pupils with the exercises of a course: known problems, and the wish to see all of the
    reasoning, in their own words. Many ask the same exercise.
    """  # noqa: D205 - one sentence
    rng = who.rng
    exercises = min(who.window[1], rng.randint(*EXERCISES))
    pupils = max(10, int(who.rate))
    for t in starts(who, world, TURNS):
        yield t
        text = who.text(world, popular(rng, exercises))
        yield _lesson(who, world, t, text, end_user(who, pupils))


def _pieces(who: Account, world: World, t: int, first: int, many: int) -> Process:
    rng = who.rng
    for k in range(many):
        text = who.text(world, first + k)
        while True:
            tokens = int(LONG * length(rng, text, world.trace, 300))
            _, t = yield from ask(who, t, Ask(who.model(t), [said("user", text.prompt)]), tokens)
            t += int(SECOND * (1 + rng.expovariate(1 / 8)))
            if not happens(rng, AGAIN):
                break


def _lesson(who: Account, world: World, t: int, text: Text, user: str) -> Process:
    rng, model = who.rng, who.model(t)
    turns: list[Turn] = []
    many = several(rng, TURNS, MOST_TURNS)
    for turn in range(many):
        words = typed(rng, text.prompt) if turn == 0 else rng.choice(MORE)
        if happens(rng, ASKING):
            words = f"{words}\n{rng.choice(WORKING)}"
        turns.append(said("user", words))
        tokens = length(rng, text, world.trace, 180)
        told = "" if turn == many - 1 else prose.answer(rng, min(tokens, QUOTED), words)
        question = Ask(model, list(turns), who.persona.system, user=user)
        answer, t = yield from ask(who, t, question, tokens, text=told)
        if answer.end != "complete":
            return
        turns += spoken(wire.door_of(model, who.style), answer.text)
        t += int(SECOND * (5 + rng.expovariate(1 / 40)))
