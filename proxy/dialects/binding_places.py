"""Where sealed reasoning stands in a request, and what was asked when it was served.

What was asked is the nearest turn before it that is not the assistant's: what a user said, or what
a tool gave back. Written with white space squeezed, a list of one text as that text, and without
decorations (cache marks, names, ids of items), so that it is the same each time it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Path = tuple[str | int, ...]
Json = dict[str, object]

# Turns that are neither asked nor answered: what they say changes from one request to the next.
_ASIDE = frozenset({"system", "developer"})
# Items that clients give back; those of the second row a provider may also make itself.
_GIVEN = frozenset(
    {
        "function_call_output", "custom_tool_call_output", "computer_call_output",
        "local_shell_call_output", "mcp_approval_response",
    }
)  # fmt: skip
_EITHER = frozenset({"shell_call_output", "apply_patch_call_output", "tool_search_output"})
_DECORATION = frozenset(
    {"cache_control", "citations", "created_by", "id", "is_error", "name", "role", "status", "type"}
)
_SEALED_MEMBERS = frozenset({"signature", "encrypted_content", "thought_signature"})
_SEALED_TYPES = frozenset({"redacted_thinking", "reasoning.encrypted"})
_CHAT_HOLDERS = (
    "reasoning_details", "thinking_blocks", "tool_calls", "extra_content",
    "provider_specific_fields",
)  # fmt: skip
# What stands for a conversation that a client then drops has nothing before it.
_LOOSE = frozenset({"compaction", "compaction_summary"})
# What a response tells again of its request says nothing of reasoning.
_TOLD_AGAIN = frozenset({"metadata", "tools", "instructions", "text", "tool_choice", "prompt"})
_DEEPEST = 32
LOOSE_ANCHOR = 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """One sealed thing in a request.

    path:  to its text, from the top of the body
    whole: to what falls with it when it is dropped
    text:  as the client sent it
    asked: what it may have been served for; '' where nothing that is asked stands before it
    loose: it may be carried on without what was asked: bound to the account alone
    """

    path: Path
    whole: Path
    text: str = field(repr=False)
    asked: tuple[str, ...] = field(repr=False)
    loose: bool = False


def sealed_in(dialect: str, asked: Json) -> list[Sealed]:
    """Return the sealed things of a request's body, in order; never raises."""
    match dialect:
        case "anthropic.messages" | "anthropic.count_tokens":
            return list(_in_messages(asked.get("messages")))
        case "openai.responses" | "openai.input_tokens":
            listed = (("instructions", asked.get("instructions")), ("input", asked.get("input")))
            return [each for name, items in listed for each in _in_items(items, (name,))]
        case "openai.chat":
            return list(_in_chat(asked.get("messages")))
        case _:
            return []


def asked_last(dialect: str, asked: Json) -> str:
    """Return what a request asks: its last turn that is not the assistant's, '' without one."""
    match dialect:
        case "openai.responses" | "openai.input_tokens":
            given = asked.get("input")
            if isinstance(given, str):
                return squeezed(given)
            return _asked_before(_list(given), len(_list(given)))[0]
        case _:
            messages = _list(asked.get("messages"))
            return _said_before(messages, len(messages))[0]


def anchored(dialect: str, asked: Json) -> list[tuple[tuple[int, ...], str]]:
    """Return (anchors, blob) of each sealed thing of a body: 64 bits, not keyed; for replays."""
    return [
        ((LOOSE_ANCHOR,) if each.loose else tuple(map(anchor_number, each.asked)), each.text)
        for each in sealed_in(dialect, asked)
    ]


def anchor_number(asked: str) -> int:
    """Return 64 bits of what was asked; never 0, which stands for things that are loose."""
    said = asked.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(said, digest_size=8).digest()) or 1


def squeezed(text: str) -> str:
    r"""Return a text with its white space squeezed.

    >>> squeezed("  a\n\n b ")
    'a b'
    """
    return " ".join(text.split())


def items_sealed(items: Sequence[object], path: Path) -> list[Sealed]:
    """Return the sealed things of a list of a response's items."""
    return list(_in_items(list(items), path))


