"""The results as tables of text, before they are drawn on a terminal or in Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from proxy.evaluation.results import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.evaluation.bounds import Share
    from proxy.evaluation.controls import Control, Headline, Spread
    from proxy.evaluation.results import Campaign, Honest, Results


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a sentence that says how to read it ('' where it needs none), a head and rows."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def result_tables(results: Results) -> Iterator[Table]:
    """Yield what policies did to campaigns and to honest accounts."""
    if results.campaigns:
        yield _levels(results)
        yield _campaigns(results.campaigns)
    if results.pooled is not None:
        groups = (*results.archetypes, results.pooled)
        yield _harm(groups)
        yield _standing(groups)


def control_table(title: str, controls: Sequence[Control]) -> Table:
    """Return negative controls side by side with the labels as they are."""
    sizes = [size for size, _ in controls[0].null] if controls else []
    return Table(
        title,
        "Answers before the mark: mean (least to most) of the repeats, of all campaigns together, "
        "and what part that is of all of theirs; reached: campaigns on average. "
        "A null campaign is honest accounts picked by chance.",
        (
            "mark", "as they are: answers", "reached", "shuffled: answers", "reached",
            *(f"null of {size}: answers / reached" for size in sizes),
        ),
        tuple(
            (
                each.mark,
                *_headline(each.real),
                *(_headline(each.shuffled) if each.shuffled else ("", "")),
                *(" / ".join(_headline(headline)) for _, headline in each.null),
            )
            for each in controls
        ),
    )  # fmt: skip


def percent(share: Share) -> str:
    """Return a share with its bounds, in percent.

    >>> from proxy.evaluation.bounds import share
    >>> percent(share(3, 1000)), percent(share(0, 0))
    ('0.3 % (0.0619 to 0.874)', '')
    """
    if not share.of:
        return ""
    return f"{_three(share.value)} % ({_three(share.low)} to {_three(share.high)})"


def many(number: float) -> str:
    """Return a count with its thousands apart."""
    return f"{number:,.0f}"


def days(lasted: int | None) -> str:
    """Return microseconds as days; 'never' for None."""
    return "never" if lasted is None else f"{lasted / DAY:.2f}"


def _levels(results: Results) -> Table:
    """Return the headline: what all campaigns got before each level, and whom else it met."""
    campaigns, pooled = results.campaigns, results.pooled
    rows = []
    for which, level in enumerate(campaigns[0].levels):
        reached = [each.levels[which] for each in campaigns]
        before = [each.before.answers for each in reached]
        accounts = sum(each.accounts for each in reached)
        total = sum(each.accounts for each in campaigns)
        honest = None if pooled is None else pooled.levels[which]
        rows.append(
            (
                level.name,
                f"{sum(each.after is not None for each in reached)} of {len(campaigns)}",
                many(sum(before)),
                many(median(before)),
                many(sum(each.below.answers for each in reached)),
                f"{accounts:,} of {total:,}",
                "" if honest is None else percent(honest.days),
                "" if honest is None else percent(honest.accounts),
            )
        )
    return Table(
        "By level",
        f"All campaigns together got {many(sum(each.full.answers for each in campaigns))} answers "
        "at full fidelity. Before: until a campaign first had half of its accounts at the level; "
        "while below: whenever fewer were.",
        ("level", "campaigns reached", "full answers before", "median", "while below",
         "campaign accounts found", "honest account-days", "honest accounts"),
        tuple(rows),
    )  # fmt: skip


def _campaigns(campaigns: Sequence[Campaign]) -> Table:
    return Table(
        "Campaigns",
        "Of each level: full answers before it, and days to it.",
        ("campaign", "kind", "accounts", "requests", "refused", "shaped", "full answers",
         "full tokens", *(each.name for each in campaigns[0].levels)),
        tuple(
            (
                each.name,
                each.archetype,
                many(each.accounts),
                many(each.requests),
                many(each.refused),
                many(each.shaped),
                many(each.full.answers),
                many(each.full.tokens),
                *(
                    "never"
                    if level.after is None
                    else f"{level.before.answers:,} ({days(level.after)} d)"
                    for level in each.levels
                ),
            )
            for each in campaigns
        ),
    )  # fmt: skip


def _harm(groups: Sequence[Honest]) -> Table:
    return Table(
        "What honest accounts felt",
        "Account-days with at least one refused or shaped request, with 95 % bounds.",
        ("archetype", "accounts", "account-days", "requests", "refused", "shaped", "delayed",
         "days with a refusal", "days with a shape", "output tokens"),
        tuple(
            (
                each.name,
                many(each.accounts),
                many(each.days),
                many(each.requests),
                many(each.refused),
                many(each.shaped),
                many(each.delayed),
                percent(each.refused_days),
                percent(each.shaped_days),
                many(each.tokens),
            )
            for each in groups
        ),
    )  # fmt: skip


def _standing(groups: Sequence[Honest]) -> Table:
    return Table(
        "Honest account-days at each level or above",
        "With 95 % Clopper-Pearson bounds.",
        ("archetype", *(level.name for level in groups[0].levels)),
        tuple((each.name, *(percent(level.days) for level in each.levels)) for each in groups),
    )


def _headline(found: Headline) -> tuple[str, str]:
    told = f"{_range(found.answers)}, {100 * found.part.mean:.0f} %"
    return told, f"{found.reached.mean:.1f} of {found.of}"


def _range(found: Spread) -> str:
    if found.least == found.most:
        return many(found.mean)
    return f"{many(found.mean)} ({many(found.least)} to {many(found.most)})"


def _three(part: float) -> str:
    return f"{100 * part:.3g}"
