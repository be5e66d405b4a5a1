"""What a report is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.traffic.reading import Tally

if TYPE_CHECKING:
    from proxy.policy.compiled import PolicySet
    from proxy.replay.difference import Difference
    from proxy.replay.summary import Summary


@dataclass(frozen=True, slots=True)
class Rules:
    """A set of policies, and the directory as it was named on the command line."""

    directory: str
    policies: PolicySet


@dataclass(frozen=True, slots=True)
class Against:
    """The policies that came before, what became of the same traffic under them, the difference."""

    rules: Rules
    summary: Summary
    difference: Difference


@dataclass(frozen=True, slots=True)
class Table:
    """A table of whoever measured something else: campaigns, honest accounts.

    about: a sentence or two on how to read it, ''
    rows:  cells in the order of the columns; numbers are set as numbers, None is a dash
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A replay.

    summary: what became of the traffic under `rules`
    files:   names of the traffic's files, as they were given
    tally:   what their reading met
    against: the set before, where two were compared
    tables:  what labelled traffic was measured by
    bounds:  those that were declared, as on the command line: '--max-new-refusals 0.1%'
    broken:  those that do not hold, a sentence each without its full stop
    interrupted: the traffic was not played to its end
    """

    summary: Summary
    rules: Rules
    files: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)
    against: Against | None = None
    tables: tuple[Table, ...] = ()
    bounds: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    interrupted: bool = False
