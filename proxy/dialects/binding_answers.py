"""Sealed reasoning in an answer: wrapped on its way to the client, around any dialect's reader.

Bytes without anything sealed pass as they are. A JSON body is held until it is whole; of a stream,
no more than the pieces of one signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import UpstreamGarbageError
from proxy.core.sealing import ANYWHERE
from proxy.dialects.arriving import KeptBody
from proxy.dialects.binding import BOUND, signs_of
from proxy.dialects.binding_edits import edited
from proxy.dialects.binding_places import block_seals, chat_seals, encrypted, items_sealed
from proxy.dialects.openai_usage import parse_answer
from proxy.dialects.passing import OpaqueReader, is_stream
from proxy.dialects.sse import SseSplitter, data_of, with_data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.core.facts import RequestFacts, Usage
    from proxy.dialects.base import AnswerReader, Call
    from proxy.dialects.binding import Bound
    from proxy.dialects.binding_places import Path

Json = dict[str, object]
Changes = dict["Path", str | bytes | None]
_RESPONSES = frozenset({"openai.responses", "openai.stored"})


def bound_reader(
    reader: AnswerReader, bound: Bound, facts: RequestFacts, call: Call, content_type: str
) -> AnswerReader:
    """Return the reader that binds what an answer seals; the dialect's own where none is sealed.

    content_type: as the dialect has taken it
    """
    if facts.dialect not in BOUND or isinstance(reader, OpaqueReader):
        return reader
    stream = is_stream(content_type, asked=facts.stream)
    return BoundReader(reader, bound, stream=stream, newest=("order", "asc") not in call.query)


class BoundReader:
    """An answer whose sealed things are bound to who asked.

    reader: the dialect's own
    bound:  to whom and to what
    stream: the answer comes as events
    newest: a list of items tells the newest first
    """

    __slots__ = ("_bound", "_kept", "_newest", "_reader", "_signatures", "_signs", "_stream")

    def __init__(
        self, reader: AnswerReader, bound: Bound, *, stream: bool, newest: bool = False
    ) -> None:
        self._reader = reader
        self._bound = bound
        self._stream = stream
        self._signs = signs_of(bound.dialect)
        self._newest = newest
        self._kept = KeptBody()
        self._signatures = _Signatures()

    @property
    def usage(self) -> Usage:
        """As the dialect's reader says."""
        return self._reader.usage

    @property
    def complete(self) -> bool:
        """As the dialect's reader says."""
        return self._reader.complete

    @property
    def errored(self) -> bool:
        """As the dialect's reader says."""
        return self._reader.errored

    @property
    def cut(self) -> bool:
        """As the dialect's reader says."""
        return self._reader.cut

    @property
    def pending(self) -> bool:
        """As the dialect's reader says."""
        return self._reader.pending

    @property
    def objects(self) -> tuple[str, ...]:
        """As the dialect's reader says."""
        return self._reader.objects

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """As the dialect's reader says."""
        return self._reader.finish_reasons

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes of the upstream and return those for the client."""
        out = self._reader.feed(chunk)
        if self._stream:
            return self._events(out)
        self._kept.add(out)
        return b""

    def end(self) -> bytes:
        """Return the last bytes: of a JSON body, all of it."""
        last = self._reader.end()
        if self._stream:
            return self._events(last) + self._signatures.flush(self._bound)
        self._kept.add(last)
        body = self._kept.so_far()
        self._kept.forget()
        return self._body(body) if self._may_seal(body) else body

    def broken(self, message: str, code: str) -> bytes:
        """Return the native ending, behind what is still held of a stream."""
        last = self._reader.broken(message, code)
        return self._events(last) + self._signatures.flush(self._bound) if self._stream else last

    def _may_seal(self, text: bytes) -> bool:
        return any(sign in text for sign in self._signs)

    def _body(self, body: bytes) -> bytes:
        said = parse_answer(body)
        changes = self._changes(said)
        data = said.get("data")
        if self._bound.dialect == "openai.stored" and isinstance(data, list):
            changes = self._listed(data)
        return edited(body, changes)

    def _changes(self, said: Json) -> Changes:
        bound = self._bound
        seals = encrypted(said) if bound.dialect in _RESPONSES else _seals(said)
        return {
            path: bound.seal.wrap(text, ANYWHERE if loose else bound.anchor)
            for path, text, loose in seals
        }

    def _listed(self, items: list[object]) -> Changes:
        """Return the changes to a list of what was asked before: each is bound to its place."""
        size, seal = len(items), self._bound.seal
        ordered = items[::-1] if self._newest else items
        changes: Changes = {}
        for each in items_sealed(ordered, ("data",)):
            _, number, *inside = each.path
            assert isinstance(number, int)
            place = size - 1 - number if self._newest else number
            anchor = ANYWHERE if each.loose else seal.anchor(each.asked[0])
            changes["data", place, *inside] = seal.wrap(each.text, anchor)
        return changes

    def _events(self, out: bytes) -> bytes:
        if not out or not (self._signatures.held or self._may_seal(out)):
            return out
        splitter = SseSplitter(len(out))
        events = splitter.feed(out)
        rest = splitter.rest()
        return b"".join(self._event(event) for event in (*events, rest) if event)

    def _event(self, event: bytes) -> bytes:
        signatures = self._signatures
        if not (signatures.held or self._may_seal(event)):
            return event
        data = data_of(event)
        if not data.startswith(b"{"):
            return event
        try:
            said = parse_answer(data)
        except UpstreamGarbageError:
            return event  # the dialect has let it pass: what it does not read is not metered
        if signatures.takes(event, said):
            return b""
        changes = self._changes(said)
        before = signatures.before(said, self._bound)
        return before + (with_data(event, edited(data, changes)) if changes else event)


class _Signatures:
    """Signatures of thinking that come in pieces: only the whole can be bound."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        # By block: the first event, and the pieces.
        self.held: dict[object, tuple[bytes, list[str]]] = {}

    def takes(self, event: bytes, said: Json) -> bool:
        """Return whether an event brings a piece, which is then held."""
        delta = said.get("delta")
        piece = delta.get("signature") if isinstance(delta, dict) else None
        if said.get("type") != "content_block_delta" or not isinstance(piece, str):
            return False
        self.held.setdefault(_index(said), (event, []))[1].append(piece)
        return True

    def before(self, said: Json, bound: Bound) -> bytes:
        """Return what is due before an event: the signature of the block that it ends."""
        if not self.held or said.get("type") in {"ping", "content_block_delta"}:
            return b""
        if said.get("type") == "content_block_stop":
            held = self.held.pop(_index(said), None)
            return b"" if held is None else _signed(*held, bound)
        return self.flush(bound)

    def flush(self, bound: Bound) -> bytes:
        """Return all that is held."""
        out = b"".join(_signed(event, pieces, bound) for event, pieces in self.held.values())
        self.held.clear()
        return out


