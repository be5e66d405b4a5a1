"""Tables and sections as values; the template draws them. Nothing here is HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.replay.report import words

if TYPE_CHECKING:
    from proxy.replay.difference import Example
    from proxy.replay.report.charts import Chart, Histogram


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a bar: what it stands for (a class of the style sheet), and per cents of it."""

    tone: str
    start: str
    width: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    value:  what it is sorted by, '' for its text
    number: it stands to the right
    tone:   how it is coloured, never the only sign of what it says
    notes:  smaller lines below
    bar:    beside the number
    """

    text: str
    value: str = ""
    number: bool = False
    tone: str = ""
    notes: tuple[str, ...] = ()
    bar: tuple[Piece, ...] = ()
    histogram: Histogram | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. rest: a sentence about what was left out, ''; folded: shown when asked for."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    about: str = ""
    rest: str = ""
    folded: bool = False
    matrix: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    lead:     sentences, a paragraph each; an empty state is one
    chart:    decisions over time
    big:      the one number to be seen, and what it is
    examples: requests that are decided otherwise
    """

    anchor: str
    title: str
    lead: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    chart: Chart | None = None
    big: tuple[tuple[str, str, str], ...] = ()
    examples: tuple[Example, ...] = ()


def text(told: str, *notes: str, tone: str = "") -> Cell:
    """Return a cell of words."""
    return Cell(told, tone=tone, notes=notes)


def number(value: int, *notes: str, tone: str = "") -> Cell:
    """Return a cell of a whole number; 0 is muted."""
    return Cell(f"{value:,}", str(value), number=True, tone=tone if value else "none", notes=notes)


def part(value: int, whole: int, tone: str = "") -> Cell:
    """Return a cell of a number, with its share of a whole below."""
    notes = (words.share(value, whole),) if value else ()
    return number(value, *notes, tone=tone)


def dollars(value: int) -> Cell:
    """Return a cell of micro-dollars."""
    return Cell(words.usd(value), str(value), number=True, tone="" if value else "none")


def when(value: int | None) -> Cell:
    """Return a cell of a moment, microseconds since the epoch; None is a dash."""
    if value is None:
        return Cell(words.DASH, "0", tone="none")
    day, _, time = words.moment(value).partition(" ")
    return Cell(day, str(value), tone="when", notes=(time,))


def pieces(parts: tuple[tuple[str, int], ...], whole: int) -> tuple[Piece, ...]:
    """Return a bar's pieces, one after the other; what is there at all can be seen."""
    found, at = [], 0.0
    for tone, value in parts:
        if value and whole:
            wide = min(max(100 * value / whole, 1.5), 100 - at)
            found.append(Piece(tone, f"{at:.1f}", f"{wide:.1f}"))
            at += wide
    return tuple(found)


def left_out(all_of_them: int, shown: int, noun: str, by: str) -> str:
    """Return the sentence about rows that are not shown, '' where all are."""
    if all_of_them <= shown:
        return ""
    return f"The first {shown:,} of {words.count(all_of_them, noun)}, by {by}."
