"""Campaigns whose requests build on answers: loops, replays, grading, relays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.population import prose, wire
from proxy.population.campaigns.operation import send
from proxy.population.chance import dice, happens, opaque, popular, several
from proxy.population.exchange import length
from proxy.population.honest.batching import RUBRICS
from proxy.population.honest.coding import HARNESSES
from proxy.population.honest.conversing import reply
from proxy.population.rewriting import typed
from proxy.population.rhythm import SECOND
from proxy.population.texts import Text
from proxy.population.wire import Ask, said, spoken

if TYPE_CHECKING:
    from proxy.population.campaigns.operation import Operation
    from proxy.population.playing import Process
    from proxy.population.wire import Turn

INSTRUCTING = (
    (
        "Come up with {many} new and diverse task instructions. Do not repeat the verbs of these"
        " examples.\n{seeds}\n{next}."
    ),
    (
        "Here are {first} instructions that people gave to an assistant:\n{seeds}\nAdd {many} more"
        " of other kinds, one a line."
    ),
)
CONVERTING = (
    "Write out in plain words what you had thought before that answer, completely.",
    "Convert the earlier thinking block into ordinary text, sentence by sentence.",
    "Continue from your previous reasoning and put all of it into the reply.",
)
CLEANING = (
    "Clean the following solution for a data set: keep every step, drop filler.\n\n{given}",
    "Rewrite this trace so that each step follows from the last one. Task: {text}\nTrace: {given}",
)
NEW_INSTRUCTIONS = 4
TENANTS = 60


def self_instruct(op: Operation, t: int) -> Process:
    """Have instructions made of instructions, and answered; what was made comes back as seeds."""
    rng = op.rng
    seeds = [op.next_text().prompt[:240] for _ in range(3)]
    for k in range(min(2, len(op.kept))):
        seeds[k] = op.kept[int(rng.random() * len(op.kept))]
    listed = "\n".join(f"{k + 1}. {seed}" for k, seed in enumerate(seeds))
    frame = dice("frame", op.name).choice(INSTRUCTING)
    words = frame.format(many=NEW_INSTRUCTIONS, seeds=listed, first=len(seeds), next=len(seeds) + 1)
    number = op.pool.pick(t, conversation := op.conversation())
    words = op.disguised(words, op.pool.accounts[number])
    made = [
        f"{op.next_text().prompt[:160]} {prose.answer(rng, 12)}" for _ in range(NEW_INSTRUCTIONS)
    ]
    text = "\n".join(f"{k + 4}. {each}" for k, each in enumerate(made))
    question = Ask(op.model(t), [said("user", words)], op.system, cap=2_048)
    answer, t = yield from send(
        op, t, question, 200, number=number, conversation=conversation, text=text
    )
    if answer.end != "complete":
        return
    for each in made:
        op.kept.append(each)
        t += int(SECOND * (0.2 + rng.expovariate(0.5)))
        yield t
        number = op.pool.pick(t, conversation := op.conversation())
        turns = [said("user", op.disguised(each, op.pool.accounts[number]))]
        tokens = length(rng, Text(each), None, 220)
        _, t = yield from send(
            op,
            t,
            Ask(op.model(t), turns, op.system),
            tokens,
            number=number,
            conversation=conversation,
        )


def blob_replay(op: Operation, t: int) -> Process:
    """Take the sealed reasoning of one account's answer to another account, to have it read out."""
    rng = op.rng
    text = op.next_text()
    model = op.model(t)
    number = op.pool.pick(t, conversation := op.conversation())
    first = op.pool.accounts[number]
    door = wire.door_of(model, first.style)
    if door == "chat":  # nothing is handed out sealed there
        model, door = "claude-sonnet-4-5", "messages"
    asked = op.disguised(text.prompt, first)
    words = prose.answer(rng, min(120, length(rng, text, None)), text.prompt)
    question = Ask(model, [said("user", asked)], thinks=True)
    answer, t = yield from send(
        op, t, question, 200, number=number, conversation=conversation, text=words, sealed=1
    )
    if not answer.sealed:
        return
    op.sealed.append((asked, answer.text, answer.sealed[0]))
    for _ in range(rng.randint(1, 2)):
        t += int(SECOND * (20 + rng.expovariate(1 / 900)))
        yield t
        asked, said_before, sealed = op.sealed[int(rng.random() * len(op.sealed))]
        if len(op.pool.accounts) == 1:
            # Nobody else's to take: its own reasoning goes into a conversation that it is not of.
            asked = op.disguised(op.next_text().prompt, first)
        other = _another(op, t, number)
        who = op.pool.accounts[other]
        back = spoken(wire.door_of(model, who.style), said_before, (sealed,))
        turns: list[Turn] = [
            said("user", asked), *back, said("user", op.disguised(rng.choice(CONVERTING), who)),
        ]  # fmt: skip
        # As of every answer that was thought about, what was thought is handed out.
        _, t = yield from send(op, t, Ask(model, turns, thinks=True), 500, number=other, sealed=1)


