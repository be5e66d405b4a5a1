"""Tables that others have measured, as they were given."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proxy.replay.report import words
from proxy.replay.report.grid import Cell, Grid, Section, number, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.replay.report.given import Table

MOST_ROWS = 200
NUMBER = re.compile(r"\d{1,3}(?:,\d{3}){0,6}", re.ASCII)  # as tables for terminals have them


def measured(tables: Sequence[Table]) -> Section:
    """Return what labelled traffic was measured by."""
    lead = "Labels say who really sent a request. No policy sees them: they serve measuring alone."
    grids = []
    for table in tables:
        rows = tuple(tuple(_cell(each) for each in row) for row in table.rows[:MOST_ROWS])
        rest = f"The first {MOST_ROWS} of {len(table.rows):,} rows."
        grids.append(
            Grid(
                words.sentence(table.title),
                tuple(words.sentence(each) for each in table.columns),
                rows,
                about=words.sentence(table.about),
                rest=rest if len(table.rows) > MOST_ROWS else "",
            )
        )
    return Section("labelled", "Campaigns and honest accounts", (lead,), tuple(grids))


def _cell(value: str | float | None) -> Cell:
    match value:
        case None:
            return Cell(words.DASH, number=True, tone="none")
        case str() if NUMBER.fullmatch(value):
            return number(int(value.replace(",", "")))
        case str():
            return text(words.sentence(value))
        case int():
            return number(value)
        case float():
            return Cell(f"{value:,.4g}", repr(value), number=True)
