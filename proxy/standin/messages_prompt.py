"""What the messages of a request cost, and whether their thinking is what we thought.

Counted are the words of all texts, of the name and the compact JSON of a call's input, of
results, thoughts and documents that are texts, and of the compact JSON of `tools` and of the
output's format; 85 for an image, nothing for a document in base64; of blocks of other types all
strings but ids, types and sealed data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.standin.fields import IMAGE_TOKENS, leaves, objects, words_in, words_of_json
from proxy.standin.sealed import opened

if TYPE_CHECKING:
    from proxy.standin.documents import Json

_NAMES = frozenset(
    {"type", "id", "tool_use_id", "signature", "data", "encrypted_content", "cache_control"}
)
_THINKING = frozenset({"thinking", "redacted_thinking"})


def messages_of(asked: Json) -> list[Json]:
    """Return the messages; raises RequestError."""
    messages = asked.get("messages")
    if messages is None:
        raise RequestError("messages: Field required")
    if not isinstance(messages, list):
        raise RequestError("messages: Input should be a valid list")
    if not messages:
        raise RequestError("messages: at least one message is required")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise RequestError(f"messages.{index}: Input should be an object")
        if message.get("role") not in ("user", "assistant", "system"):
            raise RequestError(f'messages: Unexpected role "{message.get("role")}".')
        if not isinstance(message.get("content"), str | list):
            raise RequestError(f"messages.{index}.content: Field required")
    return messages


def prompt_tokens(asked: Json, messages: list[Json]) -> int:
    """Return what a request costs."""
    config = asked.get("output_config")
    form = config.get("format") if isinstance(config, dict) else None
    tokens = words_of_json(asked.get("tools")) + words_of_json(form)
    tokens += _content(asked.get("system"))
    return tokens + sum(_content(message["content"]) for message in messages)


def last_said(messages: list[Json]) -> tuple[str, bool]:
    """Return the last text of the user, and whether nothing came after it."""
    for message in reversed(messages):
        content = message["content"]
        blocks = [{"text": content}] if isinstance(content, str) else objects(content)
        texts = [text for block in blocks if isinstance(text := block.get("text"), str)]
        if message["role"] == "user" and texts:
            return " ".join(texts), message is messages[-1]
    return "", False


def check_thinking(messages: list[Json], *, thinks: bool) -> None:
    """Raise RequestError for a thought that is not ours, or one that should be there.

    thinks: this request asks for thinking
    """
    for index, message in enumerate(messages):
        for number, block in enumerate(objects(message["content"])):
            if block.get("type") != "thinking":
                continue
            at = f"messages.{index}.content.{number}"
            text, signature = block.get("thinking"), block.get("signature")
            if not isinstance(text, str):
                raise RequestError(f"{at}.thinking.thinking: Field required")
            if not isinstance(signature, str):
                raise RequestError(f"{at}.thinking.signature: Field required")
            thought = opened(signature)
            # Where it was not shown, the signature alone carries it.
            if thought is None or text not in {"", thought}:
                raise RequestError(f"{at}: Invalid `signature` in `thinking` block")
    if thinks:
        _check_kept(messages)


def _check_kept(messages: list[Json]) -> None:
    """Raise RequestError where the turn that called tools has lost its thought."""
    if len(messages) < 2 or not _has(messages[-1], "tool_result"):  # noqa: PLR2004 - call, result
        return
    turn = len(messages) - 2
    while turn > 1 and _has(messages[turn - 1], "tool_result"):
        turn -= 2
    blocks = objects(messages[turn]["content"])
    kinds = [block.get("type") for block in blocks]
    if "tool_use" in kinds and kinds[0] not in _THINKING:
        raise RequestError(
            f"messages.{turn}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
            f"found `{kinds[0]}`. When `thinking` is enabled, a final `assistant` message must "
            "start with a thinking block (preceeding the lastmost set of `tool_use` and "
            "`tool_result` blocks). We recommend you include thinking blocks from previous turns. "
            "To avoid this requirement, disable `thinking`."
        )


def _has(message: Json, kind: str) -> bool:
    return any(block.get("type") == kind for block in objects(message["content"]))


def _content(content: object) -> int:
    """Return the tokens of a text or of blocks."""
    if isinstance(content, str):
        return len(content.split())
    return sum(map(_block, objects(content)))


def _block(block: Json) -> int:
    match block.get("type"):
        case "text" | "thinking" as kind:
            tokens = words_in([block.get(kind)])
        case "image":
            tokens = IMAGE_TOKENS
        case "redacted_thinking":
            tokens = 0
        case "tool_result":
            tokens = _content(block.get("content"))
        case "document":
            tokens = _document(block.get("source"))
        case _ if "input" in block:
            # Also an empty object is a word.
            tokens = words_in([block.get("name")]) + (words_of_json(block["input"]) or 1)
        case _:
            tokens = words_in(leaves(block, _NAMES))
    return tokens


def _document(source: object) -> int:
    match source:
        case {"type": "text", "data": str(text)}:
            return len(text.split())
        case {"type": "content", "content": content}:
            return _content(content)
        case _:
            return 0
