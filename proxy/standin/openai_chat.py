"""An answer in OpenAI's chat completions dialect: one JSON document, or server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.standin.answer import CREATED, Choice, choices_of, logprobs
from proxy.standin.native import error_body, error_event, server_error
from proxy.standin.openai_chat_asked import read_asked
from proxy.standin.reply import Reply, fault_of, faulty, interleaved, sums
from proxy.standin.usage import usage_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.standin.asked import Asked
    from proxy.standin.documents import Json
    from proxy.standin.reply import Call, Events

FINGERPRINT = "fp_standin"
DONE = b"data: [DONE]\n\n"

_FINISH = {"refusal": "stop"}


def chat(call: Call) -> Reply:
    """Return the answer to POST /v1/chat/completions; raises RequestError."""
    return replied(read_asked(call.body, call.header))


def replied(asked: Asked) -> Reply:
    """Return the answer to what was asked; raises RequestError where a schema cannot be fitted."""
    choices = choices_of(asked)
    visible, tokens, reasoning = sums(choices)
    fault = fault_of(asked.directives, visible)
    usage = usage_of(asked, tokens, reasoning)
    return Reply(
        asked=asked,
        visible=visible,
        tokens=tokens,
        reasoning=reasoning,
        fault=fault,
        whole=lambda: _completion(asked, choices, usage),
        failed=lambda: error_body(server_error()),
        events=lambda: faulty(
            _events(asked, choices, usage), fault, lambda _: [error_event(server_error())]
        ),
        refused=lambda error, _: error_event(error),
        pace=asked.directives.pace,
    )


def _completion(asked: Asked, choices: list[Choice], usage: Json | None) -> bytes:
    told: Json = {
        **_head(asked, "chat.completion"),
        "choices": [_whole(choice, asked.top_logprobs) for choice in choices],
    }
    if usage is not None:
        told["usage"] = usage
    told["service_tier"] = "default"
    told["system_fingerprint"] = FINGERPRINT
    return orjson.dumps(told)


def _events(asked: Asked, choices: list[Choice], usage: Json | None) -> Events:
    """Yield the events of the stream, each with the number of tokens that it carries."""
    told = usage if asked.include_usage else None
    writer = _Chunks(asked, told)
    for choice in choices:
        yield 0, writer.chunk(choice.index, b'{"role":"assistant","content":"","refusal":null}')
    for token in interleaved([writer.tokens(choice) for choice in choices]):
        yield 1, token
    last = choices[-1]
    for choice in choices:
        with_usage = choice is last and asked.directives.usage_in_choices
        yield 0, writer.finish(choice, with_usage=with_usage)
    if told is not None and not asked.directives.usage_in_choices:
        yield 0, writer.usage()
    if not asked.directives.nodone:
        yield 0, DONE


class _Chunks:
    """The parts that all chunks of an answer share, rendered once."""

    def __init__(self, asked: Asked, usage: Json | None) -> None:
        head = orjson.dumps(
            {
                **_head(asked, "chat.completion.chunk"),
                "service_tier": "default",
                "system_fingerprint": FINGERPRINT,
            }
        )
        self._head = b"data: %b" % head[:-1]
        self._usage = usage
        self._tail = b"]}\n\n" if usage is None else b'],"usage":null}\n\n'
        self._top_logprobs = asked.top_logprobs

    def chunk(self, index: int, delta: bytes, chances: bytes = b"null") -> bytes:
        """Return the event of one delta."""
        return b'%b,"choices":[{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":null}%b' % (
            self._head,
            index,
            delta,
            chances,
            self._tail,
        )

    def finish(self, choice: Choice, *, with_usage: bool) -> bytes:
        """Return the event that ends a choice."""
        tail = self._tail
        if with_usage and self._usage is not None:
            tail = b'],"usage":%b}\n\n' % orjson.dumps(self._usage)
        ended = b'%b,"choices":[{"index":%d,"delta":{},"logprobs":null,"finish_reason":"%b"}%b'
        reason = _FINISH.get(choice.finish, choice.finish)
        return ended % (self._head, choice.index, reason.encode(), tail)

    def usage(self) -> bytes:
        """Return the event that tells what the answer cost."""
        return b'%b,"choices":[],"usage":%b}\n\n' % (self._head, orjson.dumps(self._usage))

    def tokens(self, choice: Choice) -> Iterator[bytes]:
        """Yield the events of a choice that carry a token each."""
        index, dumps = choice.index, orjson.dumps
        for piece in choice.shown:
            yield self.chunk(index, b'{"reasoning_content":%b}' % dumps(piece))
        if choice.call is not None:
            call = {"index": 0, **_call(choice.call, "")}
            yield self.chunk(index, dumps({"tool_calls": [call]}))
            for piece in choice.pieces:
                part = {"index": 0, "function": {"arguments": piece}}
                yield self.chunk(index, dumps({"tool_calls": [part]}))
        elif choice.finish == "refusal":
            for piece in choice.pieces:
                yield self.chunk(index, b'{"refusal":%b}' % dumps(piece))
        elif self._top_logprobs is None:
            before, after = self.chunk(index, b'{"content":\0}').split(b"\0")
            for piece in choice.pieces:
                yield before + dumps(piece) + after
        else:
            chances = logprobs(choice, self._top_logprobs)
            for piece, chance in zip(choice.pieces, chances, strict=True):
                told = dumps({"content": [chance], "refusal": None})
                yield self.chunk(index, b'{"content":%b}' % dumps(piece), told)


def _head(asked: Asked, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{asked.digest.hex()}",
        "object": kind,
        "created": CREATED,
        "model": asked.model,
    }


def _call(call: tuple[str, str], arguments: str) -> Json:
    return {
        "id": f"call_{call[0]}",
        "type": "function",
        "function": {"name": call[1], "arguments": arguments},
    }


def _whole(choice: Choice, top_logprobs: int | None) -> Json:
    message: Json = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    chances: Json | None = None
    if choice.call is not None:
        message["tool_calls"] = [_call(choice.call, choice.text)]
    elif choice.finish == "refusal":
        message["refusal"] = choice.text
    else:
        message["content"] = choice.text
        if top_logprobs is not None:
            chances = {"content": logprobs(choice, top_logprobs), "refusal": None}
    if choice.shown:
        message["reasoning_content"] = "".join(choice.shown)
    return {
        "index": choice.index,
        "message": message,
        "logprobs": chances,
        "finish_reason": _FINISH.get(choice.finish, choice.finish),
    }
