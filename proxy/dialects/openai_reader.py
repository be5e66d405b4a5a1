"""Which reader an answer gets: by what it is, and by what the shape changes in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.dialects.openai_answer import JsonReader
from proxy.dialects.openai_shaped_json import ShapedJsonReader
from proxy.dialects.openai_shaped_stream import ChunkShaper
from proxy.dialects.openai_stream import StreamReader
from proxy.dialects.openai_usage import most_choices
from proxy.dialects.passing import GOOD, OpaqueReader, is_stream

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader
    from proxy.dialects.openai_trim import Form
    from proxy.dialects.tokens import TokenRules

# What is stripped from answers too; the rest is only ever asked for.
_ANSWERED = frozenset({"logprobs", "prompt_logprobs"})


def reader_of(
    form: Form,
    facts: RequestFacts,
    rules: TokenRules,
    content_type: str,
    status: int,
    shape: Shape,
) -> AnswerReader:
    """Return the reader for an answer with this head.

    Raises UpstreamGarbageError where the content type is none that could be metered.
    """
    if status not in GOOD:
        return OpaqueReader(errored=True)
    stream = is_stream(content_type, asked=facts.stream)
    shaped = _changes_answers(shape, facts)
    if not stream:
        if shaped:
            return ShapedJsonReader(form, facts, shape, rules.counter)
        return JsonReader(rules.counter, form)
    shaper = ChunkShaper(form, facts, shape, rules.counter) if shaped else None
    return StreamReader(
        rules.counter,
        hide_usage=not facts.wants_usage,
        choices=facts.choices if shaper is None else shaper.expected,
        form=form,
        shaper=shaper,
    )


def _changes_answers(shape: Shape, facts: RequestFacts) -> bool:
    return not shape.body_empty and (
        shape.truncate is not None
        or shape.hide_reasoning
        or not shape.strip.isdisjoint(_ANSWERED)
        or most_choices(facts, shape) is not None
    )
