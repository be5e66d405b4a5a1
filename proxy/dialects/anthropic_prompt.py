"""What a prompt of the Messages API says and costs: system, messages, tools, images, documents.

Counted by `words`, it is what the stand-in model reports: the words of all text, of the names of
tool calls and the compact JSON of their input, of tool results and thinking, of the compact JSON
of `tools` and of the output format, and 85 for an image.
Counted by `chars`, it is an estimate: roles and titles count too, three tokens frame a message
and three the reply, and media have flat prices.

Objects that an account keeps (files, containers, threads) are refused: behind one credential all
developers would share them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import RequestError
from proxy.dialects.anthropic_fields import (
    kind_of,
    leaves,
    list_of,
    missing,
    object_of,
    text_of,
    wrong,
)
from proxy.dialects.openai_prompt import FILE_CHARACTERS_A_TOKEN, FILE_MAX, Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

# The most that an image is scaled to: 1,568 pixels on its long side, 750 pixels a token.
IMAGE = 1_568
# A document behind a URL has a size that we cannot see.
BEHIND_URL = 4_000

_FILES = "Files are not served here: send the {what} itself, as base64 or by URL."
_SHARED = "{what}: not served here, since it is kept in an account that all developers here share."


def read_prompt(asked: dict[str, object]) -> Prompt:
    """Return the prompt of a request; raises RequestError where it cannot be counted."""
    _refuse_objects(asked)
    prompt = Prompt()
    system = asked.get("system")
    if system is not None:
        prompt.lines.append("system")
        prompt.turn("system")
        _read_content(prompt, system, "system")
    messages = list_of(asked, "messages")
    if not messages:
        if asked.get("messages") is None:
            raise missing("messages")
        raise RequestError("messages: at least one message is required", param="messages")
    prompt.messages = len(messages)
    for index, message in enumerate(messages):
        _read_message(prompt, message, f"messages.{index}")
    prompt.turn("")
    tools = list_of(asked, "tools")
    if tools:
        prompt.say(orjson.dumps(tools).decode())
    for holder in (object_of(asked, "output_config").get("format"), asked.get("output_format")):
        if holder is not None:
            prompt.say(orjson.dumps(holder).decode())
    return prompt


def _refuse_objects(asked: dict[str, object]) -> None:
    container = asked.get("container")
    if isinstance(container, dict):
        skills = list_of(container, "skills")
        if any(isinstance(skill, dict) and skill.get("type") == "custom" for skill in skills):
            raise RequestError(_SHARED.format(what="container.skills"), param="container")
        container = container.get("id")
    if container is not None:
        raise RequestError(_SHARED.format(what="container"), param="container")
    if asked.get("thread") is not None:
        raise RequestError(_SHARED.format(what="thread"), param="thread")


def _read_message(prompt: Prompt, message: object, where: str) -> None:
    if not isinstance(message, dict):
        raise wrong(where, "an object")
    role = text_of(message, "role", f"{where}.")
    if not role:
        raise missing(f"{where}.role")
    prompt.lines.append(role)
    prompt.turn(role)
    if message.get("content") is None:
        raise missing(f"{where}.content")
    _read_content(prompt, message["content"], f"{where}.content")


def _read_content(prompt: Prompt, content: object, where: str) -> None:
    if isinstance(content, str):
        prompt.say(content)
        return
    if not isinstance(content, list):
        raise wrong(where, "a valid string or a valid list")
    for index, block in enumerate(content):
        if not isinstance(block, dict):
            raise wrong(f"{where}.{index}", "an object")
        _read_block(prompt, block, f"{where}.{index}")


def _read_block(prompt: Prompt, block: dict[str, object], where: str) -> None:
    kind = kind_of(block)
    match kind:
        case "text":
            prompt.say(text_of(block, kind, f"{where}."))
        case "thinking":
            before = prompt.turn("")
            prompt.say(text_of(block, kind, f"{where}."))
            prompt.turn(before)
        case "image":
            _read_source(prompt, block, where, "images", IMAGE)
        case "document":
            for name in ("title", "context"):
                prompt.lines.append(text_of(block, name, f"{where}."))
            _read_source(prompt, block, where, "files", BEHIND_URL)
        case "tool_result":
            before = prompt.turn("tool")
            _read_content(prompt, block.get("content") or [], f"{where}.content")
            prompt.turn(before)
        case "tool_use":
            prompt.say(text_of(block, "name", f"{where}."))
            prompt.say(orjson.dumps(block.get("input") or {}).decode())
        case "redacted_thinking":
            pass  # sealed
        case _:
            _read_other(prompt, block, where)


def _read_other(prompt: Prompt, block: dict[str, object], where: str) -> None:
    """Read a block of a server's tools, or one that we do not know: all that it says."""
    if kind_of(block) == "container_upload":
        raise RequestError(f"{where}: " + _FILES.format(what="file"), param=where)
    for item in _objects(block):
        if kind_of(item) == "file" and "file_id" in item:
            raise RequestError(f"{where}: " + _FILES.format(what="file"), param=where)
    for text in leaves(block):
        prompt.say(text)


def _read_source(
    prompt: Prompt, block: dict[str, object], where: str, feature: str, flat: int
) -> None:
    """Read what an image or a document is made of; `flat`: tokens where its size is not seen."""
    source = block.get("source")
    where = f"{where}.source"
    if not isinstance(source, dict):
        raise wrong(where, "an object") if source is not None else missing(where)
    kind = kind_of(source)
    prompt.features.add(feature)
    if kind == "file" or "file_id" in source:
        what = "image" if feature == "images" else "document"
        raise RequestError(f"{where}: " + _FILES.format(what=what), param=where)
    if kind == "base64":
        data = text_of(source, "data", f"{where}.")
        tokens = -(-len(data) // FILE_CHARACTERS_A_TOKEN)
        prompt.show(feature, data, flat if feature == "images" else min(tokens, FILE_MAX))
    elif kind == "url":
        prompt.show(feature, text_of(source, "url", f"{where}."), flat)
    elif kind == "text":
        prompt.say(text_of(source, "data", f"{where}."))
    elif kind == "content":
        _read_content(prompt, source.get("content") or [], f"{where}.content")
    else:
        for text in leaves(source):
            prompt.say(text)


def _objects(value: object) -> Iterator[dict[str, object]]:
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            yield item
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
