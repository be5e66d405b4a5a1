"""The page: sections put into the template."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, FunctionLoader, StrictUndefined

from proxy.replay.report.charts import chart
from proxy.replay.report.contrast import contrast, verdict
from proxy.replay.report.grid import Grid, Section, number, text
from proxy.replay.report.groups import accounts, groups, levels, reasons
from proxy.replay.report.limits import limits
from proxy.replay.report.opening import figures, headline, provenance
from proxy.replay.report.tables import measured
from proxy.replay.report.words import moment, name, sentence, span
from proxy.replay.summary import EFFECTS

if TYPE_CHECKING:
    from proxy.replay.report.given import Report
    from proxy.replay.timeline import Timeline

TEMPLATE, STYLE, SCRIPT = "page.html.j2", "page.css", "sorting.js"


def page(report: Report) -> str:
    """Return the report as HTML, the same for the same report."""
    style, script = _packaged(STYLE), _packaged(SCRIPT)
    against = report.against
    # The page may do what is written in it and no more, whatever a name in it contrives.
    allowed = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}';"
        " base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            allowed=allowed,
            style=style,
            script=script,
            headline=headline(report.summary),
            verdict="" if against is None else verdict(against),
            report=report,
            figures=figures(report.summary),
            sections=_sections(report),
        )
    )


def _sections(report: Report) -> list[Section]:
    """Return the parts of the page in the order in which they are read."""
    summary = report.summary
    found = [
        provenance(report),
        over_time(summary.timeline),
        limits(report),
        groups("plans", "plan", summary.plans, "(no plan)"),
        groups("models", "model", summary.models, "(no model)"),
        accounts(summary),
        levels(summary),
        reasons(summary),
    ]
    if report.against is not None:
        found.append(contrast(report, report.against))
    if report.tables:
        found.append(measured(report.tables))
    return found


def over_time(timeline: Timeline) -> Section:
    """Return decisions over time, as plots and as numbers."""
    made, title = chart(timeline), "Decisions over time"
    if made is None:
        return Section("time", title, ("Nothing was decided, so there is nothing to plot.",))
    there = [index for index, each in enumerate(EFFECTS) if any(n[index] for _, n in made.slots)]
    rows = tuple(
        (text(moment(at)), *(number(counts[index]) for index in there))
        for at, counts in made.slots
        if any(counts)
    )
    called = dict(made.legend)
    heads = ("From (UTC)", *(called[EFFECTS[index]].capitalize() for index in there))
    bars = f"One bar is {span(made.width)}; times are UTC."
    alone = "" if len(made.panels) == 1 else " Each plot has a scale of its own, told above it."
    grid = Grid("Decisions over time, in numbers", heads, rows, folded=True)
    return Section("time", title, (bars + alone,), (grid,), chart=made)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = Environment(
        autoescape=True,
        loader=FunctionLoader(_packaged),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["named"] = name
    made.filters["moment"] = moment
    made.filters["sentence"] = sentence
    return made


def _packaged(file: str) -> str:
    return files(__package__).joinpath(file).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{b64encode(sha256(content.encode()).digest()).decode()}"
