"""What a response has said so far: its end, its usage, its ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.openai_response_text import MAX_SLOTS, Meter, items_of
from proxy.dialects.openai_usage import MAX_TOKENS, NO_USAGE

if TYPE_CHECKING:
    from proxy.dialects.openai_response_text import Told
    from proxy.dialects.openai_usage import Reported

TERMINAL = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
)
# No id that is longer can be asked for.
MAX_ID = 256
UNFINISHED = frozenset({"queued", "in_progress"})


class Seen:
    """The state of one answer as its events tell it.

    counter: how text is counted
    stored:  the provider keeps the answer: the ids in it are objects
    """

    __slots__ = (
        "_objects", "_stored", "begun", "errored", "finish", "meter", "reported", "sequence",
        "terminal", "unfinished",
    )  # fmt: skip

    def __init__(self, counter: str, *, stored: bool) -> None:
        self._stored = stored
        self.meter = Meter(counter)
        self.reported: Reported = NO_USAGE
        self._objects: dict[str, None] = {}  # in order
        self.finish = ""
        self.sequence = -1  # of the last event
        self.begun = self.errored = self.terminal = self.unfinished = False

    @property
    def objects(self) -> tuple[str, ...]:
        """The ids of what the provider keeps, in order."""
        return tuple(self._objects)

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """The one reason, once it is known."""
        return (self.finish,) if self.finish else ()

    def note(self, kind: str, told: Told) -> None:
        """Take in an event; raises UpstreamGarbageError where there are too many items."""
        self.begun = True
        sequence = told.get("sequence_number")
        if isinstance(sequence, int) and 0 <= sequence <= MAX_TOKENS:
            self.sequence = sequence
        self.meter.note(kind, told)
        if kind.endswith(".delta"):
            return
        if kind == "error" or told.get("error"):
            self.errored = True
        response = told.get("response")
        if isinstance(response, dict):
            self._response(response)
        self._claim(told.get("item"))
        if kind in TERMINAL:
            self.terminal = True
            self.unfinished = False
            self.finish = self.finish or kind.removeprefix("response.")
            self.errored = self.errored or kind == "response.failed"

    def note_body(self, body: Told) -> None:
        """Take in a whole answer."""
        self.meter.response(body)
        self.errored = bool(body.get("error"))
        self.terminal = True
        self._response(body)
        self.errored = self.errored or self.finish == "failed"

    def _response(self, response: Told) -> None:
        self.reported = merge_usage(self.reported, response.get("usage"))
        self._claim(response)
        for item in items_of(response):
            self._claim(item)
        status = response.get("status")
        self.unfinished = isinstance(status, str) and status in UNFINISHED
        if isinstance(status, str) and not self.unfinished:
            details = response.get("incomplete_details")
            why = details.get("reason") if isinstance(details, dict) else None
            self.finish = f"{status}:{why}" if isinstance(why, str) else status

    def _claim(self, held: object) -> None:
        identity = held.get("id") if self._stored and isinstance(held, dict) else None
        if not isinstance(identity, str) or not 0 < len(identity) <= MAX_ID:
            return
        self._objects[identity] = None
        if len(self._objects) > MAX_SLOTS:
            raise UpstreamGarbageError("The answer has too many items.")


def merge_usage(before: Reported, usage: object) -> Reported:
    """Return what is now known: later reports replace earlier ones, number by number."""
    if not isinstance(usage, dict):
        return before
    prompt = _number(usage, "input_tokens", before[0])
    output = _number(usage, "output_tokens", before[1])
    reasoning = _number(usage.get("output_tokens_details"), "reasoning_tokens", before[2])
    cached = _number(usage.get("input_tokens_details"), "cached_tokens", before[3])
    if cached is not None and prompt is not None:
        cached = min(cached, prompt)
    return prompt, output, reasoning, cached


def _number(holder: object, name: str, before: int | None) -> int | None:
    value = holder.get(name) if isinstance(holder, dict) else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
        return value
    return before
