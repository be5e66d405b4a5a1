"""People who measure models: evaluations, prompt research, licensed data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.population import prose
from proxy.population.chance import happens
from proxy.population.exchange import ask, length
from proxy.population.honest.starting import starts
from proxy.population.rhythm import HOUR, SECOND
from proxy.population.wire import Ask, said

if TYPE_CHECKING:
    from proxy.population.account import Account, World
    from proxy.population.playing import Process
    from proxy.population.texts import Text

# Prompts of public evaluation harnesses: the same words at unrelated laboratories, and at thieves.
HARNESSES = (
    "{text}", "Question: {text}\nAnswer:", "{text}\nLet's think step by step.",
    "Solve the following problem. End with 'The answer is N'.\n\n{text}",
    "Q: {text}\nA: Let us reason step by step.", "{text}\n\nPut the final answer on the last line.",
)  # fmt: skip
CAPS = (32, 64, 128, 256, 400, 512)
VARIANTS = (
    "{text}", "You are an expert. {text}", "{text} Explain your steps.", "{text} In one word.",
    "Think it over first. {text}", "{text}\n\nFormat: JSON.", "As a teacher would say it: {text}",
    "{text} Justify the result.", "In the style of a newspaper: {text}", "{text} Be brief.",
)  # fmt: skip
RED_TEAM = 0.15  # share of studies that try what a model declines


def evaluation(who: Account, world: World) -> Process:
    """Go over one finite public set again and again, a pass for every model and version: known
    prompts, T=0, short caps, workers in parallel. Half of them declare it.
    """  # noqa: D205 - one sentence
    rng = who.rng
    items = min(who.window[1], max(12, int(who.rate * (3 + 6 * rng.random()))), 1_400)
    harness, cap, workers = rng.choice(HARNESSES), rng.choice(CAPS), rng.randint(1, 8)
    models = (*who.models, *(each.model for each in world.releases if happens(rng, 0.5)))
    for release in world.releases:
        if release.model in models:
            # Whoever measures models does it on the day that they come out.
            began = release.t + int(rng.random() * 20 * HOUR)
            yield _pass(who, world, began, items, harness, cap, workers, release.model)
    for passes, t in enumerate(starts(who, world, float(items), 1.5)):
        yield t
        out = [
            model for model in models if all(model != r.model or t > r.t for r in world.releases)
        ]
        if out:
            yield _pass(who, world, t, items, harness, cap, workers, out[passes % len(out)])


def researcher(who: Account, world: World) -> Process:
    """Try variants of a prompt on a few items: temperatures, samples, now and then logprobs. Some
    studies are of what a model declines: the honest twin of a probing phase.
    """  # noqa: D205 - one sentence
    rng = who.rng
    own = [f"{rng.choice(prose.RULES)} {each}" if happens(rng, 0.5) else each for each in VARIANTS]
    for t in starts(who, world, 45.0):
        yield t
        variants = rng.sample(own, rng.randint(3, 9))
        declined = 0.7 if happens(rng, RED_TEAM) else 0.0
        yield _study(
            who, world, t, variants, rng.randint(4, 12), declined, scores=happens(rng, 0.3)
        )


def licensed(who: Account, world: World) -> Process:
    """Make training data as the contract allows it: distillation by content, and declared."""
    rng = who.rng
    item = rng.randrange(who.window[1])
    system = rng.choice(("", who.persona.system))
    for t in starts(who, world, 1.0):
        yield t
        text = who.text(world, item)
        item += 1
        yield _example(who, world, t, text, system)


def _pass(
    who: Account, world: World, t: int, items: int, harness: str, cap: int, workers: int, model: str
) -> Process:
    yield max(t, who.begins)
    for worker in range(workers):
        yield _worker(
            who, world, max(t, who.begins), range(worker, items, workers), harness, cap, model
        )


def _worker(
    who: Account, world: World, t: int, numbers: range, harness: str, cap: int, model: str
) -> Process:
    rng = who.rng
    for number in numbers:
        text = who.text(world, number)
        words = harness.format(text=text.prompt)
        question = Ask(model, [said("user", words)], text.system, cap=cap, temperature=0.0,
                       stream=False)  # fmt: skip
        _, t = yield from ask(who, t, question, length(rng, text, None, 130))
        t += int(SECOND * 0.03 * (1 + rng.random()))


def _study(
    who: Account, world: World, t: int, variants: list[str], items: int, declined: float,
    *, scores: bool,
) -> Process:  # fmt: skip
    rng = who.rng
    first, model = rng.randrange(who.window[1]), who.model(t)
    if scores and not model.startswith("claude"):
        model = "gpt-4.1"
    for k in range(items):
        text = who.text(world, first + k)
        for variant in variants:
            knobs: dict[str, object] = {}
            if model == "gpt-4.1" and who.style.door == "chat":
                if scores:
                    knobs = {"logprobs": True, "top_logprobs": 5}
                elif happens(rng, 0.2):
                    knobs = {"n": rng.randint(2, 4)}
            warm = rng.choice((0.0, 0.3, 0.7, 1.0))
            words = variant.format(text=text.prompt[:1500])
            question = Ask(model, [said("user", words)], temperature=warm, knobs=knobs)
            tokens = length(rng, text, world.trace, 120)
            told = prose.refusal(rng) if rng.random() < declined else ""
            _, t = yield from ask(who, t, question, tokens, text=told)
            t += int(SECOND * (0.3 + rng.expovariate(0.4)))


def _example(who: Account, world: World, t: int, text: Text, system: str) -> Process:
    question = Ask(who.model(t), [said("user", text.prompt)], system or text.system)
    yield from ask(who, t, question, length(who.rng, text, world.trace, 200))
