"""Where the text of a response is: in deltas, in their copies, in items; counted once.

A slot is a place in an item, the same for all copies of its text: `(0, "content", 0, "text")` is
the text of the first part of the first item. The number of its characters that have been counted
is remembered, so that a copy adds only what no delta has brought.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.openai_fields import dumped
from proxy.dialects.sse import data_of
from proxy.dialects.tokens import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SLOTS = 10_000
Path = tuple[object, ...]
Told = dict[str, object]

# Members that are no text of the model's: names of objects, sealed or encoded things, copies, and
# what tools have brought rather than the model.
_SILENT = frozenset(
    {
        "annotations", "call_id", "caller", "container_id", "created_by", "encrypted_content",
        "environment", "fingerprint", "id", "item_id", "logprobs", "namespace", "obfuscation",
        "output", "outputs", "partial_image_b64", "phase", "result", "results", "role",
        "server_label", "status", "tools", "type",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stem:
    """What the `.delta` and `.done` events of one name speak of.

    holder: the list in the item, '' where the text is a member of the item itself
    index:  the member of the event that says which of that list
    leaf:   the member that holds the text, '' where the list holds it
    whole:  the member of the `.done` event that repeats it
    """

    holder: str
    index: str
    leaf: str
    whole: str


STEMS = {
    "response.output_text": Stem("content", "content_index", "text", "text"),
    "response.refusal": Stem("content", "content_index", "refusal", "refusal"),
    "response.reasoning_text": Stem("content", "content_index", "text", "text"),
    "response.reasoning_summary_text": Stem("summary", "summary_index", "text", "text"),
    "response.function_call_arguments": Stem("", "", "arguments", "arguments"),
    "response.mcp_call_arguments": Stem("", "", "arguments", "arguments"),
    "response.custom_tool_call_input": Stem("", "", "input", "input"),
    "response.code_interpreter_call_code": Stem("", "", "code", "code"),
    "response.shell_call_command": Stem("action.commands", "command_index", "", "command"),
}
PARTS = {
    "response.content_part": ("content", "content_index"),
    "response.reasoning_summary_part": ("summary", "summary_index"),
}


def data_in(event: bytes) -> bytes:
    r"""Return an event's data as `data_of` does; quick for `event: …` and one line of data.

    >>> data_in(b"event: a\ndata: b\n\n"), data_in(b"data: a\ndata: b\n\n")
    (b'b', b'a\nb')
    """
    if event.startswith(b"event: ") and event.endswith(b"\n\n") and b"\r" not in event:
        name, _, data = event[:-2].partition(b"\ndata: ")
        if data and b"\n" not in data and b"\n" not in name:
            return data
    return data_of(event)


def number(told: Told, name: str) -> int:
    """Return a whole number of an event, 0 where there is none."""
    value = told.get(name)
    return value if isinstance(value, int) else 0


def path_of(stem: Stem, told: Told) -> Path:
    """Return where in its item the text of an event stands."""
    if not stem.holder:
        return (stem.leaf,)
    place = (*stem.holder.split("."), number(told, stem.index))
    return (*place, stem.leaf) if stem.leaf else place


def texts(value: object) -> Iterator[tuple[Path, str]]:
    """Yield the texts of an item, or of a part of one, with their places, in order."""
    left: list[tuple[Path, object]] = [((), value)]
    while left:
        path, item = left.pop()
        if isinstance(item, str):
            yield path, item
        elif isinstance(item, dict):
            left.extend(
                ((*path, name), item[name]) for name in reversed(item) if name not in _SILENT
            )
        elif isinstance(item, list):
            left.extend(((*path, len(item) - 1 - i), each) for i, each in enumerate(item[::-1]))


def items_of(response: object) -> list[Told]:
    """Return the output items of a response; those that are none are left out."""
    output = response.get("output") if isinstance(response, dict) else None
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def written(told: object) -> bytes:
    """Return an answer's object as JSON; raises UpstreamGarbageError where it nests too deeply."""
    try:
        return dumped(told)
    except RecursionError:
        raise UpstreamGarbageError("The answer nests too deeply.") from None


class Meter:
    """Counts what events and items say, each text once however often it is repeated."""

    __slots__ = ("_foreign", "_places", "_seen", "_tally")

    def __init__(self, counter: str) -> None:
        self._tally = Tally(counter)
        self._seen: dict[Path, int] = {}
        self._places: dict[object, int] = {}
        # Items of which deltas of an unknown name came: their own members may repeat those.
        self._foreign: set[int] = set()

    @property
    def tokens(self) -> int:
        """The sum so far."""
        return self._tally.tokens

    def note(self, kind: str, told: Told) -> None:
        """Count what an event says that has not been said; raises UpstreamGarbageError."""
        stem, _, what = kind.rpartition(".")
        if what == "delta":
            self._delta(stem, told)
        elif what in {"added", "done"}:
            self._copy(stem, told)
        response = told.get("response")
        if response is not None:
            self.response(response)
        if len(self._seen) + len(self._places) > MAX_SLOTS:
            raise UpstreamGarbageError("The answer has too many items.")

    def response(self, response: object) -> None:
        """Count the items of a response object."""
        for position, item in enumerate(items_of(response)):
            identity = item.get("id")
            known = self._places.get(identity) if isinstance(identity, str) else None
            self._item(position if known is None else known, item)

    def _delta(self, stem: str, told: Told) -> None:
        piece = told.get("delta")
        if not isinstance(piece, str) or stem == "response.audio":
            return
        place = number(told, "output_index")
        known = STEMS.get(stem)
        slot: Path
        if stem == "response.output_text":  # as `path_of` says, for the most of all events
            slot = (place, "content", number(told, "content_index"), "text")
        elif known is not None:
            slot = (place, *path_of(known, told))
        else:
            slot = (place, stem)
            if "output_index" in told:
                self._foreign.add(place)
        self._tally.add(slot, piece)
        self._seen[slot] = self._seen.get(slot, 0) + len(piece)

    def _copy(self, stem: str, told: Told) -> None:
        place = number(told, "output_index")
        known, part, item = STEMS.get(stem), PARTS.get(stem), told.get("item")
        if known is not None:
            self._whole((place, *path_of(known, told)), told.get(known.whole))
        elif part is not None:
            holder, index = part
            for path, text in texts(told.get("part")):
                self._whole((place, holder, number(told, index), *path), text)
        elif isinstance(item, dict):
            identity = item.get("id")
            if isinstance(identity, str):
                self._places[identity] = place
            self._item(place, item)

    def _item(self, place: int, item: Told) -> None:
        for path, text in texts(item):
            slot = (place, *path)
            if place not in self._foreign or slot in self._seen:
                self._whole(slot, text)

    def _whole(self, slot: Path, text: object) -> None:
        seen = self._seen.get(slot, 0)
        if isinstance(text, str) and len(text) > seen:
            self._tally.add(slot, text[seen:])
            self._seen[slot] = len(text)
