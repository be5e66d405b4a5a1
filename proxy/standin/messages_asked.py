"""What a request for a message asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.standin.asked import Asked
from proxy.standin.directives import directives_of
from proxy.standin.fields import flag, objects, parsed, seeds
from proxy.standin.messages_prompt import check_thinking, last_said, messages_of, prompt_tokens

if TYPE_CHECKING:
    from proxy.standin.documents import Json

LEAST_BUDGET = 1024

_NOT_JSON = "The request body is not valid JSON."


@dataclass(frozen=True, slots=True)
class _Thinking:
    """How a request wants its thinking.

    on:     it asks for thinking
    off:    it wants none
    budget: the most tokens of it; None: no more than fit
    shows:  it is sent
    """

    on: bool = False
    off: bool = False
    budget: int | None = None
    shows: bool = True


def read_count(body: bytes) -> tuple[str, int]:
    """Return the model and what the prompt costs; raises RequestError."""
    asked = parsed(body, _NOT_JSON)
    messages = messages_of(asked)
    check_thinking(messages, thinks=False)
    return _model(asked), prompt_tokens(asked, messages)


def read_message(body: bytes, header: str = "") -> Asked:
    """Return what a body asks for; raises RequestError, in the words of the real thing."""
    asked = parsed(body, _NOT_JSON)
    model = _model(asked)
    cap = _integer(asked, "max_tokens", 0)
    messages = messages_of(asked)
    thinking = _thinking(asked, cap)
    check_thinking(messages, thinks=thinking.on)
    said, is_last = last_said(messages)
    directives = directives_of(said, header)
    saying = [model, asked.get("system"), messages]
    text_seed, digest = seeds(asked, saying, header, "messages")
    tool = _tool(asked, directives.tool if is_last else "", thinks=thinking.on)
    return Asked(
        model,
        prompt_tokens(asked, messages),
        text_seed,
        digest,
        cap=cap,
        stream=flag(asked, "stream"),
        include_usage=True,
        tool=tool,
        schema=_schema(asked),
        directives=directives,
        thinks=thinking.on,
        thought_cap=0 if thinking.off else thinking.budget,
        # Thought that nobody asked for is carried by its signature alone.
        shows=(thinking.on and thinking.shows) or directives.show_reasoning,
        compact=True,
    )


def _model(asked: Json) -> str:
    model = asked.get("model")
    if not isinstance(model, str) or not model:
        raise RequestError("model: Field required")
    return model


def _integer(asked: Json, name: str, least: int, at: str = "") -> int:
    value = asked.get(name)
    if value is None:
        raise RequestError(f"{at}{name}: Field required")
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError(f"{at}{name}: Input should be a valid integer")
    if value < least:
        raise RequestError(f"{at}{name}: Input should be greater than or equal to {least}")
    return value


def _thinking(asked: Json, cap: int) -> _Thinking:
    wanted = asked.get("thinking")
    if wanted is None:
        return _Thinking()
    if not isinstance(wanted, dict):
        raise RequestError("thinking: Input should be an object")
    shows = wanted.get("display") != "omitted"
    match wanted.get("type"):
        case "disabled":
            return _Thinking(off=True)
        case "adaptive" | "between_tools":
            found = _Thinking(on=True, shows=shows)
        case "enabled":
            budget = _integer(wanted, "budget_tokens", LEAST_BUDGET, "thinking.enabled.")
            if budget >= cap:
                raise RequestError("`max_tokens` must be greater than `thinking.budget_tokens`.")
            found = _Thinking(on=True, budget=budget, shows=shows)
        case kind:
            raise RequestError(
                f"thinking: Input tag '{kind}' found using 'type' does not match any of the "
                "expected tags: 'adaptive', 'between_tools', 'disabled', 'enabled'"
            )
    if asked.get("temperature") not in (None, 1):
        raise RequestError("`temperature` may only be set to 1 when thinking is enabled.")
    return found


def _tool(asked: Json, direct: str, *, thinks: bool) -> tuple[str, Json] | None:
    tools: dict[str, Json] = {}
    for tool in objects(asked.get("tools")):
        name, schema = tool.get("name"), tool.get("input_schema")
        if isinstance(name, str) and isinstance(schema, dict):
            tools[name] = schema
    name, choice = direct if tools else "", asked.get("tool_choice")
    if not isinstance(choice, dict):
        choice = {}
    kind = choice.get("type")
    if kind in ("any", "tool"):
        if thinks:
            raise RequestError("Thinking may not be enabled when tool_choice forces tool use.")
        if not tools:
            raise RequestError("tool_choice: there are no tools to choose from")
        forced = str(choice.get("name")) if kind == "tool" else next(iter(tools))
        name = name or forced
    if not name or kind == "none":
        return None
    if name not in tools:
        raise RequestError(f"Tool '{name}' not found in provided tools")
    return name, tools[name]


def _schema(asked: Json) -> Json | None:
    config = asked.get("output_config")
    if config is None:
        return None
    if not isinstance(config, dict):
        raise RequestError("output_config: Input should be an object")
    match config.get("format"):
        case None:
            return None
        case {"type": "json_schema", "schema": dict(schema)}:
            return schema
        case _:
            raise RequestError("output_config.format: expected a json_schema with a schema")
