"""One line of traffic: a request, what was answered, and for measuring who really sent it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from proxy.core.facts import RequestFacts, Usage
from proxy.core.principal import NO_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDS = ("complete", "abandoned", "error", "broken")
KINDS = ("extraction", "benign")
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class Answer:
    """What a request was answered.

    status: of HTTP
    end:    of ENDS
    text:   what was said, '' where it was not kept
    usage:  tokens as the provider reported them, and as they were relayed
    lasted: microseconds from the request's arrival to the answer's end, None where not noted
    billed: something was served; None: to be told from status and end
    kept:   the answer was still being made when the request was over (background)
    object: id of the stored object that was made, ''
    sealed: what was handed out sealed, to be sent back: thinking signatures, encrypted reasoning
    code:   of the error that Weir gave or met while it served, ''
    """

    status: int = 200
    end: str = "complete"
    text: str = field(default="", repr=False)
    usage: Usage = field(default_factory=Usage)
    lasted: int | None = None
    billed: bool | None = None
    kept: bool = False
    object: str = ""
    sealed: tuple[str, ...] = field(default=(), repr=False)
    code: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """Who really sent a request. Metrics alone read it, never the engine.

    operator:  who is behind it: one name for all accounts of a campaign
    kind:      of KINDS
    archetype: what it is like: 'batch', 'rag', 'round_robin', …
    cover:     an innocent request that a campaign sends to look honest
    """

    operator: str
    kind: str
    archetype: str = ""
    cover: bool = False


@dataclass(frozen=True, slots=True)
class Prints:
    """Keyed fingerprints that were taken of a request, 16 hex digits each, '' where unknown."""

    prompt: str = ""
    model: str = ""
    ip: str = ""


@dataclass(slots=True)
class Entry:
    """One request with its answer.

    t:        arrival, microseconds since the epoch
    key:      id of the key, never the secret
    ip:       the peer's address, or its keyed fingerprint
    path:     the request line's target
    body:     the request's JSON; None where there is none, or where only `facts` are known
    answer:   None where nobody knows: it was refused, or not recorded
    label:    None for traffic of which nobody knows who sent it
    id:       id of the decision that was made when it was recorded, ''
    headers:  those of the request that Weir reads ('anthropic-version')
    retry:    which try the SDK said that this was
    level, level_by: standing that the store told when it was recorded, and who had set it; 'clear'
              where not noted
    level_until: when that standing runs out, microseconds since the epoch; None where not noted
    effect:   what was decided when it was recorded, '' where not noted
    policies: digest of the policies that decided it, ''
    charged_at, settled_at: the store's moments, microseconds since the epoch; None where not noted
    released_at: the store's moment at which this request, which read a stored answer, settled what
              its making had reserved; None where it did not
    fp:       fingerprints taken when it was recorded; they stand for the texts in counting
    facts:    what was read from the request, in place of a body (traffic made from a journal)
    """

    t: int
    key: str
    account: str
    org: str
    plan: str = ""
    ip: str = ""
    method: str = "POST"
    path: str = "/v1/chat/completions"
    body: object = field(default=None, repr=False)
    answer: Answer | None = None
    label: Label | None = None
    id: str = ""
    verified: bool = False
    purpose: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    retry: int = 0
    level: str = "clear"
    level_by: str = ""
    level_until: int | None = None
    effect: str = ""
    policies: str = ""
    charged_at: int | None = None
    settled_at: int | None = None
    released_at: int | None = None
    fp: Prints | None = None
    facts: RequestFacts | None = None
