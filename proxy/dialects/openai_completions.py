"""OpenAI's legacy completions: `POST /v1/completions`, JSON and server-sent events.

Several prompts in one request have `n` answers each; of `best_of` that are made, `n` are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.core.facts import RequestFacts
from proxy.dialects import openai_knobs as knobs
from proxy.dialects.base import Forwarded
from proxy.dialects.draft import Draft
from proxy.dialects.openai_errors import error, refuse
from proxy.dialects.openai_fields import (
    flag,
    integer,
    model_of,
    number,
    positive,
    string,
    wants_usage,
)
from proxy.dialects.openai_forward import shape_common, with_usage
from proxy.dialects.openai_knobs import features_of, refuse_other_models
from proxy.dialects.openai_reader import reader_of
from proxy.dialects.openai_texts import Texts, texts_of
from proxy.dialects.openai_trim import COMPLETIONS
from proxy.dialects.ratelimit_headers import headers
from proxy.dialects.strict_json import parse_object
from proxy.dialects.tokens import count

if TYPE_CHECKING:
    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader, Call
    from proxy.dialects.tokens import RulesOf, TokenRules

__all__ = ["NAME", "answer", "error", "forward", "headers", "read", "refuse"]

NAME = "openai.completions"
MAX_CHOICES = 128
MAX_ANSWERS = 4_096
NATIVE_CAP = 16  # tokens of an answer whose request says nothing
# A server may heed either name of the cap; the first is OpenAI's.
CAPS = ("max_tokens", "n_predict")
STRIPPED = {**knobs.STRIPPED, "logprobs": ("logprobs", "n_probs")}

# Knobs that are in use when they are truthy, or when they are there at all.
_TRUTHY = ("echo", "logit_bias", "stop", "suffix")
_THERE = ("logprobs", "prompt_logprobs", "seed")


def read(
    body: bytes,
    rules_of: RulesOf,
    call: Call,  # noqa: ARG001 - all of it is in the body
) -> tuple[RequestFacts, ...]:
    """Return the facts of a completion; raises RequestError and nothing else."""
    asked = parse_object(body)
    model = model_of(asked)
    refuse_other_models(asked)
    rules = rules_of(model)
    stream = flag(asked, "stream")
    asks_usage = wants_usage(asked)
    prompts = _prompts(asked)
    answers = positive(asked, "n", MAX_CHOICES) or 1
    best_of = positive(asked, "best_of", MAX_CHOICES) or 1
    several = len(prompts.lines)
    choices = max(answers, best_of) * several
    if choices > MAX_ANSWERS:
        raise RequestError(
            f"Invalid 'prompt': this would make {choices} answers. Expected at most {MAX_ANSWERS}.",
            param="prompt",
        )
    caps = [cap for name in CAPS if (cap := integer(asked, name)) is not None]
    cap = max(caps, default=None)
    flag(asked, "echo")
    temperature = number(asked, "temperature")
    suffix = string(asked, "suffix")
    most = min(NATIVE_CAP, rules.reserve_output_tokens) if cap is None else cap
    return (
        RequestFacts(
            dialect=NAME,
            model=model,
            stream=stream,
            prompt_tokens=prompts.cost(rules.counter) + count(suffix, rules.counter),
            output_tokens=min(most, rules.max_output_tokens),
            output_capped=cap is not None,
            choices=choices,
            prompts=several,
            features=_features(asked, answers, best_of),
            wants_usage=stream and asks_usage,
            user=string(asked, "user"),
            prompt="\n".join((*prompts.lines, suffix)) if suffix else prompts.text(),
            turns=prompts.turns(),
            temperature=temperature,
        ),
    )


def forward(body: bytes, facts: RequestFacts, shape: Shape) -> Forwarded:
    """Return what goes upstream: the client's bytes, shaped, with a stream's usage asked for."""
    if shape.body_empty:
        return Forwarded(with_usage(body, facts))
    draft = Draft(body)
    shape_common(draft, facts, shape, STRIPPED, CAPS, NATIVE_CAP)
    for name in ("logprobs", "n_probs", "prompt_logprobs"):
        draft.clamp(name, shape.top_logprobs, "top_logprobs")
    draft.body = with_usage(draft.body, facts)
    return draft.forwarded()


def answer(
    facts: RequestFacts, rules: TokenRules, content_type: str, status: int, shape: Shape
) -> AnswerReader:
    """Return the reader for an answer with this head, by what it is, not by what was asked.

    Raises UpstreamGarbageError where the content type is none that could be metered.
    """
    return reader_of(COMPLETIONS, facts, rules, content_type, status, shape)


def _prompts(asked: dict[str, object]) -> Texts:
    if asked.get("prompt_embeds") is not None:
        raise RequestError(
            "Invalid 'prompt_embeds': what it says cannot be counted. Send a 'prompt'.",
            param="prompt_embeds",
        )
    return texts_of(asked, "prompt")


def _features(asked: dict[str, object], answers: int, best_of: int) -> frozenset[str]:
    features = {name for name in _TRUTHY if asked.get(name)}
    features.update(name for name in _THERE if asked.get(name) is not None)
    features.update(features_of(asked))
    if integer(asked, "logprobs"):
        features.add("top_logprobs")  # this number is how many alternatives are told
    if answers > 1:
        features.add("n")
    if best_of > 1:
        features.add("best_of")
    return frozenset(features)
