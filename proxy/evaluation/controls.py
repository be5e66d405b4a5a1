"""Negative controls: what the metrics say of campaigns that are none.

A detector that finds campaigns should find fewer when the labels are dealt anew. Here only the
accounts' diaries are raced again, so that a control costs no second replay; answers are counted to
the end of the hour in which a campaign reaches a mark, also for the labels as they are, so that
all three columns compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.evaluation.ledger import Diary, Ledger

SIZES = (1, 10, 100)  # accounts of a null campaign


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and range of repeats."""

    mean: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Headline:
    """What campaigns got before they reached one mark, and how many did.

    answers: full-fidelity answers of all campaigns together; of what never reached it, all
    part:    these of all answers of the same accounts, 0 to 1. It compares where totals do not: an
             honest account has no cover that is left out
    reached: campaigns that reached it; of: campaigns
    """

    answers: Spread
    part: Spread
    reached: Spread
    of: int


@dataclass(frozen=True, slots=True)
class Control:
    """One mark: labels as they are, labels shuffled, and null campaigns by their size."""

    mark: str
    real: Headline
    shuffled: Headline | None
    null: tuple[tuple[int, Headline], ...]


def controls(ledger: Ledger, repeats: int, seed: int) -> tuple[Control, ...]:
    """Return the controls of every mark; the same seed deals the same labels."""
    groups: dict[str, list[Diary]] = {}
    for _, diary in sorted(ledger.accounts.items()):
        groups.setdefault(diary.operator, []).append(diary)
    honest = groups.pop("", [])
    real = list(groups.values())
    shuffled: list[list[list[Diary]]] = []
    if real and repeats:
        everybody = [*honest, *(diary for group in real for diary in group)]
        shuffled = [_dealt(everybody, _dice(seed, "deal", each)) for each in range(repeats)]
    sizes = [size for size in SIZES if size <= len(honest)] if repeats else []
    null = {
        size: [[_dice(seed, f"null {size}", each).sample(honest, size)] for each in range(repeats)]
        for size in sizes
    }
    return tuple(
        Control(
            mark,
            _headline([real], which),
            _headline(shuffled, which) if shuffled else None,
            tuple((size, _headline(null[size], which)) for size in sizes),
        )
        for which, mark in enumerate(ledger.names)
    )


def raced(accounts: Sequence[Diary], which: int) -> tuple[int | None, int]:
    """Return when some accounts as one campaign reach a mark, and their answers before that."""
    events = sorted(
        [(diary.first, 0) for diary in accounts]
        + [(diary.marks[which], 1) for diary in accounts if which in diary.marks]
    )
    used = marked = 0
    reached = None
    for index, (at, kind) in enumerate(events):
        used, marked = used + (kind == 0), marked + kind
        last = index + 1 == len(events) or events[index + 1][0] > at
        if last and 2 * marked >= used:
            reached = at
            break
    return reached, sum(diary.until(reached) for diary in accounts)


def _dealt(everybody: Sequence[Diary], rng: Random) -> list[list[Diary]]:
    """Return campaigns whose labels were dealt anew among accounts of like volume.

    Like are accounts whose requests have the same power of two.
    """
    alike: dict[int, list[Diary]] = {}
    for diary in everybody:
        alike.setdefault(diary.requests.bit_length(), []).append(diary)
    groups: dict[str, list[Diary]] = {}
    for _, diaries in sorted(alike.items()):
        operators = [diary.operator for diary in diaries]
        rng.shuffle(operators)
        for operator, diary in zip(operators, diaries, strict=True):
            if operator:
                groups.setdefault(operator, []).append(diary)
    return list(groups.values())


def _headline(repeats: Sequence[Sequence[Sequence[Diary]]], which: int) -> Headline:
    answers, parts, reached = [], [], []
    for groups in repeats:
        found = [raced(group, which) for group in groups]
        answers.append(sum(each for _, each in found))
        whole = sum(diary.until(None) for group in groups for diary in group)
        parts.append(answers[-1] / whole if whole else 0.0)
        reached.append(sum(at is not None for at, _ in found))
    return Headline(_spread(answers), _spread(parts), _spread(reached), len(repeats[0]))


def _spread(numbers: Sequence[float]) -> Spread:
    return Spread(fmean(numbers), min(numbers), max(numbers)) if numbers else Spread(0, 0, 0)


def _dice(seed: int, what: str, number: int) -> Random:
    return Random(f"{seed}:{what}:{number}")  # noqa: S311 - no secret is made of it
