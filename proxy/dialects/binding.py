"""Sealed reasoning in a request: whose it is, and the body that the model API may see of it.

What is this account's and this conversation's own is unwrapped. What is foreign is dropped with as
little else as the provider allows, or let go on where the policies say so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from proxy.core.sealing import ANYWHERE, Kind, bare
from proxy.core.shape import Change
from proxy.dialects.binding_edits import REMOVED, edited
from proxy.dialects.binding_places import asked_last, sealed_in

if TYPE_CHECKING:
    from proxy.core.sealing import Seal, Sealing, Unwrapped
    from proxy.dialects.binding_places import Path, Sealed

PASS, DROP, REFUSE = "pass", "drop", "refuse"
# Whose answers hand out what is sealed.
BOUND = frozenset({"anthropic.messages", "openai.chat", "openai.responses", "openai.stored"})
# Where none of these stands, nothing is sealed; an escape could spell any of them.
_SIGNS = {
    "anthropic": (b'"signature"', b'"redacted_thinking"'),
    "openai": (b'"encrypted_content"',),
    "openai.chat": (
        b'signature"', b'"encrypted_content"', b'"redacted_thinking"', b'"reasoning.encrypted"',
    ),
}  # fmt: skip
_ESCAPE = re.compile(rb"\\u00[2-7]")
_WRAPPED = re.compile(rb'"(weir1\.[A-Za-z0-9_-]{43}\.[^"\\]*)"')
_THINKING = frozenset({"thinking", "redacted_thinking"})
# Items that the provider looks for the reasoning of, where they come with their id.
_TIED = frozenset({"function_call", "custom_tool_call", "message"})

Edits = dict["Path", str | bytes | None]


@dataclass(frozen=True, slots=True)
class Found:
    """The sealed things of a request.

    body, asked: as it came, and as it was read
    things:      each with what it is
    """

    body: bytes = field(repr=False)
    asked: dict[str, Any] = field(repr=False)
    things: list[tuple[Sealed, Unwrapped]] = field(repr=False)

    @property
    def foreign(self) -> dict[Kind, int]:
        """How many are not own, by kind."""
        counts: dict[Kind, int] = {}
        for _, what in self.things:
            if what.kind is not Kind.OWN:
                counts[what.kind] = counts.get(what.kind, 0) + 1
        return counts

    def opened(self, rule: str) -> tuple[bytes, tuple[Change, ...]]:
        """Return the body for the model API and what was changed in it, under PASS or DROP."""
        inside: Edits = {}
        dropped: list[Sealed] = []
        for each, what in self.things:
            if what.kind is Kind.OWN:
                inside[each.path] = what.blob
            elif rule == PASS:
                inside[each.path] = _innermost(what.blob)
            else:
                dropped.append(each)
        if not dropped:
            quick = _unwrapped(
                self.body, [(each.text, inside[each.path]) for each, _ in self.things]
            )
            return edited(self.body, inside) if quick is None else quick, ()
        gone = {each.whole for each in dropped}
        edits = inside | dict.fromkeys(gone, REMOVED)
        changes = [Change(DROP, "reasoning", str(len(dropped)))]
        if "messages" in self.asked:
            changes += _mend_messages(self.asked, gone, edits)
        else:
            _mend_items(self.asked, gone, edits)
        return edited(self.body, edits), tuple(changes)


@dataclass(slots=True)
class Bound:
    """What the answer to one request is bound to. Read only when something sealed is in it.

    sealing, account, org: whose
    dialect, body: of the request
    known:         the anchor, where it need not be read from the body
    """

    sealing: Sealing
    account: str
    org: str
    dialect: str
    body: bytes = field(default=b"", repr=False)
    known: bytes | None = field(default=None, repr=False)
    _seal: Seal | None = field(default=None, repr=False)

    @property
    def seal(self) -> Seal:
        """The account's seal."""
        if self._seal is None:
            self._seal = self.sealing.seal(self.account, self.org)
        return self._seal

    @property
    def anchor(self) -> bytes:
        """The anchor of what the request asks."""
        if self.known is None:
            asked = orjson.loads(self.body) if self.body else {}
            self.known = self.seal.anchor(asked_last(self.dialect, asked))
        return self.known


def signs_of(dialect: str) -> tuple[bytes, ...]:
    """Return what stands in every JSON text of a dialect in which something is sealed."""
    return _SIGNS.get(dialect) or _SIGNS.get(dialect.partition(".")[0], ())


