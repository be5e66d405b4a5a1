"""An answer in OpenAI's chat completions dialect: one JSON document, or server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.standin.answer import CREATED, Choice, FaultKind, logprobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.standin.answer import Answer
    from proxy.standin.documents import Json

FINGERPRINT = "fp_standin"
DONE = b"data: [DONE]\n\n"
GARBAGE = b"\x00\x1b<html>502"


def completion(answer: Answer) -> bytes:
    """Return the answer as one JSON document."""
    told: Json = {
        **_head(answer, "chat.completion"),
        "choices": [_whole(choice, answer.asked.top_logprobs) for choice in answer.choices],
    }
    usage = answer.usage
    if usage is not None:
        told["usage"] = usage
    told["service_tier"] = "default"
    told["system_fingerprint"] = FINGERPRINT
    return orjson.dumps(told)


def events(answer: Answer) -> Iterator[tuple[int, bytes]]:
    """Yield the events of the stream, each with the number of tokens that it carries.

    A fault ends them early: what it puts into the stream is the last event; what it does to the
    connection is left to the server.
    """
    writer = _Chunks(answer)
    for choice in answer.choices:
        yield 0, writer.chunk(choice.index, b'{"role":"assistant","content":"","refusal":null}')
    fault = answer.fault
    tokens = _interleaved([writer.tokens(choice) for choice in answer.choices])
    for sent, token in enumerate(tokens):
        if fault is not None and sent >= fault.after:
            if fault.kind is FaultKind.ERROR:
                yield 0, error_event(server_error())
            elif fault.kind is FaultKind.GARBAGE:
                yield 0, token[: len(token) // 2] + GARBAGE + b"\n\n"
            return
        yield 1, token
    last = answer.choices[-1]
    for choice in answer.choices:
        with_usage = choice is last and answer.asked.directives.usage_in_choices
        yield 0, writer.finish(choice, with_usage=with_usage)
    if writer.tells_usage and not answer.asked.directives.usage_in_choices:
        yield 0, writer.usage()
    if not answer.asked.directives.nodone:
        yield 0, DONE


def error_event(error: Json) -> bytes:
    """Return an event that reports an error in mid-stream."""
    return b"data: %b\n\n" % orjson.dumps({"error": error})


def server_error() -> Json:
    """Return the error that a stream breaks off with."""
    return {
        "message": "The server had an error while processing your request. Sorry about that!",
        "type": "server_error",
        "param": None,
        "code": None,
    }


class _Chunks:
    """The parts that all chunks of an answer share, rendered once."""

    def __init__(self, answer: Answer) -> None:
        head = orjson.dumps(
            {
                **_head(answer, "chat.completion.chunk"),
                "service_tier": "default",
                "system_fingerprint": FINGERPRINT,
            }
        )
        self._head = b"data: %b" % head[:-1]
        self._usage = answer.usage if answer.asked.include_usage else None
        self._tail = b"]}\n\n" if self._usage is None else b'],"usage":null}\n\n'
        self._top_logprobs = answer.asked.top_logprobs

    @property
    def tells_usage(self) -> bool:
        """Whether usage was asked for and is not withheld."""
        return self._usage is not None

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
        return ended % (self._head, choice.index, choice.finish.encode(), tail)

    def usage(self) -> bytes:
        """Return the event that tells what the answer cost."""
        return b'%b,"choices":[],"usage":%b}\n\n' % (self._head, orjson.dumps(self._usage))

    def tokens(self, choice: Choice) -> Iterator[bytes]:
        """Yield the events of a choice that carry a token each."""
        index, dumps = choice.index, orjson.dumps
        for piece in choice.shown or ():
            yield self.chunk(index, b'{"reasoning_content":%b}' % dumps(piece))
        if choice.call is not None:
            call = {"index": 0, **_call(choice.call, "")}
            yield self.chunk(index, dumps({"tool_calls": [call]}))
            for piece in choice.pieces:
                part = {"index": 0, "function": {"arguments": piece}}
                yield self.chunk(index, dumps({"tool_calls": [part]}))
        elif self._top_logprobs is None:
            before, after = self.chunk(index, b'{"content":\0}').split(b"\0")
            for piece in choice.pieces:
                yield before + dumps(piece) + after
        else:
            chances = logprobs(choice, self._top_logprobs)
            for piece, chance in zip(choice.pieces, chances, strict=True):
                told = dumps({"content": [chance], "refusal": None})
                yield self.chunk(index, b'{"content":%b}' % dumps(piece), told)


def _interleaved(streams: list[Iterator[bytes]]) -> Iterator[bytes]:
    """Yield from each in turn, until all are at their end."""
    while streams:
        going = []
        for stream in streams:
            item = next(stream, None)
            if item is not None:
                going.append(stream)
                yield item
        streams = going


def _head(answer: Answer, kind: str) -> Json:
    return {"id": answer.id, "object": kind, "created": CREATED, "model": answer.asked.model}


def _call(call: tuple[str, str], arguments: str) -> Json:
    return {
        "id": call[0],
        "type": "function",
        "function": {"name": call[1], "arguments": arguments},
    }


def _whole(choice: Choice, top_logprobs: int | None) -> Json:
    message: Json = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    chances: Json | None = None
    if choice.call is not None:
        message["tool_calls"] = [_call(choice.call, choice.text)]
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
        "finish_reason": choice.finish,
    }
