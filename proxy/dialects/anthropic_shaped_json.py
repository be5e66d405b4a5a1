"""Shapes of a message that comes as one JSON body: thinking hidden, and the end of the ration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.dialects import splice
from proxy.dialects.anthropic_fields import dumped, kind_of, leaves, mute
from proxy.dialects.anthropic_json import blocks_of
from proxy.dialects.anthropic_usage import texts_of
from proxy.dialects.ration import Ration

if TYPE_CHECKING:
    from proxy.dialects.anthropic_usage import Reported

Block = dict[str, object]
# What would tell of the rest that is not given.
_UNTOLD = ("output_tokens_details", "iterations")
# Members of a message that do not say its text.
_OF_MESSAGE = frozenset(
    {
        "container", "content", "context_management", "diagnostics", "id", "model", "role",
        "stop_details", "stop_reason", "stop_sequence", "type", "usage",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shaped:
    """What the client gets.

    tokens: of the text in it
    cut:    text was left out
    """

    body: bytes
    tokens: int
    cut: bool


@dataclass(frozen=True, slots=True)
class Body:
    """The changes to one message.

    counter: how text is counted
    hide:    thinking is emptied; signatures and sealed thinking stay
    most:    tokens after which the message ends; None: never
    prompt:  the estimate for the prompt, told where the provider said none
    """

    counter: str
    hide: bool
    most: int | None
    prompt: int

    def shaped(self, raw: bytes, said: dict[str, object], reported: Reported) -> Shaped:
        """Return the changed body of a message; raises UpstreamGarbageError.

        raw, said: the body as it came, and as it was read
        """
        blocks = blocks_of(said)
        given = [without_thinking(block) for block in blocks] if self.hide else blocks
        ration = Ration(self.most, self.counter)
        given = _rationed(given, ration)
        if given != blocks:
            raw = splice.set_member(raw, "content", dumped(given))
        for name in unknown_in(said) if self.most is not None else ():
            raw = splice.remove_member(raw, name)
        if ration.spent:
            raw = splice.set_member(raw, "stop_reason", b'"max_tokens"')
            raw = splice.set_member(raw, "stop_sequence", b"null")
            if said.get("stop_details") is not None:
                raw = splice.set_member(raw, "stop_details", b"null")
            raw = splice.set_member(raw, "usage", dumped(self._usage(said, reported, ration)))
        return Shaped(raw, ration.tokens, ration.spent)

    def _usage(self, said: dict[str, object], reported: Reported, ration: Ration) -> Block:
        told = said.get("usage")
        usage = dict(told) if isinstance(told, dict) else {}
        usage |= {"input_tokens": reported.inputs.get("input_tokens", self.prompt)}
        usage |= {"output_tokens": ration.tokens}
        return {name: value for name, value in usage.items() if name not in _UNTOLD}


def _rationed(blocks: list[Block], ration: Ration) -> list[Block]:
    """Return the blocks that may be given: text up to the last token, all others whole."""
    given: list[Block] = []
    for index, block in enumerate(blocks):
        text = block.get("text")
        if kind_of(block) != "text" or not isinstance(text, str):
            if not ration.take_whole(texts_of(index, block)):
                break
            given.append(block)
            continue
        part = ration.take(index, text)
        rest = {name: value for name, value in block.items() if name != "text"}
        if not ration.spent and ration.take_whole(texts_of(index, rest)):
            given.append(block)
        elif part:
            quoted: Block = {"citations": None} if "citations" in block else {}
            given.append({"type": "text", "text": part, **quoted})
        if ration.spent:
            break
    return given


def without_thinking(block: Block) -> Block:
    """Return a block of thinking with its seal alone; any other as it is."""
    if kind_of(block) != "thinking":
        return block
    emptied = block | {"thinking": ""}
    return {name: emptied[name] for name in emptied if name == "thinking" or mute(block, name)}


def unknown_in(message: Block) -> list[str]:
    """Return the members of a message that may say its text again."""
    return [name for name in message if name not in _OF_MESSAGE and any(leaves(message[name]))]
