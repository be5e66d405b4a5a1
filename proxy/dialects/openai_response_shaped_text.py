"""How a response is cut to its ration: each text once, in all of its copies alike.

Texts of messages and of reasoning that is not sealed are cut; every other item (tool calls, sealed
reasoning) is given whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.arriving import MAX_JSON
from proxy.dialects.openai_response_text import items_of, number, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.dialects.openai_response_text import Path, Told
    from proxy.dialects.openai_usage import Reported
    from proxy.dialects.ration import Ration

# The lists of texts that an item may have, and the members of each that are text.
HOLDERS = ("summary", "content")
LEAVES = ("text", "refusal")
MAX_CHUNKS = 1_000
PartKey = tuple[str, int]


@dataclass(slots=True)
class Piece:
    """A text while it is being given.

    seen:   characters that the provider has sent
    chunks: what the client got of them; the first `joined` are long ones
    """

    seen: int = 0
    chunks: list[str] = field(default_factory=list)
    joined: int = 0

    def add(self, text: str) -> None:
        """Add what the client got; many small strings would weigh more than their text."""
        self.chunks.append(text)
        if len(self.chunks) - self.joined == MAX_CHUNKS:
            self.chunks[self.joined :] = ["".join(self.chunks[self.joined :])]
            self.joined += 1

    @property
    def given(self) -> str:
        """What the client got, as one."""
        if len(self.chunks) > 1:
            self.chunks[:] = ["".join(self.chunks)]
            self.joined = 1
        return self.chunks[0] if self.chunks else ""


@dataclass(slots=True)
class Given:
    """An item that the client gets.

    place: its index in the client's output
    item:  as the client was last told it
    told:  the client has been told that it began
    done:  and that it ended
    whole: the texts of an item that was given whole, by their places
    pieces: of one whose texts are given as they come
    parts: those of it that have begun, as they were last told
    open:  of those, the ones that have not ended; True where their text has
    """

    place: int
    item: Told
    told: bool = True
    done: bool = False
    whole: Mapping[Path, str] | None = None
    pieces: dict[Path, Piece] = field(default_factory=dict)
    parts: dict[PartKey, Told] = field(default_factory=dict)
    open: dict[PartKey, bool] = field(default_factory=dict)


def streams(item: Told) -> bool:
    """Return whether an item's text may be given as it comes, and cut."""
    kind = item.get("type")
    return kind == "message" or (kind == "reasoning" and not item.get("encrypted_content"))


class Trim:
    """Cuts the texts of one response.

    given:     its items so far
    ration:    what may be given
    reasoning: tokens of it that were reasoning
    """

    __slots__ = ("_by_id", "_by_upstream", "_size", "given", "ration", "reasoning")

    def __init__(self, ration: Ration) -> None:
        self.ration = ration
        self.given: list[Given] = []
        self.reasoning = 0
        self._by_upstream: dict[int, Given] = {}
        self._by_id: dict[str, Given] = {}
        self._size = 0

    def find(self, upstream: int) -> Given | None:
        """Return the item at one of the provider's indexes."""
        return self._by_upstream.get(upstream)

    def add(self, upstream: int, item: Told, *, told: bool = True) -> Given:
        """Begin an item that is given as it comes.

        Raises UpstreamGarbageError where it has the id of another: which one is told at the end
        could not be known.
        """
        identity = item.get("id")
        if isinstance(identity, str) and identity in self._by_id:
            raise UpstreamGarbageError("The answer has two items of one id.")
        given = Given(len(self.given), item, told)
        self.given.append(given)
        self._by_upstream[upstream] = given
        if isinstance(identity, str) and identity:
            self._by_id[identity] = given
        return given

    def add_whole(
        self, upstream: int, item: Told, said: Mapping[Path, str], *, told: bool = True
    ) -> Given | None:
        """Give an item whole; None where that does not fit: then the ration is spent.

        said: its texts, by their places
        """
        before = self.ration.tokens
        place = len(self.given)
        if not self.ration.take_whole([((place, *path), text) for path, text in said.items()]):
            return None
        if item.get("type") == "reasoning":
            self.reasoning += self.ration.tokens - before
        given = self.add(upstream, item, told=told)
        given.done = True
        given.whole = said
        return given

    def take(self, given: Given, path: Path, text: str) -> str:
        """Return what may be given of a delta."""
        reasoning = given.item.get("type") == "reasoning"
        before = self.ration.tokens if reasoning else 0
        allowed = self.ration.take((given.place, *path), text)
        if reasoning:
            self.reasoning += self.ration.tokens - before
        piece = given.pieces.get(path)
        if piece is None:
            piece = given.pieces[path] = Piece()
        piece.seen += len(text)
        piece.add(allowed)
        self._size += len(allowed)
        if self._size > MAX_JSON:
            raise UpstreamGarbageError("The answer is too large.")
        return allowed

    def copy(self, given: Given, path: Path, text: str) -> str:
        """Return what may be given of a copy of a whole text."""
        piece = given.pieces.setdefault(path, Piece())
        if len(text) > piece.seen:
            self.take(given, path, text[piece.seen :])
        return piece.given

    def fit(self, given: Given, item: Told) -> bool:
        """Cut an item's texts as they were cut before; return whether it was changed."""
        changed = False
        for holder in HOLDERS:
            parts = item.get(holder)
            for index, part in enumerate(parts if isinstance(parts, list) else ()):
                if isinstance(part, dict):
                    changed = self.fit_part(given, (holder, index), part) or changed
        return drop_unknown(item) or changed

    def fit_part(self, given: Given, key: PartKey, part: Told) -> bool:
        """Cut a part's text, and what belongs to it; return whether it was changed."""
        changed = False
        for path, text in list(texts(part)):
            allowed = self.copy(given, (*key, *path), text)
            if allowed == text:
                continue
            changed = True
            if path[1:]:  # at a place that is not known: it cannot be cut
                part.pop(str(path[0]), None)
            else:
                part[str(path[0])] = allowed
        if changed:
            trim_belongings(part, text_of(given, key))
        return changed

    def settle(self, response: Told) -> bool:
        """Cut a whole response's output; return whether it was changed.

        Where the ration is spent in it, what comes after is left out.
        """
        kept: list[Told] = []
        places: set[int] = set()
        # A copy that some servers add for convenience.
        changed = response.pop("output_text", None) is not None
        output = items_of(response)
        for position, item in enumerate(output):
            identity = item.get("id")
            given = self._by_id.get(identity) if isinstance(identity, str) else None
            given = given or self._by_upstream.get(position)
            if given is None:
                given = (
                    self.add(position, item, told=False)
                    if streams(item)
                    else self.add_whole(position, item, dict(texts(item)), told=False)
                )
                if given is None:
                    break
            if given.place in places:
                changed = True  # the same item again, by its id
                continue
            places.add(given.place)
            if given.whole is None:
                changed = self.fit(given, item) or changed
                given.item = item
            elif all(given.whole.get(path) == text for path, text in texts(item)):
                given.item = item
            else:
                changed = True
            kept.append(given.item)
            if self.ration.spent:
                break
        if changed or len(kept) < len(output):
            response["output"] = kept
            return True
        return False

    def incomplete(self, response: Told, reported: Reported, prompt: int) -> Told:
        """Return the response that ends here.

        reported: what the provider said; prompt: the estimate for where it said nothing
        """
        asked = prompt if reported[0] is None else reported[0]
        spent = self.ration.tokens
        usage = response.get("usage")
        details = usage.get("input_tokens_details") if isinstance(usage, dict) else None
        if not isinstance(details, dict):
            details = {"cached_tokens": reported[3] or 0, "cache_write_tokens": 0}
        ended: Told = {
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "error": None,
            "output": [ended_item(given) for given in self.given],
            "usage": {
                "input_tokens": asked,
                "input_tokens_details": details,
                "output_tokens": spent,
                "output_tokens_details": {"reasoning_tokens": self.reasoning},
                "total_tokens": asked + spent,
            },
        }
        if response.get("completed_at"):
            ended["completed_at"] = None
        return response | ended


