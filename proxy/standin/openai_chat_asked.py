"""What a chat completion request asks for, and what its prompt costs.

Counted are the words of all string contents, a predicted one too, and of the compact JSON of
tools, functions and response format; 85 for an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.standin.answer import REASONER
from proxy.standin.asked import Asked
from proxy.standin.directives import directives_of
from proxy.standin.fields import (
    IMAGE_TOKENS,
    chosen,
    flag,
    manner,
    model_of,
    number,
    objects,
    parsed,
    seeds,
    words_in,
    words_of_json,
    wrong,
)

if TYPE_CHECKING:
    from proxy.standin.documents import Json

MAX_CHOICES = 128
MAX_TOP_LOGPROBS = 20


def read_asked(body: bytes, header: str = "") -> Asked:
    """Return what a body asks for; raises RequestError, in the words of the real thing."""
    asked = parsed(body)
    model = model_of(asked)
    messages = _messages(asked)
    tokens, last = _count(messages)
    tokens += _tokens(*_contents({"content": _predicted(asked)}))
    tokens += sum(words_of_json(asked.get(n)) for n in ("tools", "functions", "response_format"))
    stream, include_usage = manner(asked)
    directives = directives_of(last, header)
    text_seed, digest = seeds(asked, [model, asked.get("seed"), messages], header, "messages")
    direct = directives.tool if messages[-1]["role"] == "user" else ""
    return Asked(
        model,
        tokens,
        text_seed,
        digest,
        n=number(asked, "n", 1, MAX_CHOICES) or 1,
        cap=_cap(asked),
        stream=stream,
        include_usage=include_usage,
        top_logprobs=_top_logprobs(asked),
        tool=_tool(asked, direct),
        schema=_schema(asked),
        directives=directives,
        thinks=REASONER in model,
        shows=directives.show_reasoning,
    )


def _messages(asked: Json) -> list[Json]:
    messages = asked.get("messages")
    if messages is None:
        raise RequestError("Missing required parameter: 'messages'.", param="messages")
    if not isinstance(messages, list):
        raise wrong("messages", "an array of objects")
    if not messages:
        raise RequestError(
            "Invalid 'messages': empty array. Expected an array with minimum length 1.",
            param="messages",
        )
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise wrong(f"messages[{index}]", "an object with a role")
    return messages


def _count(messages: list[Json]) -> tuple[int, str]:
    """Return the tokens of all messages, and the text of the last user message."""
    tokens, last = 0, ""
    for message in messages:
        texts, images = _contents(message)
        tokens += _tokens(texts, images)
        if message["role"] == "user":
            last = " ".join(texts)
    return tokens, last


def _tokens(texts: list[str], images: int) -> int:
    return words_in(texts) + IMAGE_TOKENS * images


def _predicted(asked: Json) -> object:
    prediction = asked.get("prediction")
    return prediction.get("content") if isinstance(prediction, dict) else None


def _contents(message: Json) -> tuple[list[str], int]:
    """Return the texts of a message that are counted, and how many images it shows."""
    content = message.get("content")
    parts = objects(content if isinstance(content, list) else [{"text": content}])
    texts: list[object] = [part.get(name) for part in parts for name in ("text", "refusal")]
    texts += [message.get(name) for name in ("refusal", "reasoning_content", "reasoning")]
    for call in [*objects(message.get("tool_calls")), {"function": message.get("function_call")}]:
        for inner in (call.get("function"), call.get("custom")):
            if isinstance(inner, dict):
                texts += [inner.get("name"), inner.get("arguments"), inner.get("input")]
    images = sum(part.get("image_url") is not None for part in parts)
    return [text for text in texts if isinstance(text, str)], images


def _cap(asked: Json) -> int | None:
    caps = [number(asked, name, 1, None) for name in ("max_completion_tokens", "max_tokens")]
    if None not in caps:
        raise RequestError(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
        )
    return next((cap for cap in caps if cap is not None), None)


def _top_logprobs(asked: Json) -> int | None:
    top = number(asked, "top_logprobs", 0, MAX_TOP_LOGPROBS)
    wanted = flag(asked, "logprobs")
    if top is not None and not wanted:
        raise RequestError(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            param="top_logprobs",
        )
    return top or 0 if wanted else None


def _tool(asked: Json, direct: str) -> tuple[str, Json] | None:
    tools: dict[str, Json] = {}
    for tool in objects(asked.get("tools")):
        function = tool.get("function")
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            parameters = function.get("parameters")
            tools[function["name"]] = parameters if isinstance(parameters, dict) else {}
    choice, name = asked.get("tool_choice"), direct if tools else ""
    if not name and choice == "required":
        name = next(iter(tools), "")
    if not name and isinstance(choice, dict):
        function = choice.get("function")
        name = str(function.get("name")) if isinstance(function, dict) else ""
    return chosen(tools, name)


def _schema(asked: Json) -> Json | None:
    wanted = asked.get("response_format")
    if wanted is None:
        return None
    if not isinstance(wanted, dict):
        raise wrong("response_format", "an object")
    match wanted.get("type"):
        case "text":
            return None
        case "json_object":
            return {}
        case "json_schema":
            named = wanted.get("json_schema")
            schema = named.get("schema") if isinstance(named, dict) else None
            if isinstance(schema, dict):
                return schema
    raise wrong("response_format", "text, json_object or json_schema with a schema")
