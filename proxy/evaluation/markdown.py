"""Results as Markdown, and a document in which they stand between two markers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.evaluation.tables import control_table, result_tables
from proxy.evaluation.tables_tried import tried_tables
from proxy.evaluation.tables_watch import ablation_table, leaving_table, mark_tables
from proxy.evaluation.telling import calibration_notes, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.evaluation.evaluating import Evaluation
    from proxy.evaluation.tables import Table

BEGIN, END = "<!-- weir evaluate: begin -->", "<!-- weir evaluate: end -->"


def replaced(document: str, made: str) -> str:
    """Return a document with what stands between its markers replaced.

    A document without markers gets them at its end. ValueError for markers that are no pair.
    """
    begins, ends = document.count(BEGIN), document.count(END)
    if not begins and not ends:
        head = document.rstrip("\n")
        return f"{head}\n\n{BEGIN}\n{made}{END}\n" if head else f"{BEGIN}\n{made}{END}\n"
    if begins != 1 or ends != 1 or document.index(BEGIN) > document.index(END):
        raise ValueError(f"has no single pair of markers ({BEGIN} before {END})")
    head, _, rest = document.partition(BEGIN)
    return f"{head}{BEGIN}\n{made}{END}{rest.partition(END)[2]}"


def markdown(evaluation: Evaluation, command: str) -> str:
    """Return a whole evaluation; `command` is what makes it again."""
    parts = [f"Made by `{command}`: {span(evaluation)}.\n"]
    watched = list(_watched(evaluation))
    if watched:
        parts.append("### Detection\n")
        parts += [drawn(each) for each in watched]
    if evaluation.results.campaigns or evaluation.results.pooled:
        parts.append("### Policies\n")
        parts += [drawn(each) for each in result_tables(evaluation.results)]
    if evaluation.results.unlabelled:
        parts.append(
            f"{evaluation.results.unlabelled:,} requests without a label are in none of these "
            "numbers.\n"
        )
    if evaluation.trialled is not None and evaluation.trialled.detectors:
        parts.append("### Baselines\n")
        parts += [f"- {note}" for note in calibration_notes(evaluation)]
        parts.append("")
        parts += [drawn(each) for each in tried_tables(evaluation.trialled)]
    controls = list(_controls(evaluation))
    if controls:
        parts.append("### Negative controls\n")
        parts += [drawn(each) for each in controls]
    return "\n".join(parts)


def drawn(table: Table) -> str:
    """Return one table; numbers stand to the right."""
    right = [
        bool(table.rows) and all(_number(row[column]) for row in table.rows)
        for column in range(len(table.head))
    ]
    lines = [f"**{table.title}.** {table.note}".rstrip(), ""]
    lines.append(_row(table.head))
    lines.append(_row(tuple("--:" if each else "---" for each in right)))
    lines += [_row(row) for row in table.rows]
    return "\n".join(lines) + "\n"


def _watched(evaluation: Evaluation) -> Iterator[Table]:
    if evaluation.marks:
        yield from mark_tables(evaluation.results, evaluation.marks)
    if evaluation.ablated:
        yield ablation_table(evaluation.ablated)
    if evaluation.left:
        yield leaving_table(evaluation.left)


def _controls(evaluation: Evaluation) -> Iterator[Table]:
    if evaluation.controls:
        yield control_table("Of the levels", evaluation.controls)
    if evaluation.baseline_controls:
        yield control_table("Of the baselines", evaluation.baseline_controls)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(text: str) -> bool:
    return text == "" or text[0].isdigit()
