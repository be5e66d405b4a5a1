"""What must hold of all that is read: events, JSON, requests, request lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson
from heads import (
    DIALECTS,
    EVERYTHING,
    HEAD,
    SHAPES,
    pieces,
    rules_of,
    split,
)

from proxy.core.errors import (
    MethodUnknownError,
    RequestError,
    RouteClosedError,
    RouteUnknownError,
)
from proxy.core.shape import EFFORTS, NO_SHAPE, STRIPPABLE
from proxy.dialects import routes, splice
from proxy.dialects.base import Call
from proxy.dialects.sse import data_of, with_data
from proxy.dialects.strict_json import parse_object
from proxy.dialects.tokens import TokenRules

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.core.shape import Shape

# Members that a shape, or metering, may change.
CHANGEABLE = frozenset(
    {
        "n", "best_of", "temperature", "top_logprobs", "logprobs", "logit_bias", "prompt_logprobs",
        "seed", "echo", "max_tokens", "max_completion_tokens", "max_output_tokens", "reasoning",
        "reasoning_effort", "include", "stream_options", "thinking", "output_config",
    }
)  # fmt: skip


def sse(data: bytes) -> None:
    """Cutting anywhere changes no event; joined, the events are the input."""
    head, body = data[:HEAD].ljust(HEAD, b"\0"), data[HEAD:]
    limit = (1 << 23, 64, 17, 5)[head[0] % 4]
    whole = split([body], limit)
    assert split(pieces(body, head), limit) == whole, "cuts change the events"
    events, rest, overflowed = whole
    joined = b"".join(events) + rest
    assert body.startswith(joined), "bytes were changed"
    assert overflowed or joined == body, "bytes were lost"
    assert all(len(event) <= limit for event in events), "an event is longer than the limit"
    for event in events:
        said = data_of(event)
        assert b"\r" not in said
        assert data_of(with_data(event, said)) == said, "an event does not say what it was given"
        if said:
            assert data_of(with_data(event, b"x\ny")) == b"x\ny"
            said_x = with_data(event, b"x")
            assert split([said_x + b"z"], 1 << 23) == ([said_x], b"z", False)


def splices(data: bytes) -> None:
    """What is accepted has no repeated key; a member is set and removed, and nothing else."""
    body = data[HEAD:]
    try:
        asked = parse_object(body)
    except RequestError:
        return
    json.loads(body.decode(), object_pairs_hook=_unique, parse_int=len, parse_float=len)
    names = list(asked)[:4] + list(asked)[-2:] + ["n", "", "\u00e9\n"]
    for name in names:
        changed = splice.set_member(body, name, b'[1,"}"]')
        assert parse_object(changed) == asked | {name: [1, "}"]}
        if name in asked:
            assert list(orjson.loads(changed)) == list(asked), "the order changed"
        without = {other: value for other, value in asked.items() if other != name}
        assert parse_object(splice.remove_member(body, name)) == without
        assert parse_object(splice.remove_member(changed, name)) == without
        if name not in asked:
            assert splice.remove_member(body, name) == body
            continue
        # A key that is repeated, as answers may have it: all of its members are meant.
        again = body.rstrip()[:-1] + b"," + orjson.dumps(name) + b":[], " + body.lstrip()[1:]
        for repeated in (again, splice.add_member(again, name, b"0")):
            assert name not in orjson.loads(splice.remove_member(repeated, name))
            assert orjson.loads(splice.set_member(repeated, name, b"1"))[name] == 1
    spans = list(splice.members(body))
    assert [span.name for span in spans] == list(asked)
    assert all(orjson.loads(body[span.value : span.end]) == asked[span.name] for span in spans)


def read(name: str, data: bytes) -> None:
    """Reading raises RequestError only; forwarding gives what is accepted, shaped, for good."""
    head, body = data[:HEAD].ljust(HEAD, b"\0"), data[HEAD:]
    dialect = DIALECTS[name]
    rules = rules_of(head[1])
    try:
        found = dialect.read(body, lambda _: rules, Call("POST"))
    except RequestError:
        return
    assert found
    facts = found[0]
    repr(facts)
    assert min(facts.prompt_tokens, facts.output_tokens, facts.choices - 1, facts.prompts - 1) >= 0
    for shape in (NO_SHAPE, SHAPES[head[0] % len(SHAPES)]):
        sent = dialect.forward(body, facts, shape)
        (again, *_) = dialect.read(sent.body, lambda _: rules, Call("POST"))
        twice = dialect.forward(sent.body, again, shape)
        assert twice.body == sent.body, "a second time changes more"
        asked, given = orjson.loads(body), orjson.loads(sent.body)
        for member in {*asked, *given} - CHANGEABLE:
            assert asked[member] == given[member], "a member that no shape names changed"
        if shape is NO_SHAPE:
            assert {**asked, "stream_options": 0} == {**given, "stream_options": 0} or (
                asked == given
            ), "unshaped, something changed"
        _lowered(name, again, shape, given)


def _lowered(name: str, facts: RequestFacts, shape: Shape, given: dict[str, Any]) -> None:
    metered = name not in ("openai.embeddings", "openai.input_tokens", "anthropic.count_tokens")
    if not metered:
        return
    if shape.output_tokens is not None:
        assert facts.output_tokens <= shape.output_tokens, "more output than the clamp"
    if shape.truncate is not None and not facts.stream:
        floor = 16 if name == "openai.responses" else 1
        assert facts.output_tokens <= max(shape.truncate, floor), "more output than the truncation"
    if shape.n is not None and shape.best_of is not None:
        assert facts.choices <= max(shape.n, shape.best_of) * facts.prompts, "more choices"
    if shape.effort and name != "anthropic.messages" and facts.reasoning in EFFORTS:
        assert EFFORTS.index(facts.reasoning) <= EFFORTS.index(shape.effort), "more effort"
    stripped = {
        "openai.chat": set(STRIPPABLE), "openai.completions": set(STRIPPABLE),
        "openai.responses": {"logprobs"},
    }.get(name, set())  # fmt: skip
    assert not facts.features & stripped & shape.strip, "a stripped knob is in use"
    warmth = given.get("temperature")
    if shape.temperature_max is not None and isinstance(warmth, float) and "thinking" not in given:
        assert warmth <= shape.temperature_max, "warmer than the clamp"


def route(data: bytes) -> None:
    """Only the declared errors, whatever the request line says."""
    lines = data[HEAD:].decode("utf-8", "surrogateescape").split("\n")
    method, target = lines[0], lines[1] if len(lines) > 1 else ""
    headers = {
        key.strip().lower(): value.strip()
        for key, colon, value in (line.partition(":") for line in lines[2:])
        if colon
    }
    routes.allowed(target)
    try:
        found = routes.route(method, target, headers)
    except (RouteUnknownError, RouteClosedError, MethodUnknownError) as error:
        told = routes.error(error, method, target, headers)
        assert 400 <= told.status < 500
        orjson.loads(told.body)
        return
    assert found.call.path == target.partition("?")[0]
    assert found.call.method == method
    try:
        (facts, *_) = found.dialect.read(b"", lambda _: TokenRules(), found.call)
    except RequestError:
        return
    assert method != "POST" or found.call.action
    assert found.dialect.forward(b"", facts, EVERYTHING).body == b""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    assert len(found) == len(pairs), "a repeated key was accepted"
    return found
