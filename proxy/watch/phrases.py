"""What a prompt asks for that harvesters ask for, by its wording.

One such prompt means nothing: people ask for reasons. Detectors look at how often, under how few
frames, and beside what else. Wordings come from what providers have published of campaigns (trace
coercion, post-hoc reasoning, rubric grading); a paraphrase defeats them, so they are weak alone.
Read on the request's path: plain searches of a lower-case text, a microsecond each, and so first
for what several wordings have in common.
"""

from __future__ import annotations

_THOUGHT = (
    "reasoning", "thinking", "thought", "scratchpad", "working memory", "monologue", "deliberation",
)  # fmt: skip
_REASONING = (
    "reasoning", "thinking", "thought process", "chain of thought", "chain-of-thought",
    "scratchpad", "working memory", "inner monologue", "internal monologue", "deliberation",
    "train of thought", "thoughts",
)  # fmt: skip
_WRITTEN_OUT = (
    "verbatim", "word for word", "in full", "every step", "all steps", "complete", "hidden",
    "internal", "before the answer", "before your answer", "before answering", "write out",
    "written out", "print", "reproduce", "articulate", "reconstruct", "transcribe", "spell out",
    "consistent with the", "do not summarise", "do not summarize", "unabridged", "read out",
    "read back", "decode", "convert",
)  # fmt: skip
_TAGS = ("<think>", "</think>", "<thinking>", "<reasoning>", "<scratchpad>", "<thoughts>", "<cot>")
_GRADES = (
    "grade", "score", "rate the", "rating", "rubric", "mark the", "evaluate the", "judge",
    "assess the", "clean up", "clean the", "rewrite the reasoning", "critique",
)  # fmt: skip
_GRADED = (
    "answer", "response", "solution", "reply", "completion", "output", "transcript", "reasoning",
)  # fmt: skip
_ASKED = ("instruction", "task", "prompt", "question", "more complex", "evolve")
_INSTRUCTIONS = (
    "new instruction", "instructions", "new task", "tasks", "new prompt", "prompts", "questions",
    "rewrite the prompt", "more complex", "evolve",
)  # fmt: skip
_MADE = (
    "come up with", "generate", "create", "write a set", "diverse", "make up", "invent",
    "similar to", "variation", "harder version", "rewrite",
)  # fmt: skip


def elicits(low: str) -> bool:
    """Return whether a lower-case text asks for reasoning to be written out."""
    if ">" in low and _any(_TAGS, low):
        return True
    return _any(_THOUGHT, low) and _any(_REASONING, low) and _any(_WRITTEN_OUT, low)


def grades(low: str) -> bool:
    """Return whether a lower-case text asks for an answer to be marked or cleaned."""
    return _any(_GRADED, low) and _any(_GRADES, low)


def instructs(low: str) -> bool:
    """Return whether a lower-case text asks for instructions or questions to be made."""
    return _any(_ASKED, low) and _any(_INSTRUCTIONS, low) and _any(_MADE, low)


def _any(phrases: tuple[str, ...], low: str) -> bool:
    # A loop: a generator would take twice as long, on the path of every request.
    for phrase in phrases:  # noqa: SIM110
        if phrase in low:
            return True
    return False


_DECLINING = (
    "i can't", "i cannot", "i can not", "i'm not able to", "i am not able to", "i'm unable to",
    "i am unable to", "i won't", "i will not", "i must decline", "i have to decline",
    "not something i can",
    "i'm sorry, but", "i am sorry, but", "against my guidelines", "can't help with",
    "cannot help with",
    "can't assist with", "cannot assist with",
)  # fmt: skip
OPENING = 160  # characters in which who declines says so


def declines(answer: str) -> bool:
    """Return whether an answer begins with the model's refusal.

    >>> declines("I'm sorry, but I can't help with that."), declines("Sure. You can't miss it.")
    (True, False)
    """
    low = answer[:OPENING].lower().replace("\u2019", "'")
    return any(phrase in low for phrase in _DECLINING)