def drop_unknown(item: Told) -> bool:
    """Take out what says something at a place that is not known, and so would not be cut."""
    changed = False
    for holder in HOLDERS:
        parts = item.get(holder)
        if isinstance(parts, list) and not all(isinstance(part, dict) for part in parts):
            item[holder] = [part for part in parts if isinstance(part, dict)]
            changed = True
    said = {str(path[0]) for path, text in texts(item) if text}
    for name in said:
        if name not in HOLDERS or not isinstance(item[name], list):
            del item[name]
            changed = True
    return changed


def ended_item(given: Given) -> Told:
    """Return an item as it was given: from its parts, where it had to end early."""
    item = given.item
    if given.done:
        return item
    if given.told:
        for holder in HOLDERS:
            keys = sorted(key for key in given.parts if key[0] == holder)
            if keys:
                item[holder] = [ended_part(given, key) for key in keys]
    if item.get("type") == "message" or "status" in item:
        item["status"] = "incomplete"
    return item


def ended_part(given: Given, key: PartKey) -> Told:
    """Return a part as it was given."""
    part = given.parts[key]
    for leaf in LEAVES:
        piece = given.pieces.get((*key, leaf))
        if piece is not None:
            part[leaf] = piece.given
    trim_belongings(part, text_of(given, key))
    return part


def text_of(given: Given, key: PartKey) -> str:
    """Return what was given of a part's text."""
    pieces = (given.pieces.get((*key, leaf)) for leaf in LEAVES)
    return "".join(piece.given for piece in pieces if piece is not None)


def trim_belongings(part: Told, text: str) -> None:
    """Leave of a part's log-probabilities and annotations what belongs to the text given."""
    if part.get("logprobs"):
        part["logprobs"] = covered(part["logprobs"], text)
    annotations = part.get("annotations")
    if isinstance(annotations, list):
        part["annotations"] = [each for each in annotations if within(each, text)]


def within(annotation: object, text: str) -> bool:
    """Return whether an annotation speaks of a text as far as it was given."""
    return isinstance(annotation, dict) and max(
        number(annotation, "end_index"), number(annotation, "index")
    ) <= len(text)


def covered(logprobs: object, text: str) -> list[object]:
    """Return the log-probabilities of the tokens that a text begins with."""
    kept: list[object] = []
    length = 0
    for each in logprobs if isinstance(logprobs, list) else ():
        token = each.get("token") if isinstance(each, dict) else None
        if not isinstance(token, str) or not text.startswith(token, length):
            break
        length += len(token)
        kept.append(each)
    return kept