def _index(said: Json) -> object:
    index = said.get("index")
    return index if isinstance(index, int) else None


def _signed(event: bytes, pieces: list[str], bound: Bound) -> bytes:
    whole = "".join(pieces)
    if not whole:
        return event
    wrapped = bound.seal.wrap(whole, bound.anchor)
    return with_data(event, edited(data_of(event), {("delta", "signature"): wrapped}))


def _seals(said: Json) -> Iterator[tuple[Path, str, bool]]:
    """Yield what a message or a choice seals, or an event of one."""
    for path, block in _blocks(said):
        for inside, text in block_seals(block, path):
            yield inside, text, False
    choices = said.get("choices")
    for place, choice in enumerate(choices if isinstance(choices, list) else ()):
        for name in ("message", "delta"):
            message = choice.get(name) if isinstance(choice, dict) else None
            if isinstance(message, dict):
                for inside, text in chat_seals(message, ("choices", place, name)):
                    yield inside, text, False


def _blocks(said: Json) -> Iterator[tuple[Path, Json]]:
    """Yield the blocks of a message of Anthropic's, or of one of its events."""
    block = said.get("content_block")
    if isinstance(block, dict):
        yield ("content_block",), block
    message = said.get("message")
    for path, holder in (((), said), (("message",), message)):
        content = holder.get("content") if isinstance(holder, dict) else None
        for place, each in enumerate(content if isinstance(content, list) else ()):
            if isinstance(each, dict):
                yield (*path, "content", place), each
