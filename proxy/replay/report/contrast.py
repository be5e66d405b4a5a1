"""Two sets of policies over the same traffic: what is decided otherwise, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.replay.report import words
from proxy.replay.report.charts import TOLD
from proxy.replay.report.grid import Cell, Grid, Section, dollars, left_out, number, text
from proxy.replay.report.opening import effect, felt
from proxy.replay.summary import EFFECTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.replay.difference import Changed
    from proxy.replay.report.given import Against, Report
    from proxy.replay.summary import Summary

MOST_LIMITS, MOST_ACCOUNTS = 60, 25
ORDER = ("allow", "free", "shape", "delay", "refuse", "error")  # from mild to hard
ALWAYS = frozenset({"allow", "shape", "delay", "refuse"})
HARDNESS = {"allow": 0, "free": 0, "shape": 1, "delay": 1, "refuse": 2, "error": 2}


def verdict(against: Against) -> str:
    """Return what the difference comes to, in one sentence."""
    difference = against.difference
    name = words.name(against.rules.directory)
    if not difference.changed:
        told = f"Compared with the policies in {name}, nothing is decided otherwise."
    elif not difference.new_refusals:
        told = (
            f"Compared with the policies in {name}, nothing is newly refused;"
            f" {words.count(difference.changed, 'request')}"
            f" {'is' if difference.changed == 1 else 'are'} decided otherwise."
        )
    else:
        whole = words.share(difference.new_refusals, difference.requests)
        told = (
            f"Compared with the policies in {name},"
            f" {words.count(difference.new_refusals, 'request')} ({whole})"
            f" {'is' if difference.new_refusals == 1 else 'are'} newly refused."
        )
    return told


def contrast(report: Report, against: Against) -> Section:
    """Return the difference: refusals that are new, from what to what, by limit, by account."""
    difference = against.difference
    refused = difference.new_refusals
    share = words.share(refused, difference.requests)
    was_refused = difference.matrix[EFFECTS.index("refuse")]
    served = sum(was_refused) - was_refused[EFFECTS.index("refuse")]
    big = (
        (f"{refused:,}", f"newly refused ({share})", "broken" if report.broken and refused else ""),
        (f"{served:,}", "no longer refused", ""),
        (f"{difference.changed:,}", "decided otherwise in all", ""),
        (f"{len(difference.accounts):,}", "accounts that it concerns", ""),
    )
    lead = [verdict(against)]
    before, after = words.name(against.rules.directory), words.name(report.rules.directory)
    lead.append(f"Before is {before}, after is {after}; the traffic is the same.")
    grids = [_totals(against.summary, report.summary), _matrix(difference.matrix)]
    grids += [
        _changed("Because of which limit or rule", "Limit or rule", difference.limits, MOST_LIMITS),
        _changed("For whom", "Account", difference.accounts, MOST_ACCOUNTS),
    ]
    return Section(
        "difference",
        "What changed",
        tuple(lead),
        tuple(grid for grid in grids if grid.rows),
        big=big,
        examples=tuple(difference.examples),
    )


def _totals(before: Summary, after: Summary) -> Grid:
    rows = [
        (text(told.capitalize()), *_pair(effect(before.total, each), effect(after.total, each)))
        for each, told in ((each, TOLD[each]) for each in ("refuse", "shape", "delay", "allow"))
    ]
    rows += [
        (text(told), *_pair(was, now))
        for told, was, now in (
            ("Accounts that felt it", felt(before), felt(after)),
            ("Answers in full", before.total.full, after.total.full),
            ("Prompt tokens", before.total.prompt, after.total.prompt),
            ("Output tokens", before.total.output, after.total.output),
        )
    ]
    was, now = before.total.cost, after.total.cost
    gone = Cell(
        f"{'+' if now > was else words.MINUS if now < was else ''}{words.usd(abs(now - was))}",
        str(now - was),
        number=True,
        tone="" if now != was else "none",
    )
    rows.append((text("Cost"), dollars(was), dollars(now), gone))
    return Grid("Totals", ("", "Before", "After", "Change"), tuple(rows))


def _pair(was: int, now: int) -> tuple[Cell, ...]:
    gone = now - was
    sign = "+" if gone > 0 else words.MINUS if gone < 0 else ""
    tone = "" if gone else "none"
    return number(was), number(now), Cell(f"{sign}{abs(gone):,}", str(gone), number=True, tone=tone)


def _matrix(matrix: list[list[int]]) -> Grid:
    there = [
        each
        for each in ORDER
        if each in ALWAYS
        or any(matrix[EFFECTS.index(each)])
        or any(row[EFFECTS.index(each)] for row in matrix)
    ]
    rows = tuple(
        (
            text(f"was {TOLD[was]}"),
            *(_step(was, now, matrix[EFFECTS.index(was)][EFFECTS.index(now)]) for now in there),
            number(sum(matrix[EFFECTS.index(was)])),
        )
        for was in there
    )
    heads = ("", *(f"is {TOLD[now]}" for now in there), "all")
    about = (
        "Requests by what was decided before (down) and after (across)."
        " \u25b2 is harder than before, \u25bc is milder; unmarked is the same."
    )
    return Grid("From what to what", heads, rows, about=about, matrix=True)


def _step(was: str, now: str, found: int) -> Cell:
    if was == now or not found:
        return number(found, tone="same")
    harder = HARDNESS[now] - HARDNESS[was]
    sign = "\u25b2 " if harder > 0 else "\u25bc " if harder < 0 else ""
    tone = "harder" if harder > 0 else "milder" if harder < 0 else ""
    return Cell(f"{sign}{found:,}", str(found), number=True, tone=tone)


def _changed(title: str, head: str, changed: Mapping[str, Changed], most: int) -> Grid:
    ordered = sorted(changed.items(), key=lambda each: (-each[1].refused, -each[1].all, each[0]))
    shown = ordered[:most]
    rows = tuple(
        (
            text(words.name(name)),
            number(each.refused, tone="refuse"),
            number(each.limited),
            number(each.eased),
            number(each.other),
            number(each.all),
        )
        for name, each in shown
    )
    heads = (head, "Newly refused", "Newly shaped or delayed", "Milder", "Otherwise", "In all")
    noun = "account" if head == "Account" else "limit"
    return Grid(title, heads, rows, rest=left_out(len(ordered), len(shown), noun, "new refusals"))
