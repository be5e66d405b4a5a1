"""A population as its file says it, and every mistake in it at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.core.errors import PopulationError
from proxy.document import document, dotted
from proxy.policy.files import Mistake, mistake, parse
from proxy.population import texts as reading
from proxy.population.account import Release
from proxy.population.language import PopulationText
from proxy.population.rhythm import DAY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from proxy.document import Document, Steps
    from proxy.population.texts import Text, Trace


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
