"""OpenAI chat completions: `POST /v1/chat/completions`, JSON and server-sent events.

Bytes pass through unchanged but for `stream_options.include_usage`, which a stream is given so
that its usage is known; the chunk that it brings is hidden from a client that did not ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import RequestError, UpstreamGarbageError
from proxy.core.facts import RequestFacts
from proxy.dialects import splice
from proxy.dialects.openai_answer import JsonReader, OpaqueReader
from proxy.dialects.openai_errors import error, refuse
from proxy.dialects.openai_prompt import read_prompt, tokens_of, wrong_type
from proxy.dialects.openai_stream import StreamReader
from proxy.dialects.strict_json import parse_object

if TYPE_CHECKING:
    from proxy.dialects.base import AnswerReader
    from proxy.dialects.tokens import RulesOf, TokenRules

__all__ = ["NAME", "answer", "error", "forward", "read", "refuse"]

NAME = "openai.chat"
MAX_MODEL = 256
MAX_CHOICES = 128
MAX_EFFORT = 32

# Knobs that are in use when they are truthy, or when they are there at all.
_TRUTHY = (
    ("logprobs", "logprobs"),
    ("top_logprobs", "top_logprobs"),
    ("logit_bias", "logit_bias"),
    ("tools", "tools"),
    ("functions", "tools"),
    ("prediction", "prediction"),
    ("stop", "stop"),
    ("store", "store"),
)


def read(body: bytes, rules_of: RulesOf) -> tuple[RequestFacts, ...]:
    """Return the facts of a chat request; raises RequestError and nothing else."""
    asked = parse_object(body)
    model = read_model(asked)
    rules = rules_of(model)
    stream = _flag(asked, "stream")
    wants_usage = _wants_usage(asked)
    choices = _positive(asked, "n") or 1
    if choices > MAX_CHOICES:
        raise RequestError(f"Invalid 'n': expected an integer of at most {MAX_CHOICES}.", param="n")
    # A server may heed either name of the cap: the larger one is what could be produced.
    cap = max(_positive(asked, "max_completion_tokens"), _positive(asked, "max_tokens"))
    reasoning = _string(asked, "reasoning_effort")
    if len(reasoning) > MAX_EFFORT:
        raise RequestError("Invalid 'reasoning_effort': too long.", param="reasoning_effort")
    user = _string(asked, "safety_identifier") or _string(asked, "user")
    prompt = read_prompt(asked)
    text = prompt.text()
    return (
        RequestFacts(
            dialect=NAME,
            model=model,
            stream=stream,
            prompt_tokens=tokens_of(prompt, text, rules.counter),
            output_tokens=min(cap or rules.reserve_output_tokens, rules.max_output_tokens),
            output_capped=cap > 0,
            choices=choices,
            reasoning=reasoning,
            features=_features(asked, prompt.features, choices),
            wants_usage=stream and wants_usage,
            user=user,
            prompt=text,
        ),
    )


def read_model(asked: dict[str, object]) -> str:
    """Return the model's name; raises RequestError."""
    model = asked.get("model")
    if model is None or model == "":
        raise RequestError("you must provide a model parameter", param="model")
    if not isinstance(model, str):
        raise wrong_type("model", "a string", model)
    if len(model) > MAX_MODEL:
        raise RequestError(
            f"Invalid 'model': string too long. Expected at most {MAX_MODEL} characters.",
            param="model",
        )
    return model


def forward(body: bytes, facts: RequestFacts) -> bytes:
    """Return the bytes for the upstream: the client's, with a stream's usage asked for."""
    if not facts.stream or facts.wants_usage:
        return body
    # Without an escape that could spell a letter, a key that is not seen is not there.
    if b'"stream_options"' not in body and b"\\u00" not in body:
        return splice.add_member(body, "stream_options", b'{"include_usage":true}')
    for member in splice.members(body):
        if member.name == "stream_options":
            options = body[member.value : member.end]
            value = (
                splice.set_member(options, "include_usage", b"true")
                if options.startswith(b"{")
                else b'{"include_usage":true}'
            )
            return body[: member.value] + value + body[member.end :]
    return splice.add_member(body, "stream_options", b'{"include_usage":true}')


def answer(facts: RequestFacts, rules: TokenRules, content_type: str, status: int) -> AnswerReader:
    """Return the reader for an answer with this head, by what it is, not by what was asked.

    Raises UpstreamGarbageError where the content type is none that could be metered.
    """
    if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's own classes
        return OpaqueReader(errored=True)
    media = content_type.partition(";")[0].strip().lower()
    match media:
        case "text/event-stream":
            stream = True
        case "" | "text/plain" | "application/octet-stream":
            stream = facts.stream
        case _ if media == "application/json" or media.endswith("+json"):
            stream = False
        case _:
            raise UpstreamGarbageError("The answer's content type is no chat completion's.")
    if stream:
        return StreamReader(rules.counter, hide_usage=not facts.wants_usage, choices=facts.choices)
    return JsonReader(rules.counter)


def _features(asked: dict[str, object], media: set[str], choices: int) -> frozenset[str]:
    features = media
    for name, feature in _TRUTHY:
        if asked.get(name):
            features.add(feature)
    if asked.get("seed") is not None:
        features.add("seed")
    if choices > 1:
        features.add("n")
    response_format = asked.get("response_format")
    if isinstance(response_format, dict) and response_format.get("type") != "text":
        features.add("structured")
    return frozenset(features)


def _flag(asked: dict[str, object], name: str) -> bool:
    value = asked.get(name)
    if value is None or isinstance(value, bool):
        return value is True
    raise wrong_type(name, "a boolean", value)


def _wants_usage(asked: dict[str, object]) -> bool:
    options = asked.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise wrong_type("stream_options", "an object", options)
    value = options.get("include_usage")
    if value is None or isinstance(value, bool):
        return value is True
    raise wrong_type("stream_options.include_usage", "a boolean", value)


def _positive(asked: dict[str, object], name: str) -> int:
    value = asked.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(name, "an integer", value)
    if value < 1:
        raise RequestError(
            f"Invalid '{name}': integer below minimum value. Expected a value >= 1.", param=name
        )
    return value


def _string(asked: dict[str, object], name: str) -> str:
    value = asked.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(name, "a string", value)
    return value
