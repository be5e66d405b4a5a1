"""What a request for a response asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.standin.answer import REASONER
from proxy.standin.asked import Asked
from proxy.standin.directives import directives_of
from proxy.standin.fields import (
    RefusedError,
    chosen,
    flag,
    manner,
    member,
    model_of,
    number,
    objects,
    parsed,
    seeds,
    words_in,
    words_of_json,
    wrong,
)
from proxy.standin.responses_prompt import check_sealed, items_of, last_said, tokens_of

if TYPE_CHECKING:
    from proxy.standin.documents import Json
    from proxy.standin.responses_stored import Store

MAX_TOP_LOGPROBS = 20
LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"

_TEXT = {"type": "text"}
_ECHOED: Json = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


@dataclass(frozen=True, slots=True)
class ResponseAsked:
    """A response to make.

    asked:     what any dialect asks for
    items:     the input, each item with an id
    context:   tokens of what the next response will see of the input and of what was before it
    echo:      members of the request that the response repeats
    summary:   reasoning is summed up; the summary is all of it
    raw:       reasoning is shown as it is, and so not summed up
    encrypted: reasoning is carried along sealed
    """

    asked: Asked
    items: list[Json]
    context: int
    echo: Json
    summary: bool
    raw: bool
    encrypted: bool
    store: bool
    background: bool


def read_response(body: bytes, header: str, store: Store, now: float) -> ResponseAsked:
    """Return what a body asks for; raises RequestError or RefusedError."""
    asked = parsed(body)
    model = model_of(asked, "Missing required parameter: 'model'.")
    saying = [
        model,
        *(asked.get(name) for name in ("input", "instructions", "previous_response_id")),
    ]
    text_seed, digest = seeds(asked, saying, header, "input")
    items = items_of(asked, text_seed)
    check_sealed(items)
    context = _before(asked, store, now) + sum(map(tokens_of, items))
    context += sum(_referred(item, store) for item in items)
    form = member(asked, "text").get("format")
    prompt = words_in([asked.get("instructions")]) + words_of_json(asked.get("tools"))
    directives = directives_of(last_said(items), header)
    reasoning = member(asked, "reasoning")
    include = _include(asked)
    summary = bool(reasoning.get("summary") or reasoning.get("generate_summary"))
    last = items[-1] if items else {}
    direct = directives.tool if last.get("role") == "user" else ""
    keep = flag(asked, "store", otherwise=True)
    background = flag(asked, "background")
    if background and not keep:
        raise RequestError("Background mode requires 'store' to be true.", param="background")
    stream, _ = manner(asked)
    top = number(asked, "top_logprobs", 0, MAX_TOP_LOGPROBS)
    return ResponseAsked(
        Asked(
            model,
            context + prompt + words_of_json(form),
            text_seed,
            digest,
            cap=number(asked, "max_output_tokens", 1, None),
            stream=stream,
            include_usage=True,
            top_logprobs=top or 0 if LOGPROBS in include else None,
            tool=_tool(asked, direct),
            schema=_schema(form),
            directives=directives,
            thinks=_thinks(model, reasoning),
            shows=summary or directives.show_reasoning,
        ),
        items,
        context,
        _echo(asked, model, form),
        summary and not directives.show_reasoning,
        directives.show_reasoning,
        ENCRYPTED in include,
        keep,
        background,
    )


def _thinks(model: str, reasoning: Json) -> bool:
    effort = reasoning.get("effort")
    return REASONER in model if effort is None else effort != "none"


def _before(asked: Json, store: Store, now: float) -> int:
    """Return the tokens that the response before this one leaves; raises RefusedError."""
    previous = asked.get("previous_response_id")
    if previous is None:
        return 0
    found = store.find(previous) if isinstance(previous, str) else None
    if found is None:
        raise RefusedError(
            400,
            f"Previous response with id '{previous}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return found.context(now)


def _referred(item: Json, store: Store) -> int:
    if item["type"] != "item_reference":
        return 0
    found = store.item(str(item["id"]))
    if found is None:
        raise RefusedError(404, f"Item with id '{item['id']}' not found.", param="input")
    return tokens_of(found)


def _include(asked: Json) -> list[object]:
    include = asked.get("include")
    if include is None:
        return []
    if not isinstance(include, list):
        raise wrong("include", "an array of strings")
    return include


def _tool(asked: Json, direct: str) -> tuple[str, Json] | None:
    tools: dict[str, Json] = {}
    for tool in objects(asked.get("tools")):
        name, parameters = tool.get("name"), tool.get("parameters")
        if tool.get("type") == "function" and isinstance(name, str):
            tools[name] = parameters if isinstance(parameters, dict) else {}
    choice, name = asked.get("tool_choice"), direct if tools else ""
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = [str(each.get("name")) for each in objects(choice.get("tools"))]
        tools = {each: tools[each] for each in allowed if each in tools}
        choice = choice.get("mode")
    if not name and choice == "required":
        name = next(iter(tools), "")
    if not name and isinstance(choice, dict) and choice.get("type") == "function":
        name = str(choice.get("name"))
    return chosen(tools, name)


def _schema(form: object) -> Json | None:
    if form is None:
        return None
    match form:
        case {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return {}
        case {"type": "json_schema", "schema": dict(schema)}:
            return schema
    raise wrong("text.format", "text, json_object or json_schema with a schema")


def _echo(asked: Json, model: str, form: object) -> Json:
    given = {name: asked[name] for name in _ECHOED if asked.get(name) is not None}
    reasoning, text = member(asked, "reasoning"), member(asked, "text")
    return {
        **_ECHOED,
        **given,
        "model": model,
        "reasoning": {
            "effort": reasoning.get("effort"),
            "summary": reasoning.get("summary") or reasoning.get("generate_summary"),
        },
        "text": {"format": form or _TEXT, "verbosity": text.get("verbosity") or "medium"},
        "tools": [
            {"strict": True, **tool} if tool.get("type") == "function" else tool
            for tool in objects(asked.get("tools"))
        ],
    }
