"""What detection is worth, as tables: its marks, single accounts, and what each part is worth."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from proxy.core.standing import Level
from proxy.evaluation.marks import ANSWERS, before, single
from proxy.evaluation.tables import Table, days, many, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.evaluation.ablation import Ablated, Met
    from proxy.evaluation.leaving import Left
    from proxy.evaluation.marks import Mark
    from proxy.evaluation.race import Reached
    from proxy.evaluation.results import Campaign, Results

WEIGHED = (
    "single accounts restricted", f"within {ANSWERS}", "median", "most", "campaigns restricted",
    "honest days guarded", "worst", "honest days restricted", "worst",
)  # fmt: skip


def mark_tables(results: Results, marks: Sequence[Mark]) -> Iterator[Table]:
    """Yield the marks, and single accounts one by one."""
    if marks:
        yield _marks(marks)
    alone = single(results.campaigns)
    if alone:
        yield _single(alone)


def ablation_table(ablated: Sequence[Ablated]) -> Table:
    """Return what each family and each detector is worth."""
    return Table(
        "What each family and each detector is worth",
        "What was said of each account, weighed again without one of them. Full answers are those "
        "of single accounts before `restricted`; of what never was restricted, all.",
        ("detectors", *WEIGHED),
        tuple(_ablated(each) for each in ablated),
    )


def leaving_table(left: Sequence[Left]) -> Table:
    """Return what is left of detection where a source is new to it."""
    return Table(
        "A source left out",
        "Tables made anew of honest accounts that have nothing of a source, and what they do to "
        "those that have it. Levels beyond what so few accounts can show are never reached.",
        ("source", "accounts without it", "most nats", *WEIGHED),
        tuple(
            (each.source, many(each.accounts), f"{each.most:.1f}", *_ablated(each.found)[1:])
            if each.found is not None
            else (each.source, many(each.accounts), "", *[""] * len(WEIGHED))
            for each in left
        ),
    )  # fmt: skip


def _marks(marks: Sequence[Mark]) -> Table:
    rows = []
    for each in marks:
        counts = each.most >= 1
        told = (f"at most {each.most:g}", many(each.found)) if counts else (
            f"at most {100 * each.most:g} %", f"{100 * each.found:.3g} %"
        )  # fmt: skip
        which = f"{each.of - each.missed} of {each.of}" if each.of > 1 else ""
        rows.append((each.name, *told, each.worst, which, _verdict(each)))
    return Table(
        "The marks",
        "Found: by the worst of them.",
        ("mark", "is to be", "found", "on", "met by", ""),
        tuple(rows),
    )


def _verdict(mark: Mark) -> str:
    if mark.met:
        return "met"
    if mark.seen <= mark.most:
        return f"not shown: {100 * mark.seen:.3g} % seen, of too few account-days"
    return f"missed, {mark.found / mark.most:.1f} times as much"


def _single(campaigns: Sequence[Campaign]) -> Table:
    rows = []
    for each in campaigns:
        levels = {level.name: level for level in each.levels}
        got = before(each, Level.RESTRICTED)
        rows.append(
            (
                each.name,
                each.archetype.partition("/")[0],
                f"{100 * (1 - each.cover / each.requests):.0f} %" if each.requests else "",
                many(each.requests),
                *(_before(levels[level]) for level in ("watch", "guarded", "restricted")),
                "met" if got <= ANSWERS else f"{got - ANSWERS:,} over",
            )
        )
    return Table(
        "Single accounts",
        "Full answers before each level, and days to it. Attack: the part of its requests that is "
        f"not cover. The mark: {ANSWERS} answers before `restricted`.",
        ("campaign", "technique", "attack", "requests", "watch", "guarded", "restricted",
         "the mark"),
        tuple(rows),
    )  # fmt: skip


def _before(level: Reached) -> str:
    told = "never" if level.after is None else f"{days(level.after)} d"
    return f"{level.before.answers:,} ({told})"


def _ablated(each: Ablated) -> tuple[str, ...]:
    alone = each.single
    answers = [found.answers for found in alone]
    return (
        each.name,
        f"{sum(found.reached for found in alone)} of {len(alone)}",
        f"{sum(a <= ANSWERS for a in answers)} of {len(alone)}",
        many(median(answers)) if answers else "",
        many(max(answers)) if answers else "",
        f"{sum(found.reached for found in each.campaigns)} of {len(each.campaigns)}",
        *_met(each.guarded),
        *_met(each.restricted),
    )


def _met(met: Met) -> tuple[str, str]:
    worst = f"{met.worst} {100 * met.worst_days.value:.3g} %" if met.worst else "none"
    return percent(met.days), worst
