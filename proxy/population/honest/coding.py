"""Machines that work with code: agents at a developer's side, and continuous integration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.population import prose, wire
from proxy.population.account import addresses
from proxy.population.chance import dice, happens, several
from proxy.population.exchange import ask, length
from proxy.population.honest.starting import starts
from proxy.population.rhythm import SECOND
from proxy.population.wire import Ask, said, spoken, tool_step

if TYPE_CHECKING:
    from proxy.population.account import Account, World
    from proxy.population.playing import Process
    from proxy.population.wire import Turn

# Harnesses that anybody may use bring the same words and tools to unrelated organisations.
HARNESSES = (
    (("You are a coding agent in a terminal. Work in small steps, read before you write, run the"
      " tests after each change, and stop when they pass."), ("read_file", "edit_file", "run")),
    (("You pair with a developer inside an editor. Use the tools to look at the workspace; propose"
      " patches, never whole files."), ("open", "search", "patch", "terminal")),
    ("Autonomous software engineer. Plan, act, observe. Keep a list of what is left to do.",
     ("shell", "write", "browse")),
)  # fmt: skip
STEPS, MOST_STEPS = 7.0, 24
RUNNERS = 400


def code_agent(who: Account, world: World) -> Process:
    """Work in bursts of steps: tools, a prefix that grows, own answers echoed, sealed reasoning
    sent back in the conversation in which it was handed out.
    """  # noqa: D205 - one sentence
    rng = who.rng
    if happens(rng, 0.7):
        system, names = rng.choice(HARNESSES)
    else:
        system, names = who.persona.system, ("look", "change", "check")
    thinks = happens(rng, 0.5)
    for t in starts(who, world, STEPS, 0.25):
        yield t
        yield task(who, world, t, system, names, thinks=thinks)


def ci(who: Account, world: World) -> Process:
    """Run the same prompts for every commit of a business day, each run from another address."""
    rng = who.rng
    checks = rng.randint(4, 20)
    for t in starts(who, world, float(checks)):
        yield t
        runner = addresses(dice("runner", who.org, rng.randrange(RUNNERS)), 1)[0]
        yield _run(who, world, t, checks, runner)


def task(
    who: Account, world: World, t: int, system: str, names: tuple[str, ...], *, thinks: bool
) -> Process:
    """Play one task of an agent, step by step."""
    rng = who.rng
    text = who.any_text(world)
    model = who.model(t)
    door = wire.door_of(model, who.style)
    thinks = thinks and door != "chat"
    knobs = {"tools": wire.tools(door, names)}
    turns: list[Turn] = [said("user", text.prompt)]
    steps = several(rng, STEPS, MOST_STEPS)
    for step in range(steps):
        final = step == steps - 1 or happens(rng, 0.12)
        tokens = length(rng, text, world.trace, 90) if final else 20 + int(rng.expovariate(1 / 50))
        words = prose.answer(rng, min(tokens, 90), text.prompt)
        question = Ask(model, list(turns), system, cap=4_096, knobs=knobs, thinks=thinks)
        answer, t = yield from ask(who, t, question, tokens, text=words, sealed=1)
        if answer.end != "complete":
            return
        if final:
            turns += spoken(door, answer.text, answer.sealed)
            turns.append(said("user", who.any_text(world).prompt[:300]))
            t += int(SECOND * (5 + rng.expovariate(1 / 90)))
        else:
            call = f"call_{rng.getrandbits(64):016x}"
            result = (text.response or prose.answer(rng, 30, text.prompt))[:400]
            turns += tool_step(door, call, rng.choice(names), answer.text, result, answer.sealed)
            t += int(SECOND * (0.05 + rng.expovariate(1 / 1.2)))


def _run(who: Account, world: World, t: int, checks: int, runner: str) -> Process:
    for number in range(checks):
        text = who.text(world, number)
        question = Ask(who.model(t), [said("user", text.prompt[:800])], who.persona.system, cap=128,
                       temperature=0.0)  # fmt: skip
        _, t = yield from ask(who, t, question, length(who.rng, text, None, 60), ip=runner)
        t += int(SECOND * (0.1 + who.rng.expovariate(2.0)))
