"""One line of the decision log. Never prompt text, never a secret; addresses as keyed hashes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

VERSION = 1
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_BITS, RANDOM_BITS, CHARACTERS = 48, 80, 26


def decision_id(now: int, entropy: bytes) -> str:
    """Return an id that sorts by time: 48 bits of milliseconds and 80 random bits in base 32.

    now: microseconds since the epoch; entropy: 10 bytes

    >>> decision_id(1_795_435_200_123_457, bytes(10))
    'wd_01m81fjpmv0000000000000000'
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
    charged: what the request took in the end; null when nothing was taken
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
class UpstreamEntry:
    """Which model API answered: our name for it, its status (0: none), its request id."""

    name: str = ""
    status: int = 0
    request_id: str = ""


@dataclass(slots=True)
class Timings:
    """Microseconds from the request's arrival; `store` is the round trip alone."""

    auth: int = 0
    read: int = 0
    store: int = 0
    upstream_first_byte: int = 0
    total: int = 0


@dataclass(slots=True)
class Record:
    """One request. Filled on its walk, written once.

    id, t:       decision id; arrival, microseconds since the epoch
    charged_at, settled_at: the store's moments; null where it did not answer (or nothing to settle)
    ip:          keyed hash of the peer's address
    policies:    digest of the set in force
    effect:      'allow', 'refuse', '' where the request never came to a decision
    status:      HTTP status given to the client
    code:        code of the error or refusal, ''
    blind:       decided without an answer of the counters; `limits` are then the process's own
    reasons:     'code:policy/limit', shadow ones included
    end:         'complete', 'refused', 'error', 'abandoned' (client left), 'broken' (the model)
    prompt_fp:   keyed hash of the prompt's text
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
    limits: list[LimitEntry] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
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

    def to_dict(self) -> dict[str, object]:
        """Return the record as plain values."""
        return asdict(self)
