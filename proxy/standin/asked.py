"""What a chat completion request asks for, and what its prompt costs.

The count is the stand-in's own and shares no code with the gateway's, so that each checks the
other: words of all string contents, a predicted one too, and of the compact JSON of tools,
functions and response format; 85 for an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import RequestError
from proxy.standin.directives import Directives, directives_of

if TYPE_CHECKING:
    from proxy.standin.documents import Json

IMAGE_TOKENS = 85
MAX_CHOICES = 128
MAX_TOP_LOGPROBS = 20

_MANNER = frozenset({"messages", "stream", "stream_options"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that will be answered.

    prompt_tokens: what the prompt costs
    text_seed:     follows from model, messages and seed; decides the words
    digest:        follows from all but how the answer is sent (streamed or not); decides the ids
    cap:           the most tokens of one choice, reasoning included; None: no cap
    top_logprobs:  alternatives for each token; None: no log-probabilities at all
    tool:          (name, schema of its arguments) of the function to call
    schema:        of the JSON document to answer with; an empty one: any object; None: prose
    """

    model: str
    prompt_tokens: int
    text_seed: bytes
    digest: bytes
    n: int
    cap: int | None
    stream: bool
    include_usage: bool
    top_logprobs: int | None
    tool: tuple[str, Json] | None
    schema: Json | None
    directives: Directives


def read_asked(body: bytes, header: str = "") -> Asked:
    """Return what a body asks for; raises RequestError, in the words of the real thing."""
    asked = _parsed(body)
    model = asked.get("model")
    if not isinstance(model, str) or not model:
        raise RequestError("you must provide a model parameter")
    messages = _messages(asked)
    tokens, last = _count(messages)
    tokens += _tokens(*_contents({"content": _predicted(asked)}))
    for name in ("tools", "functions", "response_format"):
        if asked.get(name):
            # As text: bytes know no white space beyond ASCII.
            tokens += len(orjson.dumps(asked[name]).decode().split())
    stream, include_usage = _manner(asked)
    directives = directives_of(last, header)
    text = orjson.dumps([model, asked.get("seed"), messages])
    text_seed = blake2b(text, digest_size=16).digest()
    rest = orjson.dumps({name: each for name, each in asked.items() if name not in _MANNER})
    digest = blake2b(text_seed + rest + header.encode(), digest_size=16).digest()
    return Asked(
        model,
        tokens,
        text_seed,
        digest,
        _number(asked, "n", 1, MAX_CHOICES) or 1,
        _cap(asked),
        stream,
        include_usage,
        _top_logprobs(asked),
        _tool(asked, directives),
        _schema(asked),
        directives,
    )


def _parsed(body: bytes) -> Json:
    try:
        asked = orjson.loads(body)
        orjson.dumps(asked)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        raise RequestError(
            "We could not parse the JSON body of your request. (HINT: This likely means you "
            "aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, "
            "but what was sent was not valid JSON.)"
        ) from None
    if not isinstance(asked, dict):
        raise RequestError("The body of your request must be a JSON object.")
    return asked


def _messages(asked: Json) -> list[Json]:
    messages = asked.get("messages")
    if messages is None:
        raise RequestError("Missing required parameter: 'messages'.", param="messages")
    if not isinstance(messages, list):
        raise _wrong("messages", "an array of objects")
    if not messages:
        raise RequestError(
            "Invalid 'messages': empty array. Expected an array with minimum length 1.",
            param="messages",
        )
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _wrong(f"messages[{index}]", "an object with a role")
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
    return sum(len(text.split()) for text in texts) + IMAGE_TOKENS * images


def _predicted(asked: Json) -> object:
    prediction = asked.get("prediction")
    return prediction.get("content") if isinstance(prediction, dict) else None


def _contents(message: Json) -> tuple[list[str], int]:
    """Return the texts of a message that are counted, and how many images it shows."""
    content = message.get("content")
    listed = content if isinstance(content, list) else [{"text": content}]
    parts = [part for part in listed if isinstance(part, dict)]
    texts: list[object] = [part.get(name) for part in parts for name in ("text", "refusal")]
    texts += [message.get(name) for name in ("refusal", "reasoning_content", "reasoning")]
    calls = message.get("tool_calls")
    for call in [
        *(calls if isinstance(calls, list) else []),
        {"function": message.get("function_call")},
    ]:
        if not isinstance(call, dict):
            continue
        for inner in (call.get("function"), call.get("custom")):
            if isinstance(inner, dict):
                texts += [inner.get("name"), inner.get("arguments"), inner.get("input")]
    images = sum(part.get("image_url") is not None for part in parts)
    return [text for text in texts if isinstance(text, str)], images


def _manner(asked: Json) -> tuple[bool, bool]:
    stream, options = asked.get("stream") or False, asked.get("stream_options")
    if not isinstance(stream, bool):
        raise _wrong("stream", "a boolean")
    if options is None:
        return stream, False
    if not stream:
        raise RequestError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    if not isinstance(options, dict):
        raise _wrong("stream_options", "an object")
    return stream, options.get("include_usage") is True


def _cap(asked: Json) -> int | None:
    caps = [_number(asked, name, 1, None) for name in ("max_completion_tokens", "max_tokens")]
    if None not in caps:
        raise RequestError(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
        )
    return next((cap for cap in caps if cap is not None), None)


def _top_logprobs(asked: Json) -> int | None:
    top = _number(asked, "top_logprobs", 0, MAX_TOP_LOGPROBS)
    wanted = asked.get("logprobs") or False
    if not isinstance(wanted, bool):
        raise _wrong("logprobs", "a boolean")
    if top is not None and not wanted:
        raise RequestError(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            param="top_logprobs",
        )
    return top or 0 if wanted else None


def _tool(asked: Json, directives: Directives) -> tuple[str, Json] | None:
    tools: dict[str, Json] = {}
    listed = asked.get("tools") or []
    for tool in listed if isinstance(listed, list) else []:
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            parameters = function.get("parameters")
            tools[function["name"]] = parameters if isinstance(parameters, dict) else {}
    choice, name = asked.get("tool_choice"), directives.tool if tools else ""
    if not name and choice == "required":
        name = next(iter(tools), "")
    if not name and isinstance(choice, dict):
        function = choice.get("function")
        name = str(function.get("name")) if isinstance(function, dict) else ""
    if not name:
        return None
    if name not in tools:
        raise RequestError(
            "Invalid value for 'tool_choice': no such function in 'tools'.", param="tool_choice"
        )
    return name, tools[name]


def _schema(asked: Json) -> Json | None:
    wanted = asked.get("response_format")
    if wanted is None:
        return None
    if not isinstance(wanted, dict):
        raise _wrong("response_format", "an object")
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
    raise _wrong("response_format", "text, json_object or json_schema with a schema")


def _number(asked: Json, name: str, low: int, high: int | None) -> int | None:
    value = asked.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(name, "an integer")
    if value < low or (high is not None and value > high):
        bound = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise RequestError(f"Invalid '{name}': expected an integer {bound}.", param=name)
    return value


def _wrong(param: str, expected: str) -> RequestError:
    return RequestError(f"Invalid type for '{param}': expected {expected}.", param=param)
