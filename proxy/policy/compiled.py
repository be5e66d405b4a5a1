"""What runs: policies as immutable values, ready for the engine. No I/O, no YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from proxy.core.decision import Mode
from proxy.core.shape import NO_SHAPE, Shape
from proxy.core.standing import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.core.decision import OnStoreError
    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.limits.buckets import Bucket


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    TOKENS = "tokens"
    USD = "usd"
    CONCURRENT = "concurrent"
    DISTINCT_PROMPTS = "distinct prompts"
    DISTINCT_MODELS = "distinct models"
    DISTINCT_ADDRESSES = "distinct addresses"
    DISTINCT_TEMPLATES = "distinct templates"
    DISTINCT_TOPICS = "distinct topics"


# What is counted by the features of a prompt, and not by its facts alone.
BY_FEATURES = frozenset({Unit.DISTINCT_TEMPLATES, Unit.DISTINCT_TOPICS})


class Scope(StrEnum):
    """What a limit counts by. Clusters join when there is a linker."""

    KEY = "key"
    ACCOUNT = "account"
    ORG = "org"
    IP = "ip"
    MODEL = "model"
    GLOBAL = "global"


class Otherwise(StrEnum):
    """What a limit does when it has no room."""

    REFUSE = "refuse"
    FLAG = "flag"
    SHAPE = "shape"
    LEVEL = "level"


@dataclass(frozen=True, slots=True)
class Limit:
    """One counted rule.

    policy, name: where it is written; together unique in a set
    unit, by:     what it counts, by what
    bucket:       kind and numbers (amounts in the unit; micro-dollars for usd)
    sentence:     the limit as the file says it, for people: '60 requests per 1m by key'
    otherwise:    what happens without room; `shape` is what SHAPE gives, `level` what LEVEL
                  raises the asking account to, for `lasts` microseconds
    binding:      it may refuse; all others are charged whether they overflow or not
    """

    policy: str
    name: str
    unit: Unit
    by: tuple[Scope, ...]
    bucket: Bucket
    mode: Mode
    on_store_error: OnStoreError
    sentence: str = ""
    otherwise: Otherwise = Otherwise.REFUSE
    shape: Shape = NO_SHAPE
    level: Level = Level.CLEAR
    lasts: int = 0
    binding: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        refuses = self.mode is Mode.ENFORCE and self.otherwise is Otherwise.REFUSE
        object.__setattr__(self, "binding", refuses)


@dataclass(frozen=True, slots=True)
class Capability:
    """Which features and models whom.

    name:    the rule as people name it: 'forbid logit_bias+logprobs', 'require verified'
    combos:  of a `forbid`: sets of features; a request that uses all of one is forbidden.
             Empty for a `require`
    met:     of a `require`: (principal, facts, address) -> whether it is met
    applies: (principal, facts, address) -> whether the rule speaks of this request (its `for`)
    because: the operator's sentence, ''
    """

    policy: str
    name: str
    combos: tuple[frozenset[str], ...]
    met: Callable[[Principal, RequestFacts, str], bool] | None
    applies: Callable[[Principal, RequestFacts, str], bool]
    because: str = ""
    mode: Mode = Mode.ENFORCE


@dataclass(frozen=True, slots=True)
class Rung:
    """What a level of standing does: a shape, or a refusal with a code for the client.

    at:       evidence from which it is reached, nats above 0; None where evidence does not set it
    families: how many kinds of evidence must speak, 1 to 4; 0 without `at`
    lasts:    how long it holds once it is reached, microseconds; 0 where only people set it
    by:       what sets it: 'evidence', 'invariant', 'person', in this order
    """

    level: Level
    shape: Shape = NO_SHAPE
    refuse: str = ""
    at: float | None = None
    families: int = 0
    lasts: int = 0
    by: tuple[str, ...] = ("person",)


@dataclass(frozen=True, slots=True)
class DetectorSetting:
    """How a detector is tuned.

    half_life: of its family's profile, microseconds; None where nothing is said
    cap:       the most nats that it may say, above 0; None where nothing is said
    off:       it says nothing
    """

    half_life: int | None = None
    cap: float | None = None
    off: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """One file: a condition, and the rules it switches on.

    applies: (principal, facts, peer address) -> whether the policy speaks of this request
    ladder:  rungs from low to high; an account stands on the highest that its level reaches
    detectors: settings by detector, of those that the file names
    foreign: what happens to foreign sealed reasoning: 'pass', 'drop', 'refuse', '' for nothing said
    by:      all that its limits count by, in the order of `Scope`
    keys:    the engine's memory of the tags and keys of its limits' buckets, by environment and
             subjects; what is in it is what would be computed, so the policy stays the same
    """

    name: str
    about: str
    applies: Callable[[Principal, RequestFacts, str], bool]
    limits: tuple[Limit, ...]
    source: str = ""
    capabilities: tuple[Capability, ...] = ()
    ladder: tuple[Rung, ...] = ()
    detectors: Mapping[str, DetectorSetting] = field(default_factory=dict, hash=False)
    foreign: str = ""
    by: tuple[Scope, ...] = field(init=False, repr=False, compare=False)
    keys: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        counted = {scope for limit in self.limits for scope in limit.by}
        object.__setattr__(self, "by", tuple(scope for scope in Scope if scope in counted))


@dataclass(frozen=True, slots=True)
class PolicySet:
    """A directory of policies with one digest (16 hex digits of the sha-256 of its contents).

    half_lives:     microseconds by family of detectors, of those that the files name
    reads_features: a limit counts what only the features of a prompt tell
    """

    policies: tuple[Policy, ...]
    digest: str
    half_lives: Mapping[str, int] = field(default_factory=dict, hash=False)
    reads_features: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        counted = {limit.unit for policy in self.policies for limit in policy.limits}
        object.__setattr__(self, "reads_features", not BY_FEATURES.isdisjoint(counted))


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the models file.

    pattern:               glob over model names
    prices:                micro-dollars per million tokens: input, cached input, output
    counter:               'words' or 'chars': how text is counted when nobody reports usage
    max_output_tokens:     the most that the model can produce in one choice
    reserve_output_tokens: what a request without a cap of its own reserves
    """

    pattern: str
    input_price: int = 0
    cached_price: int = 0
    output_price: int = 0
    counter: str = "chars"
    max_output_tokens: int = 4096
    reserve_output_tokens: int = 4096
