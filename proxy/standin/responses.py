"""OpenAI's responses: what is answered at each of their routes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from proxy.standin.directives import directives_of
from proxy.standin.fields import RefusedError
from proxy.standin.reply import Plain, Reply, fault_of, faulty
from proxy.standin.responses_asked import read_response
from proxy.standin.responses_events import event, events, failing, refused
from proxy.standin.responses_object import Made
from proxy.standin.responses_prompt import listed

if TYPE_CHECKING:
    from proxy.standin.documents import Json
    from proxy.standin.reply import Call, Events
    from proxy.standin.responses_stored import Kept

PAGE, LONGEST_PAGE = 20, 100


def create(call: Call) -> Plain | Reply:
    """Return the answer to POST /v1/responses; raises RequestError or RefusedError."""
    request = read_response(call.body, call.header, call.store, call.now)
    made = Made(request)
    if not request.background:
        return _replied(made, call)
    directives = request.asked.directives
    if directives.error is None:
        kept = call.store.keep(made, call.now)
        if request.asked.stream:
            asked = replace(request.asked, directives=replace(directives, first=0))
            made_now = replace(_replied(made, call), asked=asked, pace=kept.pace)
            return replace(made_now, began=kept.starts, halted=lambda index: _halted(kept, index))
    asked = request.asked
    return Plain(
        made.response("queued"),
        asked.model,
        asked.prompt_tokens,
        tokens=made.choice.tokens,
        reasoning=made.choice.reasoning,
        directives=replace(directives, first=0),
    )


def count(call: Call) -> Plain:
    """Return the answer to POST /v1/responses/input_tokens; raises as `create` does."""
    asked = read_response(call.body, call.header, call.store, call.now).asked
    body: Json = {"object": "response.input_tokens", "input_tokens": asked.prompt_tokens}
    return Plain(body, asked.model, directives=asked.directives)


def retrieve(call: Call) -> Plain | Reply:
    """Return the answer to GET /v1/responses/{id}; raises RefusedError."""
    kept = _found(call)
    if call.query.get("stream") != "true":
        return _told(kept, call)
    after = call.query.get("starting_after", "")
    directives = directives_of("", call.header)
    made = kept.made
    asked = replace(made.request.asked, stream=True, directives=directives)
    fault = fault_of(directives, made.choice.visible)
    running = kept.status(call.now) in {"queued", "in_progress"}
    return Reply(
        asked=asked,
        visible=made.choice.visible,
        tokens=0,
        reasoning=0,
        replayed=True,
        fault=fault,
        whole=bytes,
        failed=bytes,
        events=lambda: faulty(_replayed(kept), fault, lambda index: failing(made, index)),
        refused=lambda error, _: refused(made, error),
        pace=kept.pace if running else directives.pace,
        began=kept.starts if running else None,
        skip=_number(after, -1) + 1,
        halted=lambda index: _halted(kept, index),
    )


def delete(call: Call) -> Plain:
    """Return the answer to DELETE /v1/responses/{id}; raises RefusedError."""
    _found(call)
    call.store.forget(call.object)
    body: Json = {"id": call.object, "object": "response", "deleted": True}
    return Plain(body, directives=directives_of("", call.header))


def cancel(call: Call) -> Plain:
    """Return the answer to POST /v1/responses/{id}/cancel; raises RefusedError."""
    kept = _found(call)
    if not kept.made.request.background:
        raise RefusedError(400, "Cannot cancel a synchronous response.")
    kept.cancel(call.now)
    return _told(kept, call)


def input_items(call: Call) -> Plain:
    """Return the answer to GET /v1/responses/{id}/input_items; raises RefusedError."""
    items = [listed(item) for item in _found(call).made.request.items]
    if call.query.get("order", "desc") == "desc":
        items.reverse()
    after, limit = call.query.get("after"), call.query.get("limit", "")
    if after is not None:
        names = [item["id"] for item in items]
        if after not in names:
            raise RefusedError(404, f"Item with id '{after}' not found.", param="after")
        items = items[names.index(after) + 1 :]
    most = min(_number(limit, PAGE), LONGEST_PAGE)
    page = items[:most]
    body: Json = {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(items) > len(page),
    }
    return Plain(body, directives=directives_of("", call.header))


def _replied(made: Made, call: Call) -> Reply:
    asked, choice = made.request.asked, made.choice
    fault = fault_of(asked.directives, choice.visible)
    stored = fault is None and made.request.store and not made.request.background

    def whole() -> bytes:
        if stored:
            call.store.keep(made, call.now)
        return orjson.dumps(made.ended())

    def told() -> Events:
        # It is kept before its end is told, so that who reads the end finds it.
        last: tuple[int, bytes] | None = None
        for each in faulty(events(made), fault, lambda index: failing(made, index)):
            if last is not None:
                yield last
            last = each
        if stored:
            call.store.keep(made, call.now)
        if last is not None:
            yield last

    return Reply(
        asked=asked,
        visible=choice.visible,
        tokens=choice.tokens,
        reasoning=choice.reasoning,
        fault=fault,
        whole=whole,
        failed=lambda: orjson.dumps(made.failed()),
        events=told,
        refused=lambda error, _: refused(made, error),
        pace=asked.directives.pace,
    )


def _told(kept: Kept, call: Call) -> Plain:
    return Plain(
        kept.response(call.now),
        kept.made.request.asked.model,
        written=kept.written(call.now),
        directives=directives_of("", call.header),
    )


def _replayed(kept: Kept) -> Events:
    """Yield the events of what is kept; one that failed breaks off where it did."""
    made = kept.made
    fault = fault_of(made.request.asked.directives, made.choice.visible)
    background = made.request.background
    yield from faulty(
        events(made), fault if background else None, lambda index: failing(made, index)
    )


def _number(text: str, otherwise: int) -> int:
    return int(text[:9]) if text.isdecimal() else otherwise


def _halted(kept: Kept, sequence_number: int) -> bytes:
    if kept.cancelled is None:
        return b""
    told: Json = {"response": kept.made.response("cancelled")}
    return event("response.cancelled", sequence_number, told)


def _found(call: Call) -> Kept:
    found = call.store.find(call.object)
    if found is None:
        raise RefusedError(404, f"Response with id '{call.object}' not found.")
    return found
