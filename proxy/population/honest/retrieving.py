"""RAG: long prompts out of a corpus of one's own, questions that come again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.population.chance import happens, popular
from proxy.population.exchange import ask, length
from proxy.population.honest.starting import starts
from proxy.population.rewriting import typed
from proxy.population.wire import Ask, said

if TYPE_CHECKING:
    from proxy.population.account import Account, World
    from proxy.population.playing import Process

# What frameworks ship and many of their users leave as it is: the same words at unrelated firms.
SHIPPED = (
    (
        "Use the following pieces of context to answer the question at the end. If the context does"
        " not hold the answer, say that you do not know.\n\n{context}\n\nQuestion: {question}\n"
        "Helpful answer:"
    ),
    (
        "Context information is below.\n---------------------\n{context}\n---------------------\n"
        "Given the context and no prior knowledge, answer: {question}"
    ),
)
OWN = (
    "Sources:\n{context}\n\nA customer of {firm} asks: {question}\nCite the number of the source.",
    "{firm} knowledge base, best matches first.\n\n{context}\n\nReply to this: {question}",
    "Question: {question}\n\nExcerpts from our documents:\n{context}",
)
PASSAGE = 420  # characters


def rag(who: Account, world: World) -> Process:
    """Answer questions from a corpus: the context is long and varied, the questions follow Zipf.

    Two fifths of them ask for an embedding of the question first.
    """
    rng = who.rng
    template = rng.choice(SHIPPED) if happens(rng, 0.45) else rng.choice(OWN)
    questions, passages = rng.randint(40, 900), rng.randint(60, 1_500)
    depth, embeds = rng.randint(2, 6), happens(rng, 0.4)
    for t in starts(who, world, 2.0 if embeds else 1.0):
        yield t
        yield _question(who, world, t, template, questions, passages, depth, embeds=embeds)


def _question(
    who: Account, world: World, t: int, template: str, questions: int, passages: int, depth: int,
    *, embeds: bool,
) -> Process:  # fmt: skip
    rng = who.rng
    number = popular(rng, questions)
    text = who.text(world, number)
    asked = text.prompt if happens(rng, 0.5) else typed(rng, text.prompt)
    if embeds:
        _, t = yield from ask(
            who, t, Ask("text-embedding-3-small", [], knobs={"input": asked[:800]}), 0
        )
    context = "\n\n".join(
        f"[{k + 1}] {passage(who, world, (number * 7 + k * 13 + rng.randrange(2)) % passages)}"
        for k in range(depth)
    )
    words = template.format(context=context, question=asked[:600], firm=who.persona.firm)
    question = Ask(who.model(t), [said("user", words)], who.persona.system)
    yield from ask(who, t, question, length(rng, text, world.trace, 110))


def passage(who: Account, world: World, number: int) -> str:
    """Return a piece of the account's corpus: the same number, the same piece."""
    parts = (who.text(world, 3 * number + k) for k in range(3))
    return " ".join(part.response or part.prompt for part in parts)[:PASSAGE]
