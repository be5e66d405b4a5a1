"""What must hold of every answer, however it was cut, whatever the shape."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import visible
from heads import (
    DIALECTS,
    HEAD,
    NOTHING_AT_ALL,
    SHAPES,
    facts_of,
    pieces,
    rules_of,
    split,
)

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.sse import data_of

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts, Usage
    from proxy.core.shape import Shape
    from proxy.dialects.base import Dialect
    from proxy.dialects.tokens import TokenRules

# The events that readers end a broken stream with.
OWN_END = re.compile(rb"(?:event: error\ndata: [^\n]+\n\n|data: \{\"error\":[^\n]+\n\n)\Z")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an answer, however it was cut."""

    out: bytes
    usage: Usage
    complete: bool
    errored: bool
    cut: bool
    pending: bool
    garbage: bool
    finished: tuple[str, ...]
    objects: tuple[str, ...]


def answer(name: str, data: bytes) -> None:
    """Only UpstreamGarbageError; cuts change nothing; unshaped the same bytes; rations hold."""
    head, body = data[:HEAD].ljust(HEAD, b"\0"), data[HEAD:]
    dialect = DIALECTS[name]
    shape = NOTHING_AT_ALL if head[0] == 255 else SHAPES[head[0] % len(SHAPES)]
    facts, rules = facts_of(name, head[1]), rules_of(head[1])
    stream = body.lstrip()[:1] != b"{"
    if head[2] >= 250:
        stream = not stream
    media = "text/event-stream" if stream else "application/json"
    if stream and name == "openai.embeddings":
        return
    play = partial(played, dialect, facts, rules, media, shape, broken=bool(head[2] & 1))
    whole, fed = play([body])
    assert play(pieces(body, head))[0] == whole, "cuts change the answer"
    if not shape.body_empty:
        if not stream and not whole.complete:
            return
        shown = shown_of(name, whole.out, stream=stream)
        if shape.truncate is not None:
            assert whole.usage.relayed <= shape.truncate, "more was counted than may be given"
            visible.within(name, shown, shape.truncate, rules.counter)
        visible.clean(name, shown, shape, stream=stream)
    elif stream:
        _unchanged(name, facts, body, whole.out, fed)
    else:
        assert whole.out == body, "unshaped, the body changed"
    if whole.cut:
        assert shape.truncate is not None
        assert whole.complete, "cut, and not complete"
    if stream and not (whole.complete or whole.errored):
        assert OWN_END.search(whole.out), "a broken stream has no native end"


def played(
    dialect: Dialect,
    facts: RequestFacts,
    rules: TokenRules,
    media: str,
    shape: Shape,
    chunks: list[bytes],
    *,
    broken: bool,
) -> tuple[Outcome, bytes]:
    """Return the outcome, and what came out before the end was told."""
    reader = dialect.answer(facts, rules, media, 200, shape)
    out, garbage = b"", False
    try:
        for chunk in chunks:
            over = reader.cut
            piece = reader.feed(chunk)
            assert not (over and piece), "something came after the cut"
            out += piece
            assert reader.usage.relayed >= 0
    except UpstreamGarbageError:
        garbage = True
    fed, over = out, reader.cut
    if not garbage and not broken:
        try:
            last = reader.end()
            assert not (over and last), "something came after the cut"
            assert reader.end() == b"", "it ended twice"
        except UpstreamGarbageError:
            last, garbage = reader.broken("it broke", "upstream.garbage"), True
    else:
        last = reader.broken("it broke", "upstream.reset")
        assert not (over and last), "something came after the cut"
    assert reader.broken("again", "upstream.reset") == b"", "it broke twice"
    repr(reader.usage)
    outcome = Outcome(
        out + last, reader.usage, reader.complete, reader.errored, reader.cut, reader.pending,
        garbage, reader.finish_reasons, reader.objects,
    )  # fmt: skip
    return outcome, fed


def _unchanged(name: str, facts: RequestFacts, body: bytes, out: bytes, fed: bytes) -> None:
    """An unshaped stream is a copy up to where it ends, but for usage that is hidden."""
    if name in ("openai.chat", "openai.completions") and not facts.wants_usage:
        sent = [one for one in map(_without_usage, _told_in(body)) if one is not None]
        given = _told_in(fed)
        assert [repr(one) for one in given] == [repr(one) for one in sent[: len(given)]]
        return
    if name in ("openai.responses", "openai.stored"):
        # Behind the end, what says nothing may pass; what says something does not.
        owed = iter(split([body + b"\n\n"], 1 << 23)[0])
        given = split([OWN_END.sub(b"", out)], 1 << 23)[0]
        assert all(event in owed for event in given), "unshaped, the stream changed"
        return
    assert body.startswith(fed), "unshaped, the stream changed"
    last = out[len(fed) :]
    kept = OWN_END.sub(b"", last)
    owed = body[len(fed) :]
    assert owed.startswith(kept) or owed + b"\n\n" == last or owed + b"\n\n" == kept, (
        "unshaped, the end of the stream changed"
    )


def _told_in(stream: bytes) -> list[object]:
    """Return what the events of a stream say, up to the first that is not to be read."""
    told: list[object] = []
    for event in split([stream], 1 << 23)[0]:
        data = data_of(event)
        if data.startswith(b"[DONE]"):
            return told
        if data:
            try:
                told.append(_lenient(data))
            except (ValueError, RecursionError):
                return told
    return told


def _lenient(data: bytes) -> object:
    # As the readers do: a key that is repeated is read alike on both sides.
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data.decode())


def _without_usage(told: object) -> object:
    if not isinstance(told, dict) or "usage" not in told:
        return told
    if told["usage"] is not None and not told.get("choices") and not told.get("error"):
        return None
    return {name: value for name, value in told.items() if name != "usage"}


def shown_of(name: str, out: bytes, *, stream: bool) -> list[dict[str, Any]]:
    if name == "openai.embeddings":
        return []  # vectors: nothing is to be seen in them
    if stream:
        return [one for one in _told_in(out) if isinstance(one, dict)]
    if not out:
        return []
    told = _lenient(out)
    assert isinstance(told, dict)
    return [told]
