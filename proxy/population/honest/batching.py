"""Work by the pile: classification, translation, grading, nightly jobs, load tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.population import prose, wire
from proxy.population.chance import dice, happens
from proxy.population.exchange import ask, length
from proxy.population.honest.starting import starts
from proxy.population.rhythm import DAY, HOUR, SECOND
from proxy.population.wire import Ask, said

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from proxy.population.account import Account, World
    from proxy.population.playing import Process

TEMPLATES = (
    "Classify the customer's message as exactly one of: {labels}.\n\nMessage: {text}\n\nLabel:",
    "Which of these topics is the text about? Topics: {labels}. Name one only.\n---\n{text}",
    "{text}\n\nAbove is a message that we received. Route it to one team: {labels}.",
    'Return JSON {{"label": …}} with a label of [{labels}] for this input:\n"{text}"',
    "Labels: {labels}\nText: {text}\nAnswer with the label and nothing else.",
)
LABELS = ("billing", "delivery", "returns", "account", "booking", "complaint", "praise", "repair",
          "legal", "sales", "urgent", "spam", "press", "partner", "hours", "card", "transfer",
          "identity")  # fmt: skip
LANGUAGES = ("German", "French", "Spanish", "Polish", "Japanese", "Portuguese", "Dutch", "Turkish",
             "Korean", "Italian")  # fmt: skip
TRANSLATIONS = (
    "Translate into {language}. Keep placeholders as they are.\n\n{text}",
    "You are a translator for {firm}. Give the {language} version of this segment only:\n{text}",
    '{language} translation, formal address, no comments:\n"{text}"',
)
RUBRICS = (
    "Grade the answer from 1 to 5 for {aim}.\n\nQuestion: {text}\n\nAnswer: {given}\n\nGrade:",
    "Rubric: 0 wrong, 1 partly right, 2 right. Aim: {aim}.\nTask: {text}\nWork: {given}\nScore:",
    "You mark homework for {aim}. Task:\n{text}\n\nStudent wrote:\n{given}\n\nThe mark, 1 to 10:",
    "Compare reply and request and rate its {aim} (1-5).\nRequest: {text}\nReply: {given}\nRating:",
)
AIMS = ("clarity", "correctness", "completeness", "politeness", "style", "relevance", "brevity")
REPORTS = (
    "Summarise yesterday's numbers for the {part} team in three points: {figures}.",
    "Write the morning note for {part}. Data: {figures}. Mention what changed most.",
    "Check these {part} figures for anything odd and answer OK or a reason: {figures}",
)
SCORED = 0.3  # share of the sorters at such models that want the labels' probabilities
PARTS = ("sales", "support", "stock", "fleet", "web", "payroll", "energy", "clinic", "press")


def batch(who: Account, world: World) -> Process:
    """Sort a pile into a closed set of labels: one template, tiny answers, by night or all day.

    Some have only the labels' first tokens to choose from and want their probabilities: biases and
    logprobs together, as a sweep sends them, but always the same biases.
    """
    rng = who.rng
    template, labels = rng.choice(TEMPLATES), ", ".join(rng.sample(LABELS, rng.randint(3, 9)))
    cap = rng.choice((5, 8, 16, 20))
    knobs = _choices(who, labels.count(",") + 1)
    nightly = happens(rng, 0.5)
    item = rng.randrange(who.window[1])
    for t in starts(who, world, 40.0 if nightly else 1.0):
        yield t
        many = int(rng.expovariate(1 / 40.0)) + 1 if nightly else 1
        # A worker of a queue: the next when the last one is done.
        yield _pile(who, world, t, item, many, template, labels, cap, knobs)
        item += many


def translator(who: Account, world: World) -> Process:
    """Documents segment by segment into one language or a few; answers as long as what is given.

    Some segments come again and again, as headings and notices do.
    """
    rng = who.rng
    template = rng.choice(TRANSLATIONS)
    languages = rng.sample(LANGUAGES, rng.randint(1, 3))
    first = 0
    for t in starts(who, world, 18.0):
        yield t
        many = int(rng.expovariate(1 / 18.0)) + 1
        yield _document(who, world, t, template, rng.choice(languages), first, many)
        first += many


def grader(who: Account, world: World) -> Process:
    """Grade what others wrote, by one rubric; a third of them grade answers of our own models,
    which they have asked for themselves: the honest twin of a reward model's harvest.
    """  # noqa: D205 - one sentence
    rng = who.rng
    rubric, aim, judge = rng.choice(RUBRICS), rng.choice(AIMS), happens(rng, 1 / 3)
    for t in starts(who, world, 12.0 if judge else 6.0):
        yield t
        yield _marking(who, world, t, rubric, aim, judge=judge)


def cron(who: Account, world: World) -> Process:
    """Do the same few jobs at the same minute of every night, with the day's figures in them."""
    rng = who.rng
    at = rng.randint(0, 5) * HOUR + rng.randint(0, 59) * 60 * SECOND - who.rhythm.offset * HOUR
    jobs = [(rng.choice(REPORTS), rng.choice(PARTS)) for _ in range(max(1, min(40, int(who.rate))))]
    midnight = world.start - DAY
    while midnight < world.end:
        t = midnight + at + int(rng.random() * 3 * SECOND)
        midnight += DAY
        if t < who.begins:
            continue
        yield t
        for report, part in jobs:
            figures = ", ".join(
                f"{rng.choice('ABCDEFGH')}{k}={rng.randint(10, 9999)}" for k in range(8)
            )
            turns = [said("user", report.format(part=part, figures=figures))]
            _, t = yield from ask(
                who, t, Ask(who.model(t), turns, who.persona.system), 40 + rng.randrange(120)
            )
            t += int(SECOND * rng.random())