def found(bound: Bound) -> Found | None:
    """Return the sealed things of a request's body that was read before; None where none is."""
    body = bound.body
    if not any(sign in body for sign in signs_of(bound.dialect)) and (
        b"\\u00" not in body or not _ESCAPE.search(body)
    ):
        return None
    asked = orjson.loads(body)
    things = sealed_in(bound.dialect, asked)
    if not things:
        return None
    seal = bound.seal
    anchors: dict[str, bytes] = {}
    for each in things:
        anchors |= {said: seal.anchor(said) for said in each.asked if said not in anchors}
    return Found(
        body,
        asked,
        [(each, seal.unwrap(each.text, _anchors(each, anchors))) for each in things],
    )


def _anchors(each: Sealed, anchors: dict[str, bytes]) -> list[bytes]:
    return [ANYWHERE] if each.loose else [anchors[said] for said in each.asked]


def _innermost(blob: str) -> str:
    """Return what is in all of our wrappings: none may reach the model API with what is foreign."""
    while (inner := bare(blob)) != blob:
        blob = inner
    return blob


def _unwrapped(body: bytes, texts: list[tuple[str, str | bytes | None]]) -> bytes | None:
    """Return a body without our wrappings, in one go; None where it must be walked.

    It must be walked where a text has more than one wrapping to lose, or none, where it stands
    elsewhere too, or is spelled with escapes.
    """
    if any(bare(text) != inside for text, inside in texts):
        return None
    wanted = sorted(text.encode("utf-8", "surrogatepass") for text, _ in texts)
    if b"\\u00" in body or sorted(_WRAPPED.findall(body)) != wanted:
        return None
    return _WRAPPED.sub(_inside, body)


def _inside(match: re.Match[bytes]) -> bytes:
    return b'"%b"' % match[1].split(b".", 2)[2]


def _mend_messages(asked: dict[str, Any], dropped: set[Path], edits: Edits) -> list[Change]:
    """Add to the edits what a message needs that lost thinking, and return what that changes.

    No message may be empty. In a loop of tools, a turn that has lost its thought is only taken
    where no thinking is asked for.
    """
    messages = asked["messages"]
    bereft = set()
    for number in {path[1] for path in dropped if path[2:3] == ("content",)}:
        assert isinstance(number, int)
        content = messages[number]["content"]
        left = [
            block
            for place, block in enumerate(content)
            if ("messages", number, "content", place) not in dropped
        ]
        if not left:
            edits[("messages", number)] = REMOVED
        elif not (isinstance(left[0], dict) and left[0].get("type") in _THINKING):
            bereft.add(number)
    thinking = asked.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") in (None, "disabled"):
        return []
    if not bereft & set(_loop(messages)):
        return []
    edits[("thinking",)] = REMOVED
    _stop_clearing(asked, edits)
    return [Change("clamp", "thinking", str(thinking["type"])[:32])]


def _loop(messages: list[Any]) -> list[int]:
    """Return the assistant's turns since a user spoke, where a tool's results come last."""
    found: list[int] = []
    for number in range(len(messages) - 1, -1, -1):
        message = messages[number]
        if not isinstance(message, dict):
            break
        if message.get("role") == "assistant":
            found.append(number)
        elif not any(
            isinstance(block, dict) and block.get("type") == "tool_result"
            for block in message.get("content") or ()
        ):
            break
    return found if found and found[0] != len(messages) - 1 else []


def _stop_clearing(asked: dict[str, Any], edits: Edits) -> None:
    """Take out what clears thinking: it is refused where none is asked for."""
    management = asked.get("context_management")
    listed = management.get("edits") if isinstance(management, dict) else None
    for place, each in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(each, dict) and str(each.get("type")).startswith("clear_thinking"):
            edits[("context_management", "edits", place)] = REMOVED


def _mend_items(asked: dict[str, Any], dropped: set[Path], edits: Edits) -> None:
    """Add to the edits what items need that lost their reasoning: to be without an id."""
    for name in {str(path[0]) for path in dropped}:
        items = asked[name]
        orphans = False
        for number, item in enumerate(items):
            if (name, number) in dropped:
                orphans = True
            elif not isinstance(item, dict):
                continue
            elif item.get("type") == "reasoning" or item.get("role") not in {None, "assistant"}:
                orphans = False
            elif orphans and item.get("type") in _TIED and "id" in item:
                edits[(name, number, "id")] = REMOVED