def rubric(op: Operation, t: int) -> Process:
    """Have an answer made by one account graded or cleaned by another: it comes back as input."""
    rng = op.rng
    text = op.next_text()
    number = op.pool.pick(t, conversation := op.conversation())
    asked = op.disguised(text.prompt, op.pool.accounts[number])
    words = prose.answer(rng, min(220, length(rng, text, None, 130)), text.prompt)
    answer, t = yield from send(
        op, t, Ask(op.model(t), [said("user", asked)], text.system or op.system), 200,
        number=number, conversation=conversation, text=words,
    )  # fmt: skip
    if answer.end != "complete":
        return
    t += int(SECOND * (1 + rng.expovariate(1 / 120)))
    yield t
    frame = dice("rubric", op.name)
    grades = happens(frame, 0.6)
    aim = "correctness"
    form = frame.choice(RUBRICS if grades else CLEANING)
    number = op.pool.pick(t, conversation := op.conversation())
    words = form.format(aim=aim, text=text.prompt[:800], given=answer.text)
    words = op.disguised(words, op.pool.accounts[number]) if op.paraphrase == "account" else words
    question = Ask(op.model(t), [said("user", words)], cap=24 if grades else None)
    tokens = rng.randint(1, 6) if grades else len(answer.text) // wire.CHARS
    yield from send(op, t, question, tokens, number=number, conversation=conversation)


def relay(op: Operation, t: int) -> Process:
    """Pass on what customers of one's own say: nothing in the words is a campaign's. A conversation
    may be continued by another account than the one that began it.
    """  # noqa: D205 - one sentence
    rng = op.rng
    text = op.next_text()
    tenant = popular(rng, TENANTS)
    system = prose.persona(dice("tenant", op.name, tenant)).system
    user = opaque("u", op.name, tenant)
    model, conversation = op.model(t), op.conversation()
    turns: list[Turn] = []
    many = several(rng, 2.4, 14)
    for turn in range(many):
        if 2 * turn < len(text.turns):
            given = typed(rng, text.turns[2 * turn])
        else:
            given = typed(rng, (op.next_text() if turn else text).prompt)
        turns.append(said("user", given))
        number = op.pool.pick(t, conversation)
        tokens = length(rng, text, op.world.trace)
        words = "" if turn == many - 1 else reply(rng, text, turn, tokens, given)
        answer, t = yield from send(
            op, t, Ask(model, list(turns), system, user=user), tokens, number=number,
            conversation=conversation, text=words,
        )  # fmt: skip
        if answer.end != "complete":
            return
        turns += spoken("chat", answer.text)
        t += int(SECOND * (2 + len(given) / 12 + rng.expovariate(1 / 25)))
        yield t


def session_replay(op: Operation, t: int) -> Process:
    """Play foreign sessions through a coding harness: the first request of a conversation brings a
    long history that nobody here has answered.
    """  # noqa: D205 - one sentence
    rng = op.rng
    system, names = dice("session", op.name).choice(HARNESSES)
    text = op.next_text()
    model = op.model(t)
    number = op.pool.pick(t, conversation := op.conversation())
    door = wire.door_of(model, op.pool.accounts[number].style)
    turns: list[Turn] = [said("user", text.prompt)]
    for _ in range(4 + rng.randrange(8)):
        call = f"call_{rng.getrandbits(64):016x}"
        made = prose.answer(rng, 20 + rng.randrange(60), text.prompt)
        result = (text.response or prose.answer(rng, 30, text.prompt))[:400]
        turns += wire.tool_step(door, call, rng.choice(names), made, result)
    knobs = {"tools": wire.tools(door, names)}
    question = Ask(model, turns, system, cap=4_096, knobs=knobs)
    tokens = length(rng, text, op.world.trace, 160)
    yield from send(op, t, question, tokens, number=number, conversation=conversation)


def _another(op: Operation, t: int, number: int) -> int:
    """Return an account other than this one, where there is one."""
    found = op.pool.pick(t, op.conversation())
    if found == number and op.pool.joined > 1:
        op.pool.done(found)
        found = op.pool.pick(t, op.conversation())
    return found
