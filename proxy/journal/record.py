"""One line of the decision log. Never prompt text, never a secret; addresses as keyed hashes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 1
# `kind` of a line that is no decision: evidence changed an account's level, its profile was purged
STANDING, FORGOTTEN = "standing", "forgotten"
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_BITS, RANDOM_BITS, CHARACTERS = 48, 80, 26


def decision_id(now: int, entropy: bytes) -> str:
    """Return an id that sorts by time: 48 bits of milliseconds and 80 random bits in base 32.

    now: microseconds since the epoch; entropy: 10 bytes

    >>> decision_id(1_795_435_200_123_457, bytes(10))
    'wd_01m844dzkv0000000000000000'
    """
    number = ((now // 1000) % (1 << TIME_BITS)) << RANDOM_BITS | int.from_bytes(entropy)
    characters = []
    for _ in range(CHARACTERS):
        characters.append(ALPHABET[number & 31])
        number >>= 5
    return "wd_" + "".join(reversed(characters))


@dataclass(slots=True)
class LimitEntry:
    """What one limit said. Amounts are in its unit (micro-dollars for usd).

    asked, remaining, fits, taken, retry_after (us): the receipt of the charge
    charged:  what the request took in the end; null when nothing was taken
    sentence: the limit as its file says it ('60 requests per 1m by key'), '' where not noted
    """

    policy: str
    limit: str
    by: str
    unit: str
    kind: str
    amount: int
    mode: str
    asked: int
    remaining: int
    fits: bool
    taken: bool
    retry_after: int | None
    charged: int | None
    sentence: str = ""


@dataclass(slots=True)
class UsageEntry:
    """Tokens: as estimated before, as the provider reported, as relayed, as charged."""

    estimated_prompt: int = 0
    estimated_output: int = 0
    reported_prompt: int | None = None
    reported_output: int | None = None
    reported_reasoning: int | None = None
    reported_cached: int | None = None
    relayed: int = 0
    charged_input: int = 0
    charged_output: int = 0


@dataclass(slots=True)
class ChangeEntry:
    """One thing that a shape changed: 'clamp' 'n' from '16' to '1'; '' where nothing is to say."""

    verb: str
    what: str
    asked: str = ""
    given: str = ""


@dataclass(slots=True)
class ForeignEntry:
    """Sealed reasoning that a request brought along and that was not its own, by what it is.

    conversation: this account's, for something else that was asked
    same_org, account: another account's: of the same organisation, of another one
    unknown:      never wrapped by a Weir with this pepper, or changed since
    """

    conversation: int = 0
    same_org: int = 0
    account: int = 0
    unknown: int = 0


@dataclass(slots=True)
class UpstreamEntry:
    """Which model API answered: our name for it, its status (0: none), its request id."""

    name: str = ""
    status: int = 0
    request_id: str = ""


@dataclass(slots=True)
class Timings:
    """Microseconds from the request's arrival; `store` and `delay` are those waits alone."""

    auth: int = 0
    read: int = 0
    store: int = 0
    delay: int = 0
    upstream_first_byte: int = 0
    total: int = 0