def load_test(who: Account, world: World) -> Process:
    """Now and then the same prompt some hundred times in parallel: much traffic, one answer."""
    rng = who.rng
    text = who.any_text(world)
    for t in starts(who, world, 150.0):
        yield t
        for _ in range(rng.randint(4, 10)):
            yield _hammer(who, t, text.prompt, 1 + int(rng.expovariate(1 / 21)))


def _choices(who: Account, labels: int) -> Mapping[str, object]:
    """Return what an account that wants its labels' probabilities sends; nothing of the others."""
    own = dice("choices", who.account)
    if who.style.door != "chat" or not happens(own, SCORED):
        return wire.NO_KNOBS
    bias = {str(own.randrange(300, 90_000)): 100 for _ in range(labels)}
    return {"logprobs": True, "top_logprobs": min(20, labels), "logit_bias": bias}


def _pile(
    who: Account, world: World, t: int, first: int, many: int, template: str, labels: str, cap: int,
    knobs: Mapping[str, object],
) -> Process:  # fmt: skip
    rng = who.rng
    for k in range(many):
        words = template.format(labels=labels, text=who.text(world, first + k).prompt[:600])
        model = who.model(t)
        scored = knobs if model.startswith("gpt-4") else wire.NO_KNOBS
        question = Ask(model, [said("user", words)], cap=1 if scored else cap, temperature=0.0,
                       stream=False, knobs=scored)  # fmt: skip
        _, t = yield from ask(who, t, question, rng.randint(1, 4))
        t += int(SECOND * 0.02 * (1 + rng.random()))


def _document(
    who: Account, world: World, t: int, template: str, language: str, first: int, many: int
) -> Process:
    rng = who.rng
    for k in range(many):
        # A fifth of all segments are among the first dozen: a translation memory's best friends.
        at = rng.randrange(12) if happens(rng, 0.2) else first + k
        text = who.text(world, at)
        words = template.format(language=language, firm=who.persona.firm, text=text.prompt[:1200])
        tokens = max(3, int(len(text.prompt) / 3.6 * (0.8 + rng.random() / 2)))
        question = Ask(who.model(t), [said("user", words)], temperature=0.2)
        _, t = yield from ask(who, t, question, tokens)
        t += int(SECOND * (0.1 + rng.expovariate(1.0)))


def _marking(who: Account, world: World, t: int, rubric: str, aim: str, *, judge: bool) -> Process:
    rng = who.rng
    for _ in range(1 + int(rng.expovariate(1 / 6.0))):
        text = who.any_text(world)
        given = _submission(rng, text.response, text.prompt)
        if judge:
            asked = Ask(who.model(t), [said("user", text.prompt)], who.persona.system)
            answer, t = yield from ask(who, t, asked, length(rng, text, None, 80), text=given)
            if answer.end != "complete":
                continue
            given = answer.text
        words = rubric.format(aim=aim, text=text.prompt[:800], given=given)
        question = Ask(who.model(t), [said("user", words)], cap=24, temperature=0.0)
        _, t = yield from ask(who, t, question, rng.randint(1, 6))
        t += int(SECOND * (0.2 + rng.expovariate(1.0)))


def _submission(rng: Random, response: str, prompt: str) -> str:
    return response[:800] if response and happens(rng, 0.7) else prose.answer(rng, 60, prompt)


def _hammer(who: Account, t: int, words: str, many: int) -> Process:
    for _ in range(many):
        question = Ask(who.model(t), [said("user", words)], cap=64)
        _, t = yield from ask(who, t, question, 48)
