"""What the input of a response costs, and what of it is kept.

Counted are the words of instructions, of all text parts, of names, arguments and outputs of
calls, of reasoning that is shown, and of the compact JSON of `tools` and `text.format`; 85 for an
image; of items of other types all strings but `type`, `id`, `status` and `role`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.standin.fields import IMAGE_TOKENS, identity, leaves, objects, words_in, wrong
from proxy.standin.sealed import opened

if TYPE_CHECKING:
    from proxy.standin.documents import Json

_NAMES = frozenset({"type", "id", "status", "role", "encrypted_content"})
_IMAGES = frozenset({"input_image", "computer_screenshot"})
# What is counted of items that have more to them.
_COUNTED = {
    "message": ("content",),
    "function_call": ("name", "arguments"),
    "function_call_output": ("output",),
    "custom_tool_call": ("name", "input"),
    "custom_tool_call_output": ("output",),
    "reasoning": ("summary", "content"),
}
_SAID = ("text", "refusal")
_TEXTS = frozenset(
    {"input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text"}
)
_SILENT = frozenset({"input_file", "input_audio"})
_PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
}


def items_of(asked: Json, text_seed: bytes) -> list[Json]:
    """Return the input as items, each with an id; raises RequestError."""
    value = asked.get("input")
    if value is None and asked.get("previous_response_id") is None:
        raise RequestError("Missing required parameter: 'input'.", param="input")
    listed = value if isinstance(value, list) else [] if value is None else [value]
    items = []
    for index, each in enumerate(listed):
        if isinstance(each, str) and not isinstance(value, list):
            item: Json = {"type": "message", "role": "user", "content": each}
        elif isinstance(each, dict) and ("role" in each or isinstance(each.get("type"), str)):
            item = {**each, "type": each.get("type") or "message"}
        elif isinstance(each, dict) and isinstance(each.get("id"), str):
            item = {**each, "type": "item_reference"}
        else:
            raise wrong("input" if each is value else f"input[{index}]", "a string or items")
        if item.get("id") is None:
            prefix = _PREFIXES.get(str(item["type"]), "item_")
            item["id"] = identity(prefix, text_seed, index.to_bytes(4))
        items.append(item)
    return items


def check_sealed(items: list[Json]) -> None:
    """Raise RequestError for encrypted reasoning that is not ours."""
    for item in items:
        sealed = item.get("encrypted_content")
        if item["type"] != "reasoning" or sealed is None:
            continue
        if not isinstance(sealed, str) or opened(sealed) is None:
            raise RequestError(
                f"The encrypted content for item {item['id']} could not be verified. Reason: "
                "Encrypted content could not be decrypted or parsed.",
                param="input",
            )


def tokens_of(item: Json) -> int:
    """Return what an item costs."""
    kind = str(item["type"])
    if kind == "image_generation_call":
        return IMAGE_TOKENS
    if kind == "computer_call_output":
        return _content([item.get("output")])
    if kind in _COUNTED:
        return sum(_content(item.get(name)) for name in _COUNTED[kind])
    return words_in(leaves(item, _NAMES))


def last_said(items: list[Json]) -> str:
    """Return the text of the last message of the user."""
    said = ""
    for item in items:
        if item["type"] == "message" and item.get("role") == "user":
            said = " ".join(text for text in _texts(item.get("content")) if isinstance(text, str))
    return said


def listed(item: Json) -> Json:
    """Return an item as the list of input items shows it."""
    told: Json = {"status": "completed", **item}
    content = item.get("content")
    if item["type"] == "message" and isinstance(content, str):
        kind = "output_text" if item.get("role") == "assistant" else "input_text"
        part: Json = {"type": kind, "text": content}
        if kind == "output_text":
            part["annotations"] = []
        told["content"] = [part]
    return told


def _texts(content: object) -> list[object]:
    if isinstance(content, str):
        return [content]
    return [part.get(name) for part in objects(content) for name in _SAID]


def _content(content: object) -> int:
    if isinstance(content, str):
        return len(content.split())
    return sum(map(_part, objects(content)))


def _part(part: Json) -> int:
    kind = str(part.get("type"))
    if kind in _IMAGES:
        return IMAGE_TOKENS
    if kind in _SILENT:
        return 0
    return words_in(leaves(part, _NAMES) if kind not in _TEXTS else map(part.get, _SAID))
