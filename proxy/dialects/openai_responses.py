"""OpenAI responses: `POST /v1/responses`, JSON and server-sent events.

Bytes pass through unchanged where nothing is shaped: usage comes without being asked for.
Answers that the provider keeps (`store`, its default) are objects of the account that made them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import RequestError
from proxy.core.facts import RequestFacts
from proxy.dialects import splice
from proxy.dialects.base import Forwarded
from proxy.dialects.draft import Draft, lower_effort
from proxy.dialects.openai_errors import error, refuse
from proxy.dialects.openai_fields import flag, integer, model_of, positive, string, wrong_type
from proxy.dialects.openai_knobs import features_of, refuse_other_models
from proxy.dialects.openai_prompt import tokens_of
from proxy.dialects.openai_response_json import ResponseJsonReader
from proxy.dialects.openai_response_prompt import read_prompt
from proxy.dialects.openai_response_seen import Seen
from proxy.dialects.openai_response_shaped import changes_answers, cleaning_of
from proxy.dialects.openai_response_shaped_events import CleanPassage
from proxy.dialects.openai_response_shaped_json import ShapedJsonReader
from proxy.dialects.openai_response_shaped_stream import RationPassage
from proxy.dialects.openai_response_stream import PlainPassage, ResponseStreamReader
from proxy.dialects.passing import GOOD, OpaqueReader, is_stream
from proxy.dialects.ratelimit_headers import headers
from proxy.dialects.strict_json import parse_object
from proxy.dialects.temperature import temperature_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader, Call
    from proxy.dialects.openai_response_stream import Passage
    from proxy.dialects.tokens import RulesOf, TokenRules

__all__ = ["NAME", "answer", "error", "forward", "headers", "read", "refuse"]

NAME = "openai.responses"
MAX_EFFORT = 32
# The least cap that the provider takes.
LEAST_CAP = 16
# OpenAI has only the first; other servers heed what they heed elsewhere.
STRIPPED = {
    "logprobs": ("top_logprobs", "n_probs"),
    "logit_bias": ("logit_bias", "allowed_token_ids"),
    "prompt_logprobs": ("prompt_logprobs",),
    "seed": ("seed",),
    "echo": ("echo",),
}
LOGPROBS = "message.output_text.logprobs"
SEALED = "reasoning.encrypted_content"


def read(body: bytes, rules_of: RulesOf, call: Call) -> tuple[RequestFacts, ...]:  # noqa: ARG001
    """Return the facts of a request for a response; raises RequestError and nothing else."""
    asked = parse_object(body)
    model = model_of(asked)
    refuse_other_models(asked)
    rules = rules_of(model)
    stream = flag(asked, "stream")
    background = flag(asked, "background")
    stored = asked.get("store") is None or flag(asked, "store")
    if background and not stored:
        raise RequestError("Background responses require 'store' to be true.", param="background")
    cap = positive(asked, "max_output_tokens")
    reasoning, shown = _reasoning(asked)
    prompt, references = read_prompt(asked)
    features = prompt.features | _features(asked)
    for name, used in (
        ("background", background),
        ("store", stored),
        ("reasoning", reasoning not in {"", "none"}),
        ("reasoning_text", shown),
    ):
        if used:
            features.add(name)
    text = prompt.text()
    # What goes on unwatched is paid as reserved until somebody reads it to its end.
    reserved = rules.max_output_tokens if background else rules.reserve_output_tokens
    return (
        RequestFacts(
            dialect=NAME,
            model=model,
            stream=stream,
            prompt_tokens=tokens_of(prompt, text, rules.counter),
            output_tokens=min(cap or reserved, rules.max_output_tokens),
            output_capped=cap > 0,
            reasoning=reasoning,
            features=frozenset(features),
            references=references,
            stored=stored,
            user=string(asked, "safety_identifier") or string(asked, "user"),
            prompt=text,
            turns=prompt.turns(),
            temperature=temperature_of(asked),
        ),
    )


def forward(body: bytes, facts: RequestFacts, shape: Shape) -> Forwarded:
    """Return the bytes for the upstream: the client's, but for what the shape changes."""
    if shape.body_empty:
        return Forwarded(body)
    draft = Draft(body)
    for what in sorted(shape.strip):
        draft.strip(STRIPPED.get(what, ()), what)
    if "logprobs" in shape.strip:
        _strip_include(draft)
    for name in ("top_logprobs", "n_probs", "prompt_logprobs"):
        draft.clamp(name, shape.top_logprobs, "top_logprobs")
    draft.clamp_temperature(shape)
    _shape_reasoning(draft, facts, shape)
    if shape.output_tokens is not None:
        draft.cap(("max_output_tokens",), shape.output_tokens, "clamp")
    if shape.truncate is not None:
        if not facts.stream or "background" in facts.features:
            # What nobody watches cannot be stopped on its way: nobody shall pay for the rest.
            draft.cap(("max_output_tokens",), max(shape.truncate, LEAST_CAP), "truncate")
        draft.note("truncate", "output_tokens", "", shape.truncate)
    return draft.forwarded()