@dataclass(slots=True)
class Record:
    """One request. Filled on its walk, written once.

    id, t:       decision id; arrival, microseconds since the epoch
    method:      of HTTP, as sent
    v:           version of this schema
    charged_at, settled_at: the store's moments, microseconds since the epoch; null where it did
                 not answer, or where there was nothing to charge or to settle
    route, dialect: path and wire format; '' where no dialect serves what was asked
    model, stream: as the client named it; it asked for server-sent events
    key, account, org, plan: ids that the operator gave, '' before somebody was recognised
    ip:          keyed hash of the peer's address
    policies:    digest of the set in force
    effect:      'allow', 'shape', 'delay', 'refuse', '' where the request never came to a decision
    status:      HTTP status given to the client, 0 where it left before
    code:        code of the error or refusal, ''
    blind:       decided without an answer of the counters; `limits` are then the process's own
    retry:       which try the SDK said that this is, 0 for the first
    level:       standing of the account
    limits:      what each limit said, in the order of the policies
    reasons:     'code:policy/limit', shadow ones included
    shapes, changes: 'policy/shape' of each shape that was applied, and what they changed
    cut:         the shape ended the answer before the model did
    object_id:   id of the stored object that was read or made, ''
    usage:       tokens
    cost_usd_micro: price of what was charged, micro-dollars
    features:    knobs in use, sorted (`RequestFacts.features`)
    choices, reasoning: answers asked for; reasoning effort asked for, ''
    finish_reasons: as the model gave them, one a choice
    end:         'complete', 'refused', 'error', 'abandoned' (client left), 'broken' (the model)
    upstream, timings: who answered; how long what took
    bytes_in, bytes_out: of the request's and the answer's body
    foreign:     sealed reasoning in the request that was not its own
    prompt_fp, prompt_tokens: keyed hash of the prompt's text; its estimated tokens
    """

    id: str
    t: int
    method: str = ""
    v: int = VERSION
    charged_at: int | None = None
    settled_at: int | None = None
    route: str = ""
    dialect: str = ""
    model: str = ""
    stream: bool = False
    key: str = ""
    account: str = ""
    org: str = ""
    plan: str = ""
    ip: str = ""
    policies: str = ""
    effect: str = ""
    status: int = 0
    code: str = ""
    blind: bool = False
    retry: int = 0
    level: str = "clear"
    limits: list[LimitEntry] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    changes: list[ChangeEntry] = field(default_factory=list)
    cut: bool = False
    object_id: str = ""
    usage: UsageEntry = field(default_factory=UsageEntry)
    cost_usd_micro: int = 0
    features: list[str] = field(default_factory=list)
    choices: int = 1
    reasoning: str = ""
    finish_reasons: list[str] = field(default_factory=list)
    end: str = ""
    upstream: UpstreamEntry = field(default_factory=UpstreamEntry)
    timings: Timings = field(default_factory=Timings)
    bytes_in: int = 0
    bytes_out: int = 0
    prompt_fp: str = ""
    prompt_tokens: int = 0
    foreign: ForeignEntry = field(default_factory=ForeignEntry)

    def to_dict(self) -> dict[str, object]:
        """Return the record as plain values of its own."""
        plain = _RECORD(self)
        plain["limits"] = [_LIMIT(entry) for entry in self.limits]
        plain["usage"] = _USAGE(self.usage)
        plain["upstream"] = _UPSTREAM(self.upstream)
        plain["timings"] = _TIMINGS(self.timings)
        plain["foreign"] = _FOREIGN(self.foreign)
        plain["changes"] = [_CHANGE(entry) for entry in self.changes]
        for name in ("reasons", "shapes", "features", "finish_reasons"):
            plain[name] = list(getattr(self, name))
        return plain


def schema() -> dict[str, object]:
    """Return the JSON Schema of a record."""
    told = _object(Record)
    told["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    told["title"] = "One decision in the journal of Weir"
    return told


WORDS: dict[str, dict[str, object]] = {
    "v": {"const": VERSION},
    "id": {"pattern": f"^wd_[{ALPHABET}]{{{CHARACTERS}}}$"},
    "effect": {"enum": ["allow", "shape", "delay", "refuse", ""]},
    "mode": {"enum": ["enforce", "shadow"]},
    "kind": {"enum": ["rate", "budget", "rolling", "lease", "distinct", "exposure"]},
    "end": {"enum": ["complete", "refused", "error", "abandoned", "broken", ""]},
    "ip": {"pattern": "^([0-9a-f]{16})?$"},
    "prompt_fp": {"pattern": "^([0-9a-f]{16})?$"},
}
TYPES: dict[object, dict[str, object]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    str: {"type": "string"},
}


def _object(of: type) -> dict[str, object]:
    hints = get_type_hints(of)
    return {
        "type": "object",
        "properties": {
            name: {**_type(hint), **WORDS.get(name, {})} for name, hint in hints.items()
        },
        "required": list(hints),
        "additionalProperties": False,
    }


def _type(hint: object) -> dict[str, object]:
    if hint in TYPES:
        return TYPES[hint]
    if isinstance(hint, type) and is_dataclass(hint):
        return _object(hint)
    if get_origin(hint) is list:
        return {"type": "array", "items": _type(get_args(hint)[0])}
    (known,) = (each for each in get_args(hint) if each is not NoneType)
    return {**_type(known), "type": [_type(known)["type"], "null"]}


def _taker(of: type) -> Callable[[object], dict[str, object]]:
    """Return a function from an instance to its fields: `asdict` takes 200 us a record."""
    names = tuple(each.name for each in fields(of))
    values = attrgetter(*names)

    def take(of: object) -> dict[str, object]:
        return dict(zip(names, values(of), strict=True))

    return take


_RECORD, _LIMIT, _USAGE = _taker(Record), _taker(LimitEntry), _taker(UsageEntry)
_UPSTREAM, _TIMINGS, _CHANGE = _taker(UpstreamEntry), _taker(Timings), _taker(ChangeEntry)
_FOREIGN = _taker(ForeignEntry)
