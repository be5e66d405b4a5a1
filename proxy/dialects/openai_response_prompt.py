"""What the prompt of a response says and costs: instructions, input items, tools, text format.

Counted as `openai_prompt` counts: by `words`, what the stand-in model reports; by `chars`, an
estimate with frames and media. What a previous response adds is not seen here: the provider's
usage corrects it.

Files, images, conversations, prompts and containers that are named by an id are in an account
that all developers here share; no account can own them, so that they are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import RequestError
from proxy.dialects.openai_fields import string, wrong_type
from proxy.dialects.openai_prompt import (
    AUDIO_CHARACTERS_A_TOKEN,
    FILE_BY_URL,
    FILE_CHARACTERS_A_TOKEN,
    FILE_MAX,
    IMAGE_HIGH,
    IMAGE_LOW,
    Prompt,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ID = 256

# Members of an item that say nothing to the model.
_FRAME = frozenset({"type", "id", "status", "role"})
_TEXT_PARTS = frozenset(
    {"input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal"}
)
# The members of items whose text is in a few of them.
_ITEMS: dict[object, tuple[str, ...]] = {
    "message": ("content",),
    "function_call": ("name", "arguments"),
    "function_call_output": ("output",),
    "custom_tool_call": ("name", "input"),
    "custom_tool_call_output": ("output",),
    "reasoning": ("summary", "content"),
}
# Members of tools that name stored objects; a function's own schema may have them as words.
_OBJECTS = frozenset(
    {"vector_store_ids", "file_ids", "file_id", "container_id", "skill_id", "tunnel_id"}
)
_SCHEMAS = frozenset({"parameters", "input_schema", "schema"})


def read_prompt(asked: dict[str, object]) -> tuple[Prompt, tuple[str, ...]]:
    """Return the prompt, and the ids of stored objects that it builds on; raises RequestError."""
    prompt = Prompt()
    references: list[str] = []
    for name in ("conversation", "prompt"):
        if asked.get(name) is not None:
            raise _shared(name, name)
    previous = string(asked, "previous_response_id", MAX_ID)
    if previous:
        references.append(previous)
        prompt.features.add("previous_response")
    instructions = asked.get("instructions")
    if isinstance(instructions, str):
        prompt.turn("system")
        prompt.say(instructions)
    elif instructions is not None:
        _read_items(prompt, instructions, "instructions", references)
    given = asked.get("input")
    if isinstance(given, str):
        prompt.lines.append("user")
        prompt.turn("user")
        prompt.say(given)
        prompt.messages += 1
    elif given is not None:
        _read_items(prompt, given, "input", references)
    elif not previous:
        raise RequestError("Missing required parameter: 'input'.", param="input")
    prompt.turn("")
    _say_leaves(prompt, {"": asked.get("previous_input_messages")})  # vLLM's
    _read_tools(prompt, asked.get("tools"))
    _read_format(prompt, asked.get("text"))
    options = asked.get("prompt_cache_options")
    if isinstance(options, dict):
        compared = string(options, "comparison_response_id", MAX_ID)
        references.extend([compared] if compared else ())
    return prompt, tuple(dict.fromkeys(references))


def _read_items(prompt: Prompt, items: object, where: str, references: list[str]) -> None:
    if not isinstance(items, list):
        raise wrong_type(where, "a string or an array of objects", items)
    for position, item in enumerate(items):
        place = f"{where}[{position}]"
        if not isinstance(item, dict):
            raise wrong_type(place, "an object", item)
        kind = item.get("type")
        if kind is None:
            kind = "message" if "role" in item or "content" in item else "item_reference"
        if not isinstance(kind, str):
            raise wrong_type(f"{place}.type", "a string", kind)
        if kind == "item_reference":
            references.append(_reference(item, place))
            continue
        if _looked_up(item, kind):
            references.append(_reference(item, place))
        prompt.messages += 1
        _read_item(prompt, item, kind, place)


def _read_item(prompt: Prompt, item: dict[str, object], kind: str, where: str) -> None:
    role = item.get("role")
    prompt.lines.append(role if isinstance(role, str) else kind)
    prompt.turn(role if isinstance(role, str) else _speaker(kind))
    _seal(prompt, item.get("encrypted_content"))
    names = _ITEMS.get(kind)
    if names is not None:
        for name in names:
            _read_content(prompt, item.get(name), f"{where}.{name}")
    elif kind == "computer_call_output":
        _read_content(prompt, [item.get("output")], f"{where}.output")
    elif kind == "image_generation_call":
        prompt.show("images", str(item.get("result") or ""), IMAGE_HIGH)
    else:
        if "tools" in item:
            _check_tools(prompt, item["tools"], f"{where}.tools")
        if kind.endswith(("_call", "_output")):
            _say_leaves(prompt, item)  # what a tool did may name files that are no content
        else:
            _read_other(prompt, item, where)


def _speaker(kind: str) -> str:
    """Return whose turn an item without a role is: '' for thoughts."""
    if kind == "reasoning":
        return ""
    return "tool" if kind.endswith("_output") else "assistant"


def _read_content(prompt: Prompt, content: object, where: str) -> None:
    if content is None:
        return
    if isinstance(content, str):
        prompt.say(content)
        return
    if not isinstance(content, list):
        raise wrong_type(where, "a string or an array of objects", content)
    for position, part in enumerate(content):
        if not isinstance(part, dict):
            raise wrong_type(f"{where}[{position}]", "an object", part)
        _read_part(prompt, part, f"{where}[{position}]")


def _read_part(prompt: Prompt, part: dict[str, object], where: str) -> None:
    kind = part.get("type")
    kind = kind if isinstance(kind, str) else ""
    if kind in _TEXT_PARTS:
        for name in ("text", "refusal"):
            text = part.get(name)
            if isinstance(text, str):
                prompt.say(text)
            elif text is not None:
                raise wrong_type(f"{where}.{name}", "a string", text)
        return
    if kind in {"input_image", "input_file", "computer_screenshot"} and part.get("file_id"):
        raise _shared("file_id", where)
    if kind in {"input_image", "computer_screenshot"}:
        tokens = IMAGE_LOW if part.get("detail") == "low" else IMAGE_HIGH
        prompt.show("images", _text(part, "image_url", where), tokens)
    elif kind == "input_file":
        data = _text(part, "file_data", where)
        url = _text(part, "file_url", where)
        tokens = min(-(-len(data) // FILE_CHARACTERS_A_TOKEN), FILE_MAX)
        prompt.show("files", data or url, tokens + (FILE_BY_URL if url else 0))
    elif kind == "input_audio":
        inner = part.get("input_audio")
        if not isinstance(inner, dict):
            raise wrong_type(f"{where}.input_audio", "an object", inner)
        sound = _text(inner, "data", where)
        prompt.show("audio", sound, -(-len(sound) // AUDIO_CHARACTERS_A_TOKEN))
    else:
        _read_other(prompt, part, where)


def _read_other(prompt: Prompt, held: dict[str, object], where: str) -> None:
    """Read an item or a part of a type that is not known."""
    if "file_id" in _objects(held):
        raise _shared("file_id", where)
    _say_leaves(prompt, held)


def _read_tools(prompt: Prompt, tools: object) -> None:
    if tools is None:
        return
    _check_tools(prompt, tools, "tools")
    if tools:
        prompt.say(orjson.dumps(tools).decode())


def _check_tools(prompt: Prompt, tools: object, where: str) -> None:
    """Note which kinds of tools there are; they may stand in an item of the input too."""
    if not isinstance(tools, list):
        raise wrong_type(where, "an array of objects", tools)
    for position, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise wrong_type(f"{where}[{position}]", "an object", tool)
        if isinstance(tool.get("container"), str) or any(_objects(tool)):
            raise _shared("tools", f"{where}[{position}]")
        prompt.features.add("tools")
        if tool.get("type", "function") not in ("function", "custom"):
            prompt.features.add("server_tools")


def _read_format(prompt: Prompt, text: object) -> None:
    if text is None:
        return
    if not isinstance(text, dict):
        raise wrong_type("text", "an object", text)
    form = text.get("format")
    if form is None:
        return
    if not isinstance(form, dict):
        raise wrong_type("text.format", "an object", form)
    if form:
        prompt.say(orjson.dumps(form).decode())
    if form.get("type", "text") != "text":
        prompt.features.add("structured")


def _objects(tool: dict[str, object]) -> Iterator[str]:
    """Yield the names of stored objects in a tool, but for what its schemas say."""
    left: list[object] = [tool]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left.extend(value)
        elif isinstance(value, dict):
            yield from (name for name in _OBJECTS & value.keys() if value[name])
            left.extend(inner for name, inner in value.items() if name not in _SCHEMAS)


def _say_leaves(prompt: Prompt, value: dict[str, object]) -> None:
    """Count every string of an item whose type is not known."""
    left: list[object] = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            prompt.say(item)
        elif isinstance(item, dict):
            left.extend(
                item[name]
                for name in reversed(item)
                if name not in _FRAME and name != "encrypted_content"
            )
        elif isinstance(item, list):
            left.extend(reversed(item))


def _seal(prompt: Prompt, sealed: object) -> None:
    """Count reasoning that only the provider can read."""
    if isinstance(sealed, str):
        prompt.media += min(-(-len(sealed) // FILE_CHARACTERS_A_TOKEN), FILE_MAX)


def _looked_up(item: dict[str, object], kind: str) -> bool:
    """Return whether the provider takes what an item says from where it has kept it."""
    if not item.get("id"):
        return False
    if kind == "reasoning":
        return not item.get("encrypted_content") and not item.get("content")
    return kind == "image_generation_call" and not item.get("result")


def _reference(item: dict[str, object], where: str) -> str:
    identity = item.get("id")
    if not isinstance(identity, str):
        raise wrong_type(f"{where}.id", "a string", identity)
    if not identity or len(identity) > MAX_ID:
        raise RequestError(f"Invalid '{where}.id'.", param=f"{where}.id")
    return identity


def _shared(name: str, where: str) -> RequestError:
    return RequestError(
        f"'{name}' names an object that is stored at the provider, in an account that all "
        "developers here share; this gateway serves only what your own account has made. "
        "Send the content itself instead.",
        param=where,
    )


def _text(holder: dict[str, object], name: str, where: str) -> str:
    value = holder.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(f"{where}.{name}", "a string", value)
    return value
