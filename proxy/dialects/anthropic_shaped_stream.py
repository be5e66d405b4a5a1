"""Shapes of a streamed message: thinking hidden, and the end where the ration ends.

Text is cut at the last token. All other blocks are held until they are whole, and given only if
they fit whole: half a tool call is no JSON, and thinking without its signature is refused when it
is sent back. Held is never more than what may still be given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.anthropic_fields import dumped, leaves
from proxy.dialects.anthropic_shaped_json import unknown_in, without_thinking
from proxy.dialects.anthropic_stream import MAX_THREADS, QUIET, content_of, index_of, written
from proxy.dialects.anthropic_usage import texts_of
from proxy.dialects.ration import Ration
from proxy.dialects.sse import MAX_EVENT, with_data
from proxy.dialects.tokens import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.dialects.anthropic_usage import Reported

Said = dict[str, object]
# Events whose thinking is hidden piece by piece.
_BLOCKS = frozenset({"content_block_delta", "content_block_start"})
_THOUGHTS = ("thinking",)
_TEXTS = ("text", "thinking", "partial_json")


class Shaper:
    """Changes the events of one message.

    hide:   thinking is emptied; signatures and sealed thinking stay
    most:   tokens after which the message ends; None: never
    prompt: the estimate for the prompt, told where the provider said none
    cut:    the message was ended
    """

    def __init__(self, counter: str, *, hide: bool, most: int | None, prompt: int) -> None:
        self.cut = False
        self._counter = counter
        self._hide = hide
        self._holds = most is not None
        self._prompt = prompt
        self._ration = Ration(most, counter)
        # The block that is open: the client has seen its start, or it is held.
        self._open: int | None = None
        self._held: _Held | None = None

    @property
    def tokens(self) -> int:
        """What has been given."""
        return self._ration.tokens

    def passed(self, event: bytes, kind: str, said: Said, reported: Reported) -> bytes:
        """Return what the client shall see for an event; raises UpstreamGarbageError.

        kind: of the event, '' where it has none
        said: its data, which may be changed
        """
        if self._hide and kind not in _BLOCKS and _says(said, _THOUGHTS):
            return b""  # under a type that is none: an SDK may go by the event's name
        if kind == "content_block_delta":
            out = self._delta(event, said)
        elif kind == "content_block_start":
            before = self._release()  # of a server that does not say where blocks stop
            out = before if self._ration.spent else before + self._start(event, said)
        elif kind == "content_block_stop" and not _says(said, _TEXTS):
            out = self._stop(event, said)
        elif kind == "message_start":
            out = self._message(event, said)
        elif kind in QUIET and not _says(said, _TEXTS):
            before = b"" if kind in {"ping", "error"} else self._release()
            out = before if self._ration.spent else before + event
        else:
            whole = self._ration.take_whole((None, f"{text}\n") for text in leaves(said))
            out = event if whole else b""
        if self._ration.threads > MAX_THREADS:
            raise UpstreamGarbageError("The answer has too many blocks.")
        if self._ration.spent:
            self.cut = True
            return out + self._ending(reported)
        return out

    def _message(self, event: bytes, said: Said) -> bytes:
        message = said.get("message")
        unknown = unknown_in(message) if self._holds and isinstance(message, dict) else ()
        if isinstance(message, dict) and unknown:
            message = {name: value for name, value in message.items() if name not in unknown}
            said = said | {"message": message}
            event = with_data(event, dumped(said))
        content = content_of(said)
        if not content:
            return event
        if self._hide:
            content = [
                without_thinking(block) if isinstance(block, dict) else block for block in content
            ]
        if not self._ration.take_whole((None, f"{text}\n") for text in leaves(content)):
            content = []
        assert isinstance(message, dict)
        return with_data(event, dumped(said | {"message": message | {"content": content}}))

    def _start(self, event: bytes, said: Said) -> bytes:
        index, block = index_of(said), said.get("content_block")
        if not isinstance(block, dict):
            raise UpstreamGarbageError("A block of the answer is none.")
        if self._hide and block.get("type") == "thinking":
            self._open = index
            emptied = without_thinking(block)
            if emptied == block:
                return event
            return with_data(event, dumped(said | {"content_block": emptied}))
        if not self._holds or block.get("type") == "text":
            return self._begin(event, said, index, block)
        self._held = _Held(index, self._counter)
        return self._keep(event, index, block)

    def _begin(self, event: bytes, said: Said, index: int, block: Said) -> bytes:
        """Give the start of a block whose text may be cut."""
        text = block.get("text")
        rest = {name: value for name, value in block.items() if name != "text"}
        if not self._ration.take_whole(texts_of(index, rest)):
            return b""
        given = self._ration.take(index, text) if isinstance(text, str) else text
        if self._ration.spent and not given:
            return b""
        self._open = index
        if given == text:
            return event
        return with_data(event, dumped(said | {"content_block": block | {"text": given}}))

    def _delta(self, event: bytes, said: Said) -> bytes:
        index, delta = index_of(said), said.get("delta")
        if not isinstance(delta, dict):
            return event
        if self._hide and (delta.get("type") == "thinking_delta" or "thinking" in delta):
            return b""
        if self._expected(index) is not None:
            return self._keep(event, index, delta)
        text = delta.get("text")
        if not isinstance(text, str):
            return event if self._given(index, delta) else b""
        if self._holds and len(delta) > 2:  # noqa: PLR2004 - its type and text
            # What else it has may say the text again.
            delta = {name: value for name, value in delta.items() if name in ("type", "text")}
            event = with_data(event, dumped(said | {"delta": delta}))
        given = self._ration.take(index, text)
        if given == text:
            return event
        return with_data(event, dumped(said | {"delta": delta | {"text": given}})) if given else b""

    def _given(self, index: int, delta: Said) -> bool:
        """Count what cannot be cut; return whether it may be given."""
        if self._holds:
            return self._ration.take_whole(texts_of(index, delta))
        for thread, text in texts_of(index, delta):
            self._ration.take(thread, text)
        return True

    def _stop(self, event: bytes, said: Said) -> bytes:
        held = self._expected(index_of(said))
        if held is not None:
            held.events.append(event)
            return self._release()
        self._open = None
        return event

    def _expected(self, index: int) -> _Held | None:
        """Return the block that is held, where there is one; the index must be the open one's."""
        held = self._held
        if self._holds and index != (self._open if held is None else held.index):
            raise UpstreamGarbageError("The answer speaks of a block that is not open.")
        return held

    def _keep(self, event: bytes, index: int, said: Said) -> bytes:
        """Hold an event back; let go of all that is held once it cannot fit any more."""
        held = self._held
        assert held is not None
        held.keep(event, texts_of(index, said))
        if not self._ration.would_fit(held.tokens):
            self._held = None
            self._ration.spend()
        return b""

    def _release(self) -> bytes:
        """Give what is held, if it fits."""
        held, self._held = self._held, None
        if held is None or not self._ration.take_whole(held.texts()):
            return b""
        return b"".join(held.events)

    def _ending(self, reported: Reported) -> bytes:
        usage: Said = {"input_tokens": self._prompt, **reported.inputs}
        usage["output_tokens"] = self._ration.tokens
        delta: Said = {"stop_reason": "max_tokens", "stop_sequence": None}
        told: Said = {"type": "message_delta", "delta": delta, "usage": usage}
        stop: Said = {"type": "content_block_stop", "index": self._open}
        return (
            (b"" if self._open is None else written("content_block_stop", stop))
            + written("message_delta", told)
            + written("message_stop", {"type": "message_stop"})
        )


class _Held:
    """A block that is not whole yet: its events, and its text by threads."""

    def __init__(self, index: int, counter: str) -> None:
        self.index = index
        self.events: list[bytes] = []
        self._size = 0
        self._pieces: dict[object, list[str]] = {}
        self._tally = Tally(counter)

    @property
    def tokens(self) -> int:
        """Of all of its text so far."""
        return self._tally.tokens

    def keep(self, event: bytes, texts: Iterable[tuple[object, str]]) -> None:
        """Add an event; raises UpstreamGarbageError where the block is too large to be held."""
        self._size += len(event)
        if self._size > MAX_EVENT:
            raise UpstreamGarbageError("A block of the answer is too large.")
        self.events.append(event)
        for thread, text in texts:
            self._pieces.setdefault(thread, []).append(text)
            self._tally.add(thread, text)

    def texts(self) -> list[tuple[object, str]]:
        """Return each thread's whole text."""
        return [(thread, "".join(pieces)) for thread, pieces in self._pieces.items()]


def _says(said: Said, names: tuple[str, ...]) -> bool:
    """Return whether an event brings such members of a block."""
    parts = (said.get("delta"), said.get("content_block"))
    return any(isinstance(part, dict) and any(map(part.get, names)) for part in parts)
