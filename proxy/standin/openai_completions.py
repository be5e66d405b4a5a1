"""OpenAI's legacy completions: of texts or token ids, several at once, with `best_of` and `echo`.

A prompt costs its words, with those of `suffix`; an array of token ids its length. All
candidates of `best_of` are billed, the first `n` of them are told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import RequestError
from proxy.standin.answer import CREATED, Choice, choices_of, logprobs_of
from proxy.standin.asked import Asked
from proxy.standin.directives import directives_of
from proxy.standin.fields import (
    flag,
    manner,
    model_of,
    number,
    parsed,
    seeds,
    words_in,
    wrong,
)
from proxy.standin.native import error_body, error_event, server_error
from proxy.standin.openai_chat import DONE, FINGERPRINT
from proxy.standin.reply import Reply, fault_of, faulty, interleaved, sums
from proxy.standin.usage import usage_of
from proxy.standin.vocabulary import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.standin.documents import Json
    from proxy.standin.reply import Call, Events

MAX_CHOICES = 128
MAX_LOGPROBS = 5
NATIVE_CAP = 16

_FINISH = {"length": "length"}


def completions(call: Call) -> Reply:
    """Return the answer to POST /v1/completions; raises RequestError."""
    asked = parsed(call.body)
    base, prompts, told = _read(asked, call.header)
    echo = flag(asked, "echo")
    chosen: list[Choice] = []
    made: list[Choice] = []
    for prompt in range(len(prompts)):
        seed = base.text_seed + prompt.to_bytes(4)
        candidates = [
            replace(each, pieces=[f" {first}" for first in each.pieces[:1]] + each.pieces[1:])
            for each in choices_of(replace(base, text_seed=seed))
        ]
        made += candidates
        chosen += [replace(each, index=prompt * told + each.index) for each in candidates[:told]]
    visible, _, _ = sums(chosen)
    _, tokens, reasoning = sums(made)
    fault = fault_of(base.directives, visible)
    usage = usage_of(base, tokens, reasoning)
    echoed = [prompts[choice.index // told] if echo else "" for choice in chosen]
    answer = _Answer(base, list(zip(chosen, echoed, strict=True)), usage)
    return Reply(
        asked=base,
        visible=visible,
        tokens=tokens,
        reasoning=reasoning,
        fault=fault,
        whole=answer.whole,
        failed=lambda: error_body(server_error()),
        events=lambda: faulty(answer.events(), fault, lambda _: [error_event(server_error())]),
        refused=lambda error, _: error_event(error),
        pace=base.directives.pace,
    )


def _read(asked: Json, header: str) -> tuple[Asked, list[str], int]:
    """Return what is asked, with `best_of` as its `n`; the prompts; how many each is told."""
    model = model_of(asked)
    prompts, tokens = prompts_of(asked, "prompt", otherwise="<|endoftext|>")
    n = number(asked, "n", 1, MAX_CHOICES) or 1
    best_of = number(asked, "best_of", 1, MAX_CHOICES) or n
    stream, include_usage = manner(asked)
    if best_of < n:
        raise RequestError(
            "You requested that the server return more choices than it will generate "
            "(best_of must be at least n).",
            param="best_of",
        )
    if stream and best_of > n:
        raise RequestError(
            "You requested best_of with a stream: results of best_of cannot be streamed.",
            param="best_of",
        )
    cap = number(asked, "max_tokens", 0, None)
    saying = [model, asked.get("seed"), asked.get("prompt"), asked.get("suffix")]
    text_seed, digest = seeds(asked, saying, header, "prompt")
    base = Asked(
        model,
        tokens + words_in([asked.get("suffix")]),
        text_seed,
        digest,
        n=best_of,
        cap=NATIVE_CAP if cap is None else cap,
        stream=stream,
        include_usage=include_usage,
        top_logprobs=number(asked, "logprobs", 0, MAX_LOGPROBS),
        directives=directives_of(" ".join(prompts), header),
    )
    return base, prompts, n


def prompts_of(asked: Json, name: str, otherwise: str | None = None) -> tuple[list[str], int]:
    """Return the texts of a prompt or an input, and their tokens; raises RequestError.

    A token id stands for a word.
    otherwise: the text where there is none; None: there must be one
    """
    value = asked.get(name)
    if value is None:
        if otherwise is None:
            raise RequestError(f"Missing required parameter: '{name}'.", param=name)
        return [otherwise], 0
    listed = value if isinstance(value, list) else [value]
    if listed and all(_is_token(each) for each in listed):
        listed = [listed]
    if not listed:
        raise RequestError(f"Invalid '{name}': it must not be empty.", param=name)
    texts, tokens = [], 0
    for each in listed:
        if isinstance(each, str):
            texts.append(each)
            tokens += len(each.split())
        elif isinstance(each, list) and each and all(_is_token(token) for token in each):
            texts.append(" ".join(WORDS[token % len(WORDS)] for token in each))
            tokens += len(each)
        else:
            raise wrong(name, "a string, an array of strings, or arrays of token ids")
    return texts, tokens


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class _Answer:
    """The choices that are told, each with the prompt that it repeats."""

    def __init__(self, asked: Asked, choices: list[tuple[Choice, str]], usage: Json | None) -> None:
        self._asked, self._choices, self._usage = asked, choices, usage
        self._head: Json = {
            "id": f"cmpl-{asked.digest.hex()}",
            "object": "text_completion",
            "created": CREATED,
            "model": asked.model,
            "system_fingerprint": FINGERPRINT,
        }

    def whole(self) -> bytes:
        """Return the answer as one JSON document."""
        told = {
            **self._head,
            "choices": [
                {
                    "index": choice.index,
                    "text": echo + choice.text,
                    "logprobs": self._logprobs(choice, _pieces(echo) + choice.pieces, 0),
                    "finish_reason": _FINISH.get(choice.finish, "stop"),
                }
                for choice, echo in self._choices
            ],
        }
        if self._usage is not None:
            told["usage"] = self._usage
        return orjson.dumps(told)

    def events(self) -> Events:
        """Yield the events of the stream, each with the number of tokens that it carries."""
        directives = self._asked.directives
        for choice, echo in self._choices:
            if echo:
                chances = self._logprobs(choice, _pieces(echo), 0)
                yield 0, self._chunk(choice.index, echo, chances)
        for token in interleaved([self._tokens(*each) for each in self._choices]):
            yield 1, token
        for number_, (choice, _) in enumerate(self._choices, 1):
            last = number_ == len(self._choices) and directives.usage_in_choices
            finish = _FINISH.get(choice.finish, "stop")
            yield 0, self._chunk(choice.index, "", None, finish, with_usage=last)
        if self._tells_usage and not directives.usage_in_choices:
            yield 0, _event({**self._head, "choices": [], "usage": self._usage})
        if not directives.nodone:
            yield 0, DONE

    def _tokens(self, choice: Choice, echo: str) -> Iterator[bytes]:
        offset = len(echo)
        for piece in choice.pieces:
            yield self._chunk(choice.index, piece, self._logprobs(choice, [piece], offset))
            offset += len(piece)

    @property
    def _tells_usage(self) -> bool:
        return self._asked.include_usage and self._usage is not None

    def _chunk(
        self,
        index: int,
        text: str,
        chances: Json | None,
        finish: str | None = None,
        *,
        with_usage: bool = False,
    ) -> bytes:
        choice = {"index": index, "text": text, "logprobs": chances, "finish_reason": finish}
        told = {**self._head, "choices": [choice]}
        if self._tells_usage:
            told["usage"] = self._usage if with_usage else None
        return _event(told)

    def _logprobs(self, choice: Choice, said: list[str], offset: int) -> Json | None:
        top = self._asked.top_logprobs
        if top is None:
            return None
        offsets = []
        for piece in said:
            offsets.append(offset)
            offset += len(piece)
        # Seeded by the piece, so that a stream tells the same as a document.
        entries = [logprobs_of([piece], choice.seed + piece.encode(), top)[0] for piece in said]
        return {
            "tokens": said,
            "token_logprobs": [entry["logprob"] for entry in entries],
            "top_logprobs": [_alternatives(entry) for entry in entries] if top else None,
            "text_offset": offsets,
        }


def _alternatives(entry: Json) -> Json:
    listed = entry["top_logprobs"]
    assert isinstance(listed, list)
    return {each["token"]: each["logprob"] for each in listed}


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    return [words[0], *(f" {word}" for word in words[1:])] if text else []


def _event(told: Json) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(told)
