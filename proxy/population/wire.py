"""How a request looks on the wire: one question in a door's own format and a client's style."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import orjson

from proxy.population.chance import happens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

Turn: TypeAlias = dict[str, object]

PATHS: Mapping[str, str] = MappingProxyType({
    "chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
})  # fmt: skip
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
ANTHROPIC: Mapping[str, str] = MappingProxyType({"anthropic-version": "2023-06-01"})
NO_KNOBS: Mapping[str, object] = MappingProxyType({})
# The thinking that a client allows, and the room that it leaves for the answer beside it.
THINKING, ANSWERING = 2_048, 2_048
LEAST_CAP = 16  # that the Responses API takes
REASONING = ("o3", "gpt-5")  # models that reason, asked or not
FRAME = 4  # tokens that a turn costs besides its text
CHARS = 4  # characters a token


@dataclass(frozen=True, slots=True)
class Style:
    """Habits of a client program.

    door:        for models of OpenAI: chat or responses
    cap_name:    how it calls the cap in chat
    caps:        it sets a cap of its own where nothing demands one: tokens, None for no
    stream:      it wants events
    late:        its messages stand last in the body
    temperature: it sends this with everything, None for no
    names_users: it tells end users apart (`user`)
    """

    door: str = "chat"
    cap_name: str = "max_tokens"
    caps: int | None = None
    stream: bool = False
    late: bool = False
    temperature: float | None = None
    names_users: bool = True


@dataclass(slots=True)
class Ask:
    """What a request asks, in no dialect.

    turns:  in the door's own form, as `spoken` and `tool_step` make them
    cap:    the client's limit of the answer, tokens; None: its style says
    user:   its end user, ''
    knobs:  further fields of the body as they stand
    thinks: reasoning is asked for, to be handed out sealed
    """

    model: str
    turns: list[Turn] = field(repr=False)
    system: str = field(default="", repr=False)
    cap: int | None = None
    temperature: float | None = None
    stream: bool | None = None
    user: str = field(default="", repr=False)
    knobs: Mapping[str, object] = field(default_factory=lambda: NO_KNOBS, repr=False)
    thinks: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """A request on the wire. prompt_tokens: a plausible count of its text."""

    path: str
    body: dict[str, object] = field(repr=False)
    headers: Mapping[str, str]
    prompt_tokens: int
    cap: int | None
    stream: bool


def door_of(model: str, style: Style) -> str:
    """Return at which door a model is asked."""
    if model.startswith("claude"):
        return "messages"
    return "embeddings" if model.startswith("text-embedding") else style.door


def style_of(rng: Random) -> Style:
    """Return the habits of one client program."""
    return Style(
        door="responses" if happens(rng, 0.25) else "chat",
        cap_name=rng.choice(("max_tokens", "max_completion_tokens")),
        caps=rng.choice((None, None, 512, 1_000, 1_024, 2_048, 4_096)),
        stream=happens(rng, 0.45),
        late=happens(rng, 0.3),
        temperature=rng.choice((None, None, None, 0.0, 0.2, 0.7, 0.7, 1.0)),
        names_users=happens(rng, 0.7),
    )


def said(role: str, text: str) -> Turn:
    """Return a turn of plain text, the same at all doors."""
    return {"role": role, "content": text}


def spoken(door: str, text: str, sealed: tuple[str, ...] = ()) -> list[Turn]:
    """Return an answer as it is sent back in the next request, with what was handed out sealed."""
    if not sealed:
        return [said("assistant", text)]
    if door == "messages":
        blocks: list[Turn] = [
            {"type": "thinking", "thinking": "", "signature": each} for each in sealed
        ]
        return [{"role": "assistant", "content": [*blocks, {"type": "text", "text": text}]}]
    return [*(_reasoning(each) for each in sealed), said("assistant", text)]


def tool_step(
    door: str, call: str, name: str, given: str, result: str, sealed: tuple[str, ...] = ()
) -> list[Turn]:
    """Return a tool's call by the model and its result, as the next request sends them back.

    call:  id of the call
    given: text of its one argument
    """
    match door:
        case "messages":
            blocks: list[Turn] = [
                {"type": "thinking", "thinking": "", "signature": each} for each in sealed
            ]
            use = {"type": "tool_use", "id": call, "name": name, "input": {"text": given}}
            back = {"type": "tool_result", "tool_use_id": call, "content": result}
            return [
                {"role": "assistant", "content": [*blocks, use]},
                {"role": "user", "content": [back]},
            ]
        case "responses":
            return [
                *(_reasoning(each) for each in sealed),
                {"type": "function_call", "call_id": call, "name": name,
                 "arguments": '{"text": "…"}' if not given else _quoted(given)},
                {"type": "function_call_output", "call_id": call, "output": result},
            ]  # fmt: skip
        case _:
            function = {"name": name, "arguments": _quoted(given)}
            use = {"id": call, "type": "function", "function": function}
            return [
                {"role": "assistant", "content": None, "tool_calls": [use]},
                {"role": "tool", "tool_call_id": call, "content": result},
            ]


def tools(door: str, names: tuple[str, ...]) -> list[Turn]:
    """Return the declarations of tools that take one text each."""
    text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    match door:
        case "messages":
            return [{"name": n, "description": f"{n} in the workspace", "input_schema": text}
                    for n in names]  # fmt: skip
        case "responses":
            return [{"type": "function", "name": n, "parameters": text} for n in names]
        case _:
            return [{"type": "function", "function": {"name": n, "parameters": text}}
                    for n in names]  # fmt: skip


def sent(ask: Ask, style: Style) -> Sent:
    """Return a question on the wire."""
    door = door_of(ask.model, style)
    if door == "embeddings":
        said_alone = {"model": ask.model, **ask.knobs}
        size = len(str(ask.knobs)) // CHARS
        return Sent(PATHS[door], said_alone, NO_HEADERS, size, None, stream=False)
    cap = ask.cap if ask.cap is not None else style.caps
    stream = style.stream if ask.stream is None else ask.stream
    reasons = ask.thinks or ask.model.startswith(REASONING)
    headers, turns, around = NO_HEADERS, ask.turns, {}
    match door:
        case "messages":
            headers = ANTHROPIC
            cap = THINKING + ANSWERING if ask.thinks else cap or 1_024
            around = _messages(ask, cap)
        case "responses":
            cap = None if cap is None else max(LEAST_CAP, cap)
            around = _responses(ask, cap)
        case _:
            if ask.system:
                turns = [said("system", ask.system), *turns]
            around = _chat(ask, cap, "max_completion_tokens" if reasons else style.cap_name)
    warm = ask.temperature if ask.temperature is not None else style.temperature
    if warm is not None and not reasons:  # models that reason take none
        around["temperature"] = warm
    if stream:
        around["stream"] = True
        if door == "chat":
            around["stream_options"] = {"include_usage": True}
    around.update(ask.knobs)
    named = "input" if door == "responses" else "messages"
    if style.late:
        body: dict[str, object] = {"model": ask.model, **around, named: turns}
    else:
        body = {"model": ask.model, named: turns, **around}
    return Sent(PATHS[door], body, headers, _tokens(ask), cap, stream)


def _chat(ask: Ask, cap: int | None, cap_name: str) -> dict[str, object]:
    found: dict[str, object] = {} if cap is None else {cap_name: cap}
    if ask.user:
        found["user"] = ask.user
    return found


def _messages(ask: Ask, cap: int) -> dict[str, object]:
    found: dict[str, object] = {"max_tokens": cap}
    if ask.system:
        found["system"] = ask.system
    if ask.user:
        found["metadata"] = {"user_id": ask.user}
    if ask.thinks:
        found["thinking"] = {"type": "enabled", "budget_tokens": THINKING}
    return found


def _responses(ask: Ask, cap: int | None) -> dict[str, object]:
    found: dict[str, object] = {"store": False}
    if ask.system:
        found["instructions"] = ask.system
    if cap is not None:
        found["max_output_tokens"] = cap
    if ask.user:
        found["user"] = ask.user
    if ask.thinks:
        found["include"] = ["reasoning.encrypted_content"]
        found["reasoning"] = {"effort": "medium"}
    return found


def _tokens(ask: Ask) -> int:
    """Return about how many tokens a prompt has: a quarter of its characters, and its frame."""
    size = len(ask.system)
    for turn in ask.turns:
        text = turn.get("content")
        size += len(text) if isinstance(text, str) else len(orjson.dumps(turn))
    declared = ask.knobs.get("tools")
    if isinstance(declared, list):
        size += 120 * len(declared)
    return size // CHARS + FRAME * (len(ask.turns) + 1)


def _reasoning(sealed: str) -> Turn:
    return {"type": "reasoning", "id": f"rs_{sealed[:24]}", "summary": [],
            "encrypted_content": sealed}  # fmt: skip


def _quoted(text: str) -> str:
    plain = text.replace("\\", " ").replace('"', "'").replace("\n", " ").replace("\t", " ")
    return f'{{"text": "{plain}"}}'
