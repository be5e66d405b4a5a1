"""A seeded rewriter: how a campaign hides a template, and how people vary what they type.

It swaps words for near synonyms, turns two clauses round, and puts a frame of politeness about it.
How good it is: exact matches, shared beginnings and hashes of masked templates are gone; the words
that carry the meaning stay. A rewriting model would do better, and whoever defeats this rewriter
has not defeated such a model.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from proxy.population.chance import happens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

LONGEST_TURNED = 600
# Shares of the texts that get a frame in front, behind; that stay as typed; that lose capitals.
FRONTED, BACKED, AS_IT_IS, LOWERED = 0.6, 0.6, 0.3, 0.2

SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "write": ("compose", "draft", "put together", "produce"), "explain": ("describe", "clarify",
    "spell out", "set out"), "show": ("give", "present", "lay out"), "give": ("provide", "offer",
    "supply"), "create": ("make", "build", "come up with"), "list": ("name", "enumerate", "note"),
    "solve": ("work out", "find the answer to", "answer"), "problem": ("task", "exercise"),
    "question": ("task", "problem", "query"), "answer": ("reply", "solution", "result"),
    "step": ("stage", "move"), "steps": ("stages", "moves"), "detailed": ("thorough", "full",
    "in-depth"), "short": ("brief", "concise"), "following": ("next", "given"),
    "text": ("passage", "piece", "excerpt"), "story": ("tale", "narrative"), "each": ("every",),
    "example": ("sample", "instance", "case"), "examples": ("samples", "instances", "cases"),
    "reasoning": ("thinking", "thought process", "working"), "result": ("outcome", "finding"),
    "using": ("with", "by means of"), "make": ("create", "produce"), "how": ("in what way", "how"),
    "many": ("a lot of", "many"), "need": ("require", "want"), "buy": ("purchase", "get"),
    "big": ("large", "sizeable"), "small": ("little", "modest"), "help": ("assist", "support"),
    "think": ("reason", "reflect"), "carefully": ("with care", "closely", "attentively"),
    "new": ("fresh", "novel"), "diverse": ("varied", "different"), "tasks": ("exercises", "jobs"),
    "task": ("exercise", "job", "assignment"), "instructions": ("prompts", "directions", "orders"),
    "instruction": ("prompt", "direction"), "total": ("sum", "overall number"), "code": ("program",
    "source code"), "function": ("routine", "method"), "grade": ("rate", "score", "assess"),
    "response": ("reply", "answer"), "summarise": ("sum up", "condense"), "before": ("ahead of",),
    "complete": ("finish", "fill out"), "about": ("on", "concerning", "regarding"),
})  # fmt: skip
FRONTS = (
    "Please ", "Could you ", "I would like you to do this: ", "This is what I need. ",
    "For a project of mine: ", "Hi! ", "Let us try this. ", "One more: ", "As an expert, ",
    "Kindly ", "When you have a moment: ", "I am stuck on this. ", "Help me here. ",
)  # fmt: skip
BACKS = (
    " Thanks.", " Thank you in advance!", " Take your time.", " That would help a lot.", " Cheers.",
    " Be precise.", " No rush.", " I appreciate it.", " Keep it readable.", " It matters to me.",
)  # fmt: skip
TYPED_FRONTS = ("hi, ", "hey ", "hello. ", "pls ", "ok so ", "quick question: ", "sorry, ", "um ")
TYPED_BACKS = (" thx", " thanks!", " please", " ??", " asap", " :)", " tia", "!")

_WORDS = re.compile(
    r"\b(" + "|".join(sorted(SYNONYMS, key=len, reverse=True)) + r")\b", re.IGNORECASE
)
_SENTENCES = re.compile(r"(?<=[.!?])\s+")


def reworded(rng: Random, text: str) -> str:
    """Return the text in other words: synonyms, sentences turned round, a frame about it."""
    text = _WORDS.sub(lambda found: _other(rng, found[0]), text)
    if len(text) < LONGEST_TURNED and happens(rng, 0.4):
        parts = _SENTENCES.split(text)
        if len(parts) > 2:  # noqa: PLR2004 - the last one asks, and stays last
            here = rng.randrange(len(parts) - 2)
            parts[here], parts[here + 1] = parts[here + 1], parts[here]
            text = " ".join(parts)
    dice = rng.random()
    if dice < FRONTED:
        front = rng.choice(FRONTS)
        plain = text[0].lower() + text[1:] if front[-2:-1].isalpha() else text
        text = front + plain
    if dice > 1 - BACKED:
        text += rng.choice(BACKS)
    return text


def typed(rng: Random, text: str) -> str:
    """Return the text as another person would type it: case, greeting, a slip of the finger."""
    dice = rng.random()
    if dice < AS_IT_IS:
        return text
    if dice < AS_IT_IS + LOWERED:
        text = text.lower()
    if happens(rng, 0.3) and len(text) > 12:  # noqa: PLR2004 - too short to misspell
        at = rng.randrange(1, min(len(text), 120) - 1)
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if happens(rng, 0.3):
        text = rng.choice(TYPED_FRONTS) + text
    if happens(rng, 0.3):
        text = text.rstrip(".?! ") + rng.choice(TYPED_BACKS)
    return text


def _other(rng: Random, word: str) -> str:
    if happens(rng, 0.35):
        return word
    found = rng.choice(SYNONYMS[word.lower()])
    return found.capitalize() if word[0].isupper() else found
