"""What a shape leaves of an answer's choices: chat's, which speak in messages, and the legacy ones.

What says a text again by other means (log-probabilities, token ids) goes wherever the text was
changed, or may have been hidden before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.openai_held import HeldCalls
from proxy.dialects.openai_usage import (
    call_pieces,
    leaves,
    numbered_calls,
    tally_choice,
    tally_text,
)
from proxy.dialects.ration import Ration

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.core.shape import Shape
    from proxy.dialects.tokens import Tally

REASONING = (
    "reasoning_content", "reasoning", "reasoning_details", "reasoning_text", "thinking",
    "thinking_blocks", "thoughts",
)  # fmt: skip
_THOUGHTS = frozenset({"thinking", "reasoning"})  # types of parts
_TEXTS = ("reasoning_content", "reasoning", "content", "refusal")
_KNOWN = frozenset({*_TEXTS, "role", "tool_calls", "function_call", "audio", "annotations"})
_SHADOWS = ("logprobs", "token_ids")
# What says a choice, in the one format or the other; some servers send two of them.
_SAYINGS = frozenset({"delta", "message", "text"})
# Members of a choice, and of the answer around it, that do not say its text.
_OF_CHOICE = frozenset(
    {
        "content_filter_result", "content_filter_results", "error", "finish_reason", "index",
        "logprobs", "matched_stop", "native_finish_reason", "prompt_logprobs", "prompt_token_ids",
        "seed", "stop_reason", "token_ids", *_SAYINGS,
    }
)  # fmt: skip
_OF_ANSWER = frozenset(
    {
        "choices", "citations", "created", "error", "id", "kv_transfer_params", "metadata", "model",
        "moderation", "object", "obfuscation", "prompt_filter_results", "prompt_logprobs",
        "prompt_token_ids", "provider", "request_id", "search_results", "service_tier",
        "system_fingerprint", "timings", "tool_choice", "tools", "usage", "x_groq",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """How the choices of a format say what they say.

    delta, message: the member that has it, in a chunk and in a whole answer
    count:          counts it; raises UpstreamGarbageError
    trim:           applies a shape to a choice's member of that name; returns whether it changed
    """

    delta: str
    message: str
    count: Callable[[Tally, int, object], None]
    trim: Callable[[Trim, int, dict[str, Any], str], bool]

    def says_nothing(self, choice: dict[str, Any]) -> bool:
        """Return whether a chunk's choice has nothing left to say."""
        said = choice.get(self.delta)
        empty = not any(said.values()) if isinstance(said, dict) else not said
        return empty and choice.get("finish_reason") is None


class Trim:
    """A shape at work on one answer.

    ration: what may still be given
    lost:   the choices that something was cut off
    given:  deltas that must be given before anything else: tool calls that were held
    """

    __slots__ = ("_form", "_hides", "_strips", "given", "held", "limited", "lost", "ration")

    def __init__(self, form: Form, shape: Shape, counter: str, *, streamed: bool) -> None:
        self._form = form
        self._hides = shape.hide_reasoning
        self._strips = [name for name in ("logprobs", "prompt_logprobs") if name in shape.strip]
        self.ration = Ration(shape.truncate, counter)
        self.limited = shape.truncate is not None
        self.lost: set[int] = set()
        self.given: list[tuple[int, dict[str, object]]] = []
        self.held = HeldCalls(self.ration, counter) if streamed and self.limited else None

    def strip(self, holder: dict[str, Any]) -> bool:
        """Null what is stripped from a choice or a whole answer; return whether it was there."""
        changed = False
        for name in self._strips:
            if holder.get(name) is not None:
                holder[name] = None
                changed = True
        return changed

    def answer(self, holder: dict[str, Any]) -> bool:
        """Leave of a chunk or body what its frame may have; return whether it changed."""
        changed = self.strip(holder)
        return self._unknown(holder, _OF_ANSWER) or changed

    def choice(self, index: int, choice: dict[str, Any], member: str) -> bool:
        """Apply the shape to a choice; return whether it changed. Raises UpstreamGarbageError."""
        again = self._again(choice, member)
        said = self._form.trim(self, index, choice, member) or again
        changed = self.strip(choice) or said
        if said or ((self._hides or self.limited) and not _visible(choice.get(member))):
            for name in _SHADOWS:
                if choice.get(name) is not None:
                    choice[name] = None
                    changed = True
        return changed

    def _again(self, choice: dict[str, Any], member: str) -> bool:
        """Take out what may say a choice a second time."""
        if not (self._hides or self.limited):
            return False
        hidden = self.hide(choice)
        twice = [name for name in _SAYINGS if name != member and name in choice]
        for name in twice:
            del choice[name]
        return self._unknown(choice, _OF_CHOICE) or hidden or bool(twice)

    def _unknown(self, holder: dict[str, Any], known: frozenset[str]) -> bool:
        """Take out what is not known where it may say a text again: under a ration."""
        if not self.limited or holder.keys() <= known:
            return False
        unknown = [name for name in holder if name not in known and any(leaves(holder[name]))]
        for name in unknown:
            del holder[name]
        return bool(unknown)

    def text(self, holder: dict[str, Any], name: str, index: int) -> bool:
        """Cut a text, or drop what consists of several, to what may be given."""
        value = holder[name]
        thread: object = index if name in ("content", "text") else (index, name)
        if isinstance(value, str):
            given = self.ration.take(thread, value)
            if len(given) == len(value):
                return False
            holder[name] = given
        elif self.ration.take_whole(
            ((thread, position), leaf) for position, leaf in enumerate(leaves(value))
        ):
            return False
        else:
            holder[name] = None
        self.lost.add(index)
        return True

    def hide(self, said: dict[str, Any]) -> bool:
        """Take the reasoning out."""
        if not self._hides:
            return False
        shown = [name for name in REASONING if said.get(name) is not None]
        for name in shown:
            del said[name]
        parts = said.get("content")
        if isinstance(parts, list):
            said["content"] = [part for part in parts if not _is_thought(part)]
            return bool(shown) or len(said["content"]) < len(parts)
        return bool(shown)

    def release(self, index: int) -> None:
        """Give the tool calls of a choice that has ended."""
        if self.held is not None:
            self._give(index, ended=True)

    def release_all(self) -> None:
        """Give all tool calls: the answer has ended."""
        if self.held is not None:
            for index in self.held.choices:
                self._give(index, ended=True)

    def calls(self, index: int, said: dict[str, Any]) -> bool:
        """Keep pieces of tool calls back, or give whole ones as far as they fit."""
        if self.held is not None:
            return self._hold(self.held, index, said)
        calls = said.get("tool_calls")
        for position, (number, call) in enumerate(numbered_calls(calls) if calls else ()):
            if not self.ration.take_whole(call_pieces((index, number), call)):
                self.lost.add(index)
                said["tool_calls"] = list(said["tool_calls"])[:position]
                if not position:
                    del said["tool_calls"]
                said.pop("function_call", None)
                return True
        legacy = said.get("function_call")
        if not isinstance(legacy, dict) or self.ration.take_whole(
            call_pieces((index, "function_call"), {"function": legacy})
        ):
            return False
        self.lost.add(index)
        del said["function_call"]
        return True

    def _hold(self, held: HeldCalls, index: int, said: dict[str, Any]) -> bool:
        calls, legacy = said.pop("tool_calls", None), said.pop("function_call", None)
        if calls:
            held.add(index, calls)
        if isinstance(legacy, dict):
            held.add_legacy(index, legacy)
        if not held.fit:
            self._give(index, ended=False)
            self.ration.spend()
        return True

    def _give(self, index: int, *, ended: bool) -> None:
        assert self.held is not None
        deltas, complete = self.held.release(index, ended=ended)
        self.given += [(index, delta) for delta in deltas]
        if not complete:
            self.lost.add(index)