def chat_seals(message: Json, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of each sealed thing in a message of chat, or in a delta."""
    for holder in _CHAT_HOLDERS:
        if message.get(holder):
            yield from _seals(message[holder], (*path, holder))


def block_seals(block: Json, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of what a block of a message seals."""
    # A block of a kind that has no signature cannot carry one past us.
    redacted = block.get("type") == "redacted_thinking"
    for name in ("signature", "data") if redacted else ("signature",):
        text = block.get(name)
        if isinstance(text, str) and text:
            yield (*path, name), text


def _seals(value: object, path: Path, depth: int = 0) -> Iterator[tuple[Path, str]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for place, each in enumerate(value):
            yield from _seals(each, (*path, place), depth + 1)
    elif isinstance(value, dict):
        sealing = value.get("type") in _SEALED_TYPES
        for name, each in value.items():
            if isinstance(each, str):
                if each and (name in _SEALED_MEMBERS or (sealing and name == "data")):
                    yield (*path, name), each
            elif name != "function":  # what a tool is given is the model's to say
                yield from _seals(each, (*path, name), depth + 1)


def _in_messages(messages: object) -> Iterator[Sealed]:
    turns = _list(messages)
    for number, message in enumerate(turns):
        content = message.get("content") if isinstance(message, dict) else None
        for place, block in enumerate(_list(content)):
            if isinstance(block, dict):
                whole = ("messages", number, "content", place)
                for path, text in block_seals(block, whole):
                    yield Sealed(path, whole, text, _said_before(turns, number))


def _in_chat(messages: object) -> Iterator[Sealed]:
    turns = _list(messages)
    for number, message in enumerate(turns):
        if isinstance(message, dict):
            for path, text in chat_seals(message, ("messages", number)):
                # Of a call, only the signature falls; of reasoning, the entry that it seals.
                whole = path[:4] if path[2] in _CHAT_HOLDERS[:2] else path
                yield Sealed(path, whole, text, _said_before(turns, number))


def _in_items(items: object, path: Path) -> Iterator[Sealed]:
    listed = _list(items)
    for number, item in enumerate(listed):
        if isinstance(item, dict):
            whole = (*path, number)
            for inside, text, loose in encrypted(item, whole):
                yield Sealed(inside, whole, text, _asked_before(listed, number), loose)


def encrypted(value: object, path: Path = (), depth: int = 0) -> Iterator[tuple[Path, str, bool]]:
    """Yield the path and text of each `encrypted_content` in a value, and whether it is loose."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for place, each in enumerate(value):
            if isinstance(each, list | dict):
                yield from encrypted(each, (*path, place), depth + 1)
    elif isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, list | dict):
                if name not in _TOLD_AGAIN:
                    yield from encrypted(each, (*path, name), depth + 1)
            elif name == "encrypted_content" and isinstance(each, str) and each:
                yield (*path, name), each, value.get("type") in _LOOSE


def _said_before(messages: Sequence[object], end: int) -> tuple[str, ...]:
    """Return what the nearest message before a place says that is asked."""
    for number in range(end - 1, -1, -1):
        message = messages[number]
        role = message.get("role") if isinstance(message, dict) else None
        if isinstance(message, dict) and role != "assistant" and role not in _ASIDE:
            return (_turn(message),)
    return ("",)


def _asked_before(items: Sequence[object], end: int) -> tuple[str, ...]:
    """Return what the items before a place ask: the nearest that is surely the client's.

    Before it, those come that may be: the provider's own tools give outputs of the same types.
    """
    found: list[str] = []
    for number in range(end - 1, -1, -1):
        item = items[number]
        if not isinstance(item, dict):
            continue
        kind = item.get("type")
        if kind in _EITHER:
            found.append(_turn(item))
            continue
        spoken = kind in {None, "message"} and item.get("role") not in {"assistant", *_ASIDE, None}
        if spoken or kind in _GIVEN:
            return (*found, _turn(item))
    return (*found, "")


def _turn(turn: Mapping[str, object]) -> str:
    """Return a turn as it is anchored: what tools gave back where there is any, else all of it."""
    content = turn.get("content")
    if "tool_call_id" in turn or "call_id" in turn:
        return _part(turn)
    if isinstance(content, list):
        results = [
            each for each in content if isinstance(each, dict) and each.get("type") == "tool_result"
        ]
        # Beside the results of tools, clients say what they do not say again.
        return "\x1e".join(filter(None, map(_part, results or content)))
    return _part(turn if content is None else content)


def _part(value: object, depth: int = 0) -> str:
    """Return what a value says, by name where it is more than a text."""
    if isinstance(value, str):
        return squeezed(value)
    if depth > _DEEPEST or value is None:
        return ""
    if isinstance(value, list):
        return "\x1e".join(filter(None, (_part(each, depth + 1) for each in value)))
    if not isinstance(value, dict):
        return repr(value)
    parts = [
        (name, _part(value[name], depth + 1)) for name in sorted(value) if name not in _DECORATION
    ]
    told = [(name, said) for name, said in parts if said]
    if len(told) == 1 and told[0][0] == "text":
        return told[0][1]
    return "\x1e".join(f"{name}\x1f{said}" for name, said in told)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
