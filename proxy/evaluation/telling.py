"""Results as lines for a terminal."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from proxy.evaluation.tables import control_table, result_tables
from proxy.evaluation.tables_tried import tried_tables
from proxy.evaluation.tables_watch import mark_tables
from proxy.replay.telling import moment, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.evaluation.evaluating import Evaluation
    from proxy.evaluation.results import Results
    from proxy.evaluation.tables import Table


def result_lines(results: Results) -> Iterator[str]:
    """Yield what policies did to campaigns and to honest accounts."""
    for index, each in enumerate(result_tables(results)):
        if index:
            yield ""
        yield from _lines(each)
    if results.unlabelled:
        yield ""
        yield f"{results.unlabelled:,} requests without a label are in none of these numbers"


def evaluation_lines(evaluation: Evaluation) -> Iterator[str]:
    """Yield an evaluation; of the baselines the first table alone (Markdown has them all)."""
    yield span(evaluation)
    yield ""
    if evaluation.marks:
        for each in mark_tables(evaluation.results, evaluation.marks):
            yield from _lines(each)
            yield ""
    yield from result_lines(evaluation.results)
    found = []
    if evaluation.controls:
        found.append(control_table("Controls of the levels", evaluation.controls))
    if evaluation.trialled is not None:
        found += islice(tried_tables(evaluation.trialled), 1)
    for each in found:
        yield ""
        yield from _lines(each)
    notes = calibration_notes(evaluation)
    if notes:
        yield ""
        yield from notes


def span(evaluation: Evaluation) -> str:
    """Return what was evaluated, in a sentence."""
    if evaluation.first is None or evaluation.last is None:
        return "no request: nothing was evaluated"
    return (
        f"{evaluation.requests:,} requests, {moment(evaluation.first)} to "
        f"{moment(evaluation.last)} UTC, policies {evaluation.policies}, "
        f"seed {evaluation.asked.seed}"
    )


def calibration_notes(evaluation: Evaluation) -> list[str]:
    """Return on what baselines were calibrated, and which could not be."""
    trialled, calibrated = evaluation.trialled, evaluation.calibrated
    if trialled is None:
        return []
    learnt = f"{calibrated.prompts:,} prompts of {calibrated.accounts:,} honest accounts"
    found = [
        (
            f"baselines were calibrated on {learnt} and measured on {trialled.measured:,} requests "
            "of the others"
        )
    ]
    if trialled.textless:
        found.append(f"{trialled.textless:,} requests had no text for the window tests")
    return [*found, *(f"not calibrated: {each}" for each in calibrated.missing)]


def _lines(each: Table) -> Iterator[str]:
    yield f"{each.title}. {each.note}".strip()
    yield from table(each.head, each.rows)
