"""Responses that are kept, the latest 10,000 of them.

What is made in the background is made by the clock: where it stands follows from when it began.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.standin.reply import FaultKind, fault_of
from proxy.standin.responses_prompt import tokens_of

if TYPE_CHECKING:
    from proxy.standin.documents import Json
    from proxy.standin.responses_object import Made

MOST = 10_000
# A background response is not done the moment it is asked for, however short it is.
QUEUED_SECONDS = 0.01
LEAST_SECONDS = 0.05


@dataclass(slots=True)
class Kept:
    """A response that is kept.

    began:     seconds on the loop's clock when it was asked for
    cancelled: when it was cancelled; None: it was not
    """

    made: Made
    began: float
    cancelled: float | None = None

    @property
    def pace(self) -> int:
        """Microseconds between two tokens, none where it was made before it was kept."""
        if not self.made.request.background:
            return 0
        least = round(1e6 * LEAST_SECONDS / max(1, self.made.choice.visible))
        return max(least, self.made.request.asked.directives.pace)

    @property
    def starts(self) -> float:
        """When its first token begins to be made."""
        return self.began + self.made.request.asked.directives.first / 1e6

    def status(self, now: float) -> str:
        """Return the status at a time."""
        if not self.made.request.background:
            return self.made.status
        if self.cancelled is not None:
            return "cancelled"
        if now < self.starts + QUEUED_SECONDS:
            return "queued"
        seconds = max(LEAST_SECONDS, self.pace * self.made.choice.visible / 1e6)
        if now < self.starts + seconds:
            return "in_progress"
        return "failed" if self._fails else self.made.status

    def response(self, now: float) -> Json:
        """Return the response at a time."""
        match self.status(now):
            case "failed":
                return self.made.failed()
            case ("queued" | "in_progress" | "cancelled") as status:
                return self.made.response(status)
            case _:
                return self.made.ended()

    def written(self, now: float) -> int:
        """Return the tokens that stand in the response at a time."""
        ended = self.status(now) in {"completed", "incomplete"}
        return self.made.choice.visible if ended else 0

    def context(self, now: float) -> int:
        """Return the tokens that a next response sees: input and output, but for reasoning."""
        items = self.response(now)["output"]
        assert isinstance(items, list)
        said = sum(tokens_of(item) for item in items if item["type"] != "reasoning")
        return self.made.request.context + said

    def cancel(self, now: float) -> None:
        """Stop it where it is still being made."""
        if self.status(now) in {"queued", "in_progress"}:
            self.cancelled = now

    @property
    def _fails(self) -> bool:
        fault = fault_of(self.made.request.asked.directives, self.made.choice.visible)
        return fault is not None and fault.kind is FaultKind.ERROR


class Store:
    """The responses that are kept, in memory."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._items: dict[str, Json] = {}

    def keep(self, made: Made, now: float) -> Kept:
        """Keep a response, instead of one with the same id."""
        self.forget(made.id)
        kept = self._kept[made.id] = Kept(made, now)
        self._items.update(_named(made))
        while len(self._kept) > MOST:
            self.forget(next(iter(self._kept)))
        return kept

    def find(self, identity: str) -> Kept | None:
        """Return what is kept under an id."""
        return self._kept.get(identity)

    def item(self, identity: str) -> Json | None:
        """Return an item of what is kept, of its input or its output."""
        return self._items.get(identity)

    def forget(self, identity: str) -> bool:
        """Forget a response and its items; whether there was one."""
        kept = self._kept.pop(identity, None)
        for name in _named(kept.made) if kept is not None else ():
            self._items.pop(name, None)
        return kept is not None


def _named(made: Made) -> dict[str, Json]:
    items = [*made.request.items, *made.output]
    return {str(item["id"]): item for item in items if item["type"] != "item_reference"}
