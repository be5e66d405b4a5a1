"""Tool calls of a truncated stream: kept back until they are whole, given whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.openai_fields import dumped
from proxy.dialects.openai_usage import CALL_TEXTS, call_pieces, numbered_calls
from proxy.dialects.tokens import Tally

if TYPE_CHECKING:
    from proxy.dialects.ration import Ration

# Bytes of pieces of one answer: their text is bounded by the ration, their frames by this.
MAX_HELD = 8 * 1024 * 1024
# Calls in one answer, of all of its choices; an empty piece begins one, too.
MAX_CALLS = 10_000
LEGACY = -1  # the number of a `function_call`, which has none


class _Call:
    """One call: its first piece as it came, and the texts of all pieces."""

    __slots__ = ("first", "texts")

    def __init__(self) -> None:
        self.first: dict[str, Any] = {}
        self.texts: dict[tuple[str, str], list[str]] = {}

    def add(self, piece: dict[str, Any]) -> None:
        for name, value in piece.items():
            if name not in ("function", "custom") or not isinstance(value, dict):
                self.first.setdefault(name, value)
                continue
            kept = self.first.get(name)
            if not isinstance(kept, dict):
                kept = self.first[name] = {}
            for inner, text in value.items():
                if inner in CALL_TEXTS and isinstance(text, str):
                    self.texts.setdefault((name, inner), []).append(text)
                    kept.setdefault(inner, "")
                else:
                    kept.setdefault(inner, text)

    def whole(self) -> dict[str, Any]:
        for (kind, name), texts in self.texts.items():
            self.first[kind][name] = "".join(texts)
        return self.first


class HeldCalls:
    """The tool calls that are still coming, by choice.

    ration: what may still be given, of all text together
    """

    __slots__ = ("_calls", "_counter", "_number", "_ration", "_released", "_size", "_tallies")

    def __init__(self, ration: Ration, counter: str) -> None:
        self._ration = ration
        self._counter = counter
        self._calls: dict[int, dict[int, _Call]] = {}
        self._tallies: dict[int, Tally] = {}
        self._number = self._size = self._released = 0

    def add(self, index: int, calls: object) -> None:
        """Keep pieces of a choice's calls.

        Raises UpstreamGarbageError where they cannot be read or are too many to be kept.
        """
        self._size += len(dumped(calls))
        if self._size > MAX_HELD:
            raise UpstreamGarbageError("The answer's tool calls are too large.")
        held = self._calls.setdefault(index, {})
        tally = self._tallies.setdefault(index, Tally(self._counter))
        for number, piece in numbered_calls(calls):
            if number not in held:
                held[number] = _Call()
                self._number += 1
                if self._number > MAX_CALLS:
                    raise UpstreamGarbageError("The answer has too many tool calls.")
            held[number].add(piece)
            for thread, text in call_pieces((index, number), piece):
                tally.add(thread, text)

    def add_legacy(self, index: int, call: dict[str, object]) -> None:
        """Keep a piece of a `function_call`, as `add`."""
        self.add(index, [{"index": LEGACY, "function": call}])

    @property
    def fit(self) -> bool:
        """Whether all that is held could still be given."""
        return self._ration.would_fit(sum(tally.tokens for tally in self._tallies.values()))

    @property
    def choices(self) -> tuple[int, ...]:
        """The choices with calls."""
        return tuple(self._calls)

    def release(self, index: int, *, ended: bool) -> tuple[list[dict[str, object]], bool]:
        """Return what a choice's calls are, as deltas, and whether they are all of them.

        ended: no more is coming; else only the calls before the last that read as whole are
               given, and the ration is spent
        """
        calls = self._calls.pop(index, {})
        self._tallies.pop(index, None)
        if not calls:
            return [], True
        last = max(calls)
        given: list[dict[str, object]] = []
        for number in sorted(calls):
            call = calls[number].whole()
            if not ended and (number == last or not _parses(call)):
                break
            # Counted in threads of its own: no word of one call goes on in another.
            self._released += 1
            if not self._ration.take_whole(call_pieces(("held", self._released), call)):
                break
            given.append(
                {"function_call": call["function"]} if number == LEGACY else {"tool_calls": [call]}
            )
        complete = len(given) == len(calls)
        if not complete:
            self._ration.spend()
        return given, complete


def _parses(call: dict[str, Any]) -> bool:
    function = call.get("function")
    arguments = function.get("arguments", "{}") if isinstance(function, dict) else "{}"
    try:
        orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return False
    return True
