"""The language of a population's file: its keys, and what each may hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from proxy.core.quantities import parse_duration
from proxy.policy.words import Name, Section, listed
from proxy.population.campaigns.techniques import TECHNIQUES
from proxy.population.honest.archetypes import ARCHETYPES
from proxy.population.rhythm import DAY, HOURS

if TYPE_CHECKING:
    from collections.abc import Mapping

PERCENT = re.compile(r"(\d{1,2}|100)(?:\.(\d))?%", re.ASCII)
MOST_ACCOUNTS = 1_000_000
YEARS = (2000, 2199)
OLDEST = 3_650 * DAY  # that an account of a campaign can be


def _percent(value: object) -> object:
    """Take a text such as '25%' for a share; ValueError says what would do."""
    if not isinstance(value, str):
        raise ValueError(f"cannot read {value!r} as a share (25%)")  # noqa: TRY004 - of pydantic
    found = PERCENT.fullmatch(value)
    if found is None or float(value[:-1]) >= 100:  # noqa: PLR2004 - all would be cover
        raise ValueError(f"cannot read {value!r} as a share below all (5%, 25%, 97.5%)")
    return float(value[:-1]) / 100


def _duration(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"cannot read {value!r} as a duration (30m, 12h, 5d)")  # noqa: TRY004
    return parse_duration(value)


def _date(text: str) -> str:
    try:
        found = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f'cannot read {text!r} as a day ("2026-06-01")') from None
    if not YEARS[0] <= found.year <= YEARS[1]:
        raise ValueError(f"the year must be from {YEARS[0]} to {YEARS[1]}")
    return text


def _age(span: int) -> int:
    if span > OLDEST:
        raise ValueError(f"must be at most {OLDEST // DAY}d")
    return span


def _some(weights: dict[str, int]) -> dict[str, int]:
    if not any(weights.values()):
        raise ValueError("all weights are 0 (one must be more)")
    return weights


def _known(kind: str, names: Mapping[str, object]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"{value!r} is no {kind} ({', '.join(names)})")
        return value

    return AfterValidator(check)


Share = Annotated[float, BeforeValidator(_percent)]
Span = Annotated[int, BeforeValidator(_duration), Field(ge=0)]
Names = Annotated[list[Name], BeforeValidator(listed), Field(min_length=1)]
Models = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]], BeforeValidator(listed),
    Field(min_length=1),
]  # fmt: skip
Amount = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Accounts = Annotated[int, Field(gt=0, le=MOST_ACCOUNTS)]
Weights = Annotated[
    dict[Name, Annotated[int, Field(ge=0, le=1000)]], Field(min_length=1), AfterValidator(_some)
]
Rhythm = Annotated[str, _known("rhythm", HOURS)]


class FileText(Section):
    """A file of texts or arrivals; its path is relative to `data`."""

    path: Annotated[str, Field(min_length=1, max_length=1000)]
    most: int | None = Field(None, gt=0, description="how many of its lines are used")


class ReleaseText(Section):
    """A model that comes out on a day of the population."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    after: Span = Field(description="since the start")


class RateText(Section):
    """Requests on an ordinary weekday: half of the accounts have fewer than the median."""

    median: Amount
    spread: Annotated[float, Field(ge=0, le=3, allow_inf_nan=False)] = 1.0


class HonestText(Section):
    """Accounts of one archetype."""

    archetype: Annotated[str, _known("archetype", ARCHETYPES)]
    group: Name | None = Field(None, description="tells groups of one archetype apart")
    accounts: Accounts
    sources: Names
    trace: Name | None = None
    requests_per_day: RateText | None = Field(None, description="as usual for the archetype")
    plans: Weights | None = None
    models: Models | None = None
    rhythm: Rhythm | None = None
    purpose: Name | None = Field(None, description="what all declare, `none` for nothing")
    whole: bool = Field(
        default=False, description="each asks all of the texts, no stretch of its own"
    )
    newcomers: Share | None = Field(None, description="so many sign up meanwhile; 8% otherwise")
    ramp: bool = Field(
        default=True, description="whether the first days of a new account are quiet"
    )


class CampaignText(Section):
    """One operator's accounts that collect answers."""

    campaign: Name
    technique: Annotated[str, _known("technique", TECHNIQUES)] = Field(description="what is asked")
    share: Literal["heavy", "round-robin", "least-recently-used", "sticky", "random"] = Field(
        description="how the accounts share it"
    )
    accounts: Accounts = 1
    sources: Names
    requests_per_day: Amount = Field(description="of one account, cover counted")
    begins: Span = 0
    lasts: Span | None = Field(None, description="to the end where not given")
    joins: Span = Field(0, description="accounts come in one by one over so long")
    ramp: Span = Field(0, description="its volume rises from nothing over so long")
    signups: Annotated[Span, AfterValidator(_age)] = Field(
        30 * DAY, description="signed up at most so long before"
    )
    rhythm: Rhythm = "flat"
    trace: Name | None = None
    cover: Share = Field(0.0, description="share of innocent requests")
    cover_sources: Names | None = Field(None, description="what those ask; as `sources`")
    paraphrase: Literal["request", "account"] | None = Field(
        None, description="templates and prompts in other words: in every request, or by account"
    )
    jitter: Span = Field(0, description="each request waits up to so long, by chance")
    pivot: Name | None = Field(None, description="model to which it turns within a day")
    probes: int = Field(60, ge=0, le=20_000, description="of a reasoning campaign: its attempts")
    purpose: Name | None = Field(None, description="what its accounts declare")
    styles: Literal["one", "own"] = Field("one", description="client programs")
    dress: Literal["product"] | None = Field(
        None, description="all it asks comes with a product's prompt, users and conversations"
    )
    plans: Weights | None = None
    models: Models | None = None


class PopulationText(Section):
    """A population's file."""

    population: Name
    about: str = Field("", max_length=2000)
    start: Annotated[str, AfterValidator(_date)]
    days: int = Field(gt=0, le=400)
    seed: int = Field(0, ge=0, le=2**63)
    data: Annotated[str, Field(min_length=1, max_length=1000)] = "."
    sources: dict[Name, FileText] = Field(min_length=1)
    traces: dict[Name, FileText] = Field(default_factory=dict)
    releases: list[ReleaseText] = Field(default_factory=list)
    honest: list[HonestText] = Field(default_factory=list)
    campaigns: list[CampaignText] = Field(default_factory=list)