def _trim_chat(trim: Trim, index: int, choice: dict[str, Any], member: str) -> bool:
    said = choice.get(member)
    if said is None:
        return False
    if not isinstance(said, dict):
        raise UpstreamGarbageError("A choice of the answer says nothing that can be read.")
    changed = trim.hide(said)
    if trim.limited:
        # What is not known may say the text again.
        for name in [name for name in said if name not in _KNOWN and said[name]]:
            del said[name]
            changed = True
    for name in _TEXTS:
        if said.get(name):
            changed = trim.text(said, name, index) or changed
    if "audio" in said:
        changed = _trim_audio(trim, index, said) or changed
    if "tool_calls" in said or "function_call" in said:
        if trim.limited and trim.held is None and choice.get("finish_reason") == "length":
            changed = _drop_half(said) or changed
        changed = trim.calls(index, said) or changed
    return changed


def _drop_half(said: dict[str, Any]) -> bool:
    """Take out the call that the model did not come to the end of, at the cap that we lowered."""
    calls = said.get("tool_calls")
    holder = said.get("function_call")
    if isinstance(calls, list) and calls and isinstance(calls[-1], dict):
        holder = calls[-1].get("function")
    if isinstance(holder, dict) and _is_json(holder.get("arguments")):
        return False
    if isinstance(calls, list) and len(calls) > 1:
        said["tool_calls"] = calls[:-1]
    else:
        said.pop("tool_calls", None)
        said.pop("function_call", None)
    return True


def _is_json(text: object) -> bool:
    try:
        return isinstance(text, str) and isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _trim_audio(trim: Trim, index: int, said: dict[str, Any]) -> bool:
    audio = said.get("audio")
    if not isinstance(audio, dict):
        return False
    if not isinstance(audio.get("transcript"), str):
        # Sound alone cannot be counted, and would go on where the words must end.
        return trim.limited and audio.pop("data", None) is not None
    if not trim.text(audio, "transcript", index):
        return False
    del said["audio"]  # the sound would say the rest
    return True


def _trim_text(trim: Trim, index: int, choice: dict[str, Any], member: str) -> bool:
    said = choice.get(member)
    if said is not None and not isinstance(said, str):
        raise UpstreamGarbageError("A choice of the answer says nothing that can be read.")
    return bool(said) and trim.text(choice, member, index)


def _visible(said: object) -> bool:
    if isinstance(said, dict):
        return bool(said.get("content") or said.get("refusal"))
    return bool(said)


def _is_thought(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") in _THOUGHTS


CHAT = Form("delta", "message", tally_choice, _trim_chat)
COMPLETIONS = Form("text", "text", tally_text, _trim_text)
