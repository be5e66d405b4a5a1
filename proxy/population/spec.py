"""A population as its file says it, and every mistake in it at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from proxy.core.errors import PopulationError
from proxy.core.quantities import parse_duration
from proxy.document import document, dotted
from proxy.policy.files import Mistake, mistake, parse
from proxy.policy.words import Name, Section, listed
from proxy.population import texts as reading
from proxy.population.account import Release
from proxy.population.campaigns.techniques import TECHNIQUES
from proxy.population.honest.archetypes import ARCHETYPES
from proxy.population.rhythm import DAY, HOURS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from proxy.document import Document, Steps
    from proxy.population.texts import Text, Trace

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


@dataclass(frozen=True, slots=True)
class Spec:
    """A population with the texts and traces that it is made of.

    start, end: microseconds since the epoch
    """

    text: PopulationText
    start: int
    end: int
    texts: Mapping[str, tuple[Text, ...]] = field(repr=False)
    traces: Mapping[str, Trace] = field(repr=False)
    releases: tuple[Release, ...] = ()


def load(path: Path, data: Path | None = None) -> Spec:
    """Return a population. PopulationError: every mistake as file:line:col, one a line.

    data: directory of texts and traces, in place of the one that the file names
    """
    mistakes: list[Mistake] = []
    name = str(path)
    try:
        found = document(path)
    except OSError as error:
        raise PopulationError(f"{name}: cannot be read ({error.strerror})") from None
    mistakes += [Mistake(name, *e.place, dotted(e.steps), e.sentence) for e in found.mistakes]
    text = None if mistakes else parse(name, found, PopulationText, mistakes)
    texts: dict[str, tuple[Text, ...]] = {}
    traces: dict[str, Trace] = {}
    if text is not None:
        _cross(name, found, text, mistakes)
        where = data if data is not None else path.parent / text.data
        for key, file in text.sources.items():
            try:
                texts[key] = tuple(reading.texts(where / file.path, file.most))
            except (OSError, ValueError) as error:
                _blame(name, found, ("sources", key, "path"), _told(error), mistakes)
        for key, file in text.traces.items():
            try:
                traces[key] = reading.trace(where / file.path)
            except (OSError, ValueError) as error:
                _blame(name, found, ("traces", key, "path"), _told(error), mistakes)
    if mistakes or text is None:
        mistakes.sort(key=lambda each: (each.line, each.column))
        raise PopulationError("\n".join(str(each) for each in mistakes))
    start = int(datetime.strptime(text.start, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 10**6
    releases = tuple(Release(each.model, start + each.after) for each in text.releases)
    return Spec(text, start, start + text.days * DAY, texts, traces, releases)


def _cross(name: str, found: Document, text: PopulationText, mistakes: list[Mistake]) -> None:
    """Add what is wrong between the parts: names that nobody has, and names that two have."""
    groups: set[str] = set()
    for index, honest in enumerate(text.honest):
        steps: Steps = ("honest", index)
        group = honest.group or honest.archetype
        if group in groups:
            told = f"{group!r} is there twice (group: {group}-2 would tell them apart)"
            _blame(name, found, (*steps, "archetype"), told, mistakes)
        groups.add(group)
        _names(name, found, (*steps, "sources"), honest.sources, text, mistakes)
        _trace(name, found, steps, honest.trace, text, mistakes)
    campaigns: set[str] = set()
    released = {each.model for each in text.releases}
    for index, each in enumerate(text.campaigns):
        steps = ("campaigns", index)
        if each.campaign in campaigns:
            _blame(name, found, (*steps, "campaign"), f"{each.campaign!r} is there twice", mistakes)
        campaigns.add(each.campaign)
        _names(name, found, (*steps, "sources"), each.sources, text, mistakes)
        _names(name, found, (*steps, "cover_sources"), each.cover_sources or [], text, mistakes)
        _trace(name, found, steps, each.trace, text, mistakes)
        if each.share == "heavy" and each.accounts != 1:
            told = f"one heavy account is not {each.accounts} (share: round-robin would do)"
            _blame(name, found, (*steps, "share"), told, mistakes)
        if each.pivot is not None and each.pivot not in released:
            told = f"{each.pivot!r} is no model of `releases`"
            _blame(name, found, (*steps, "pivot"), told, mistakes)
        if each.begins >= text.days * DAY:
            told = "is after the population's end (days)"
            _blame(name, found, (*steps, "begins"), told, mistakes)
    if not text.honest and not text.campaigns:
        told = "holds nobody (honest: [{archetype: chat-product, accounts: 10, sources: …}])"
        mistakes.append(mistake(name, (1, 1), (), told))


def _names(
    name: str, found: Document, steps: Steps, names: list[str], text: PopulationText,
    mistakes: list[Mistake],
) -> None:  # fmt: skip
    for index, each in enumerate(names):
        if each not in text.sources:
            told = f"{each!r} is no source ({', '.join(text.sources)})"
            _blame(name, found, (*steps, index), told, mistakes)


def _trace(
    name: str, found: Document, steps: Steps, named: str | None, text: PopulationText,
    mistakes: list[Mistake],
) -> None:  # fmt: skip
    if named is not None and named not in text.traces:
        known = ", ".join(text.traces) or "there are none"
        _blame(name, found, (*steps, "trace"), f"{named!r} is no trace ({known})", mistakes)


def _blame(name: str, found: Document, steps: Steps, told: str, mistakes: list[Mistake]) -> None:
    mistakes.append(mistake(name, found.place(steps), steps, told))


def _told(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or 'it is damaged'})"
    return str(error)
