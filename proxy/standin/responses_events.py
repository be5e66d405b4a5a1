"""A response as server-sent events, numbered densely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.standin.responses_object import SERVER_ERROR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.standin.documents import Json
    from proxy.standin.reply import Events
    from proxy.standin.responses_object import Made

# The kind of an event, its members, the tokens that it carries.
_Told = tuple[str, dict[str, object], int]


def events(made: Made) -> Events:
    """Yield the events of the stream, each with the number of tokens that it carries."""
    for index, (kind, told, tokens) in enumerate(_life(made)):
        yield tokens, event(kind, index, told)


def event(kind: str, sequence_number: int, told: Json) -> bytes:
    """Return one event."""
    body = {"type": kind, "sequence_number": sequence_number, **told}
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(body))


def failing(made: Made, sequence_number: int, error: Json = SERVER_ERROR) -> list[bytes]:
    """Return the events that end a response with an error."""
    told = {"code": error["code"], "message": error["message"], "param": None}
    failed = made.failed({"code": error["code"], "message": error["message"]})
    return [
        event("error", sequence_number, told),
        event("response.failed", sequence_number + 1, {"response": failed}),
    ]


def refused(made: Made, error: Json) -> bytes:
    """Return the whole stream of a request that is refused under status 200."""
    created = event("response.created", 0, {"response": made.response("in_progress")})
    return b"".join([created, *failing(made, 1, error)])


def _life(made: Made) -> Iterator[_Told]:
    if made.request.background:
        queued = made.response("queued")
        yield "response.created", {"response": queued}, 0
        yield "response.queued", {"response": queued}, 0
    else:
        yield "response.created", {"response": made.response("in_progress")}, 0
    yield "response.in_progress", {"response": made.response("in_progress")}, 0
    choice, index = made.choice, 0
    if choice.thought:
        yield from _reasoning(made)
        index = 1
    if choice.call is not None:
        yield from _call(made, index)
    elif choice.pieces or not made.cut:
        yield from _message(made, index)
    if not made.request.asked.directives.nodone:
        yield f"response.{made.status}", {"response": made.ended()}, 0


def _reasoning(made: Made) -> Iterator[_Told]:
    thought = made.choice.thought
    text = "".join(thought)
    begun = made.reasoning([])
    yield "response.output_item.added", {"output_index": 0, "item": begun}, 0
    at = {"item_id": begun["id"], "output_index": 0}
    if made.request.summary:
        at["summary_index"] = 0
        kind = "response.reasoning_summary_"
        empty = {"type": "summary_text", "text": ""}
        yield f"{kind}part.added", {**at, "part": empty}, 0
        for piece in thought:
            yield f"{kind}text.delta", {**at, "delta": piece}, 1
        yield f"{kind}text.done", {**at, "text": text}, 0
        yield f"{kind}part.done", {**at, "part": {**empty, "text": text}}, 0
    elif made.request.raw:
        at["content_index"] = 0
        empty = {"type": "reasoning_text", "text": ""}
        yield "response.content_part.added", {**at, "part": empty}, 0
        for piece in thought:
            yield "response.reasoning_text.delta", {**at, "delta": piece}, 1
        yield "response.reasoning_text.done", {**at, "text": text}, 0
        yield "response.content_part.done", {**at, "part": {**empty, "text": text}}, 0
    yield "response.output_item.done", {"output_index": 0, "item": made.reasoning(thought)}, 0


def _message(made: Made, index: int) -> Iterator[_Told]:
    choice = made.choice
    begun = made.message([], "in_progress")
    yield "response.output_item.added", {"output_index": index, "item": begun}, 0
    at = {"item_id": begun["id"], "output_index": index, "content_index": 0}
    yield "response.content_part.added", {**at, "part": made.part(whole=False)}, 0
    part = made.part(whole=True)
    if choice.finish == "refusal":
        for piece in choice.pieces:
            yield "response.refusal.delta", {**at, "delta": piece}, 1
        yield "response.refusal.done", {**at, "refusal": choice.text}, 0
    else:
        chances = made.logprobs()
        for number, piece in enumerate(choice.pieces):
            told = chances[number : number + 1]
            yield "response.output_text.delta", {**at, "delta": piece, "logprobs": told}, 1
        yield "response.output_text.done", {**at, "text": choice.text, "logprobs": chances}, 0
    yield "response.content_part.done", {**at, "part": part}, 0
    ended = made.message([part], made.status)
    yield "response.output_item.done", {"output_index": index, "item": ended}, 0


def _call(made: Made, index: int) -> Iterator[_Told]:
    begun = made.call("", "in_progress")
    # The name is a token of its own.
    yield "response.output_item.added", {"output_index": index, "item": begun}, 1
    at = {"item_id": begun["id"], "output_index": index}
    kind = "response.function_call_arguments"
    for piece in made.choice.pieces:
        yield f"{kind}.delta", {**at, "delta": piece}, 1
    arguments = made.choice.text
    yield f"{kind}.done", {**at, "arguments": arguments}, 0
    ended = made.call(arguments, made.status)
    yield "response.output_item.done", {"output_index": index, "item": ended}, 0