def answer(
    facts: RequestFacts, rules: TokenRules, content_type: str, status: int, shape: Shape
) -> AnswerReader:
    """Return the reader for an answer with this head, by what it is, not by what was asked.

    Raises UpstreamGarbageError where the content type is none that could be metered.
    """
    if status not in GOOD:
        return OpaqueReader(errored=True)
    return reader_of(facts, rules, content_type, shape, resumable="background" in facts.features)


def reader_of(
    facts: RequestFacts, rules: TokenRules, content_type: str, shape: Shape, *, resumable: bool
) -> AnswerReader:
    """Return the reader for a good answer, made now or kept by the provider.

    resumable: the response is made whether or not somebody reads it
    """
    counter = rules.counter
    shaped = changes_answers(shape)
    if not is_stream(content_type, asked=facts.stream):
        if shaped:
            return ShapedJsonReader(cleaning_of(shape), shape.truncate, counter, facts)
        return ResponseJsonReader(counter, stored=facts.stored)
    seen = Seen(counter, stored=facts.stored)
    passage: Passage
    if not shaped:
        passage = PlainPassage(seen)
    elif shape.truncate is None:
        passage = CleanPassage(seen, cleaning_of(shape))
    else:
        passage = RationPassage(seen, cleaning_of(shape), shape.truncate, counter, facts)
    return ResponseStreamReader(passage, resumable=resumable)


def _reasoning(asked: dict[str, object]) -> tuple[str, bool]:
    """Return the effort asked for, and whether the reasoning is to be shown."""
    reasoning = asked.get("reasoning")
    if reasoning is None:
        return "", False
    if not isinstance(reasoning, dict):
        raise wrong_type("reasoning", "an object", reasoning)
    effort = string(reasoning, "effort", MAX_EFFORT)
    return effort, any(reasoning.get(name) for name in ("summary", "generate_summary"))


def _features(asked: dict[str, object]) -> set[str]:
    """Return the knobs that only the request's own members tell."""
    features = set()
    included = _included(asked)
    top = integer(asked, "top_logprobs") or 0
    if LOGPROBS in included or top:
        features.add("logprobs")
    if top:
        features.add("top_logprobs")
    if SEALED in included:
        features.add("encrypted_reasoning")
    features.update(features_of(asked))
    features.update(name for name in ("logit_bias", "stop", "echo") if asked.get(name))
    features.update(name for name in ("prompt_logprobs", "seed") if asked.get(name) is not None)
    return features


def _included(asked: dict[str, object]) -> Iterable[object]:
    included = asked.get("include")
    if included is None:
        return ()
    if not isinstance(included, list):
        raise wrong_type("include", "an array of strings", included)
    return included


def _strip_include(draft: Draft) -> None:
    included = draft.asked.get("include")
    if not isinstance(included, list) or LOGPROBS not in included:
        return
    kept = [each for each in included if each != LOGPROBS]
    if kept:
        draft.set("include", kept)
    else:
        draft.remove("include")
    draft.note("strip", "logprobs")


def _shape_reasoning(draft: Draft, facts: RequestFacts, shape: Shape) -> None:
    if shape.hide_reasoning and facts.features & {"reasoning", "reasoning_text"}:
        draft.note("hide", "reasoning")
    reasoning = draft.asked.get("reasoning")
    if not isinstance(reasoning, dict):
        return
    text = next(
        draft.body[member.value : member.end]
        for member in splice.members(draft.body)
        if member.name == "reasoning"
    )
    before = text
    if shape.hide_reasoning:
        for name in ("summary", "generate_summary"):
            text = splice.remove_member(text, name)
    lower = lower_effort(reasoning.get("effort"), shape.effort)
    if lower is not None:
        text = splice.set_member(text, "effort", orjson.dumps(lower))
        draft.note("clamp", "effort", reasoning["effort"], lower)
    mode = reasoning.get("mode")
    if shape.effort and mode not in (None, "standard"):
        # A mode that thinks more often is more of it at any effort.
        text = splice.remove_member(text, "mode")
        draft.note("clamp", "effort", mode, "standard")
    if text != before:
        draft.set("reasoning", orjson.Fragment(text))
        draft.asked["reasoning"] = orjson.loads(text)
