"""Anthropic's messages: an answer as one JSON document or as server-sent events, and counting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.standin.answer import choices_of
from proxy.standin.anthropic_native import error_body, error_event, server_error
from proxy.standin.directives import directives_of
from proxy.standin.messages_asked import read_count, read_message
from proxy.standin.reply import Plain, Reply, fault_of, faulty
from proxy.standin.sealed import sealed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.standin.answer import Choice
    from proxy.standin.asked import Asked
    from proxy.standin.documents import Json
    from proxy.standin.reply import Call, Events

_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refusal": "refusal",
}
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def messages(call: Call) -> Reply:
    """Return the answer to POST /v1/messages; raises RequestError."""
    asked = read_message(call.body, call.header)
    choice = choices_of(asked)[0]
    fault = fault_of(asked.directives, choice.visible)
    answer = _Answer(asked, choice)
    visible = choice.visible
    if not asked.stream and choice.call is not None and choice.finish == "length":
        # A document cannot hold half of a call's input.
        visible -= len(choice.pieces)
    return Reply(
        asked=asked,
        visible=visible,
        tokens=choice.tokens,
        reasoning=choice.reasoning,
        fault=fault,
        whole=answer.whole,
        failed=lambda: error_body(server_error(), call.identity),
        events=lambda: faulty(
            answer.events(), fault, lambda _: [error_event(server_error(), call.identity)]
        ),
        refused=error_event,
        pace=asked.directives.pace,
    )


def count_tokens(call: Call) -> Plain:
    """Return the answer to POST /v1/messages/count_tokens; raises RequestError."""
    model, tokens = read_count(call.body)
    return Plain({"input_tokens": tokens}, model, directives=directives_of("", call.header))


class _Answer:
    """One message, in either form."""

    def __init__(self, asked: Asked, choice: Choice) -> None:
        self._asked, self._choice = asked, choice
        self._stop: Json = {
            "stop_reason": _STOP[choice.finish],
            "stop_sequence": None,
            "stop_details": self._refusal(),
        }

    def whole(self) -> bytes:
        """Return the answer as one JSON document."""
        told = {**self._message(), "content": list(self._blocks()), **self._stop}
        if self._asked.directives.usage:
            told["usage"] = self._usage(self._choice.tokens, detailed=True)
        return orjson.dumps(told)

    def events(self) -> Events:
        """Yield the events of the stream, each with the number of tokens that it carries."""
        message = {**self._message(), "content": [], **dict.fromkeys(self._stop)}
        ended: Json = {"delta": self._stop}
        if self._asked.directives.usage:
            # What it says of output here is not the last word.
            message["usage"] = self._usage(1, detailed=False)
            told = self._usage(self._choice.tokens, detailed=True)
            del told["service_tier"], told["cache_creation"]
            ended["usage"] = told
        yield 0, _event("message_start", {"message": message})
        choice, index = self._choice, 0
        if choice.thought:
            yield from self._thinking()
            index = 1
        if choice.call is not None:
            yield from self._call(index)
        elif choice.pieces:
            yield from self._text(index)
        elif index == 0:
            yield 0, _PING
        yield 0, _event("message_delta", ended)
        if not self._asked.directives.nodone:
            yield 0, _event("message_stop", {})

    def _thinking(self) -> Events:
        empty: Json = {"type": "thinking", "thinking": "", "signature": ""}
        yield 0, _start(0, empty)
        yield 0, _PING
        for piece in self._choice.shown:
            yield 1, _delta(0, {"type": "thinking_delta", "thinking": piece})
        signature = sealed("".join(self._choice.thought))
        yield 0, _delta(0, {"type": "signature_delta", "signature": signature})
        yield 0, _stop(0)

    def _text(self, index: int) -> Events:
        yield 0, _start(index, {"type": "text", "text": ""})
        if index == 0:
            yield 0, _PING
        before, after = _delta(index, {"type": "text_delta", "text": "\0"}).split(b'"\\u0000"')
        for piece in self._choice.pieces:
            yield 1, before + orjson.dumps(piece) + after
        yield 0, _stop(index)

    def _call(self, index: int) -> Events:
        # The name is a token of its own.
        yield 1, _start(index, self._tool_use({}))
        if index == 0:
            yield 0, _PING
        for piece in ("", *self._choice.pieces):
            told: Json = {"type": "input_json_delta", "partial_json": piece}
            yield int(piece != ""), _delta(index, told)
        yield 0, _stop(index)

    def _blocks(self) -> Iterator[Json]:
        choice = self._choice
        if choice.thought:
            yield {
                "type": "thinking",
                "thinking": "".join(choice.shown),
                "signature": sealed("".join(choice.thought)),
            }
        if choice.call is not None:
            cut = choice.finish == "length"
            yield self._tool_use({} if cut else orjson.loads(choice.text))
        elif choice.pieces:
            yield {"type": "text", "text": choice.text}

    def _tool_use(self, given: object) -> Json:
        assert self._choice.call is not None
        identity, name = self._choice.call
        return {"type": "tool_use", "id": f"toolu_{identity}", "name": name, "input": given}

    def _message(self) -> Json:
        return {
            "id": f"msg_{self._asked.digest.hex()}",
            "type": "message",
            "role": "assistant",
            "model": self._asked.model,
        }

    def _usage(self, output: int, *, detailed: bool) -> Json:
        cached = self._asked.cached
        told: Json = {
            "input_tokens": self._asked.prompt_tokens - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output,
            "service_tier": "standard",
        }
        if detailed:
            told["output_tokens_details"] = {"thinking_tokens": self._choice.reasoning}
        return told

    def _refusal(self) -> Json | None:
        category = self._asked.directives.refusal
        if not category:
            return None
        return {
            "type": "refusal",
            "category": None if category == "none" else category,
            "explanation": "The stand-in was directed to refuse.",
        }


def _start(index: int, block: Json) -> bytes:
    return _event("content_block_start", {"index": index, "content_block": block})


def _delta(index: int, delta: Json) -> bytes:
    return _event("content_block_delta", {"index": index, "delta": delta})


def _stop(index: int) -> bytes:
    return _event("content_block_stop", {"index": index})


def _event(kind: str, told: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **told}))
