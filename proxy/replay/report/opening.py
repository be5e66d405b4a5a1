"""What is told first: what came of it in a sentence, and what it was tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.replay.report import words
from proxy.replay.report.charts import TOLD
from proxy.replay.report.grid import Grid, Section, text
from proxy.replay.summary import EFFECTS

if TYPE_CHECKING:
    from proxy.replay.report.given import Report, Rules
    from proxy.replay.summary import Story, Summary

LIMITED = ("refuse", "shape", "delay")
CLOCK = (
    "Played in memory on the traffic's own clock; the same traffic and policies give the same page."
    " What clients would have done otherwise after a refusal is not played."
)
MOST_FILES, MOST_COMPLAINTS = 10, 20


def effect(story: Story, name: str) -> int:
    """Return the requests of a story that had one of EFFECTS."""
    return story.effects[EFFECTS.index(name)]


def felt(summary: Summary) -> int:
    """Return how many accounts had a request shaped, delayed or refused."""
    return sum(1 for story in summary.accounts.values() if story.limited)


def headline(summary: Summary) -> str:
    """Return what came of it, in one sentence."""
    total, accounts = summary.total, len(summary.accounts)
    if not total.requests:
        return "No traffic was replayed, so there is nothing to tell."
    of_all = "Of 1 request" if total.requests == 1 else f"Of {total.requests:,} requests"
    parts = [
        f"{words.share(effect(total, each), total.requests)}"
        f"{'' if index else ' would have been'} {TOLD[each]}"
        for index, each in enumerate(found for found in LIMITED if effect(total, found))
    ]
    if not parts:
        whom = words.count(accounts, "account")
        return f"{of_all} by {whom} none would have been refused, shaped or delayed."
    whom = f"{felt(summary):,} of {words.count(accounts, 'account')} felt it"
    return f"{of_all} {words.listed(parts)}; {whom}."


def figures(summary: Summary) -> tuple[tuple[str, str, str], ...]:
    """Return the numbers under the headline: the number, what it is, and its share."""
    total = summary.total
    found = [(f"{total.requests:,}", "requests", "")]
    found += [
        (f"{effect(total, each):,}", TOLD[each], words.share(effect(total, each), total.requests))
        for each in LIMITED
    ]
    accounts = len(summary.accounts)
    found.append(
        (f"{felt(summary):,}", "accounts that felt it", words.share(felt(summary), accounts))
    )
    full = words.share(total.full, total.requests)
    found.append((f"{total.full:,}", "answers in full", full))
    found.append((f"{total.output:,}", "output tokens charged", ""))
    found.append((words.usd(total.cost), "cost", ""))
    return tuple(found)


def rules_told(rules: Rules) -> str:
    """Return which policies were tried."""
    policies = rules.policies.policies
    limits = sum(len(policy.limits) for policy in policies)
    return (
        f"{words.name(rules.directory)}: {len(policies):,}"
        f" {'policy' if len(policies) == 1 else 'policies'}, {words.count(limits, 'limit')},"
        f" digest {rules.policies.digest}"
    )


def provenance(report: Report) -> Section:
    """Return what was replayed and how exact that is."""
    summary, tally = report.summary, report.tally
    rows = [("Traffic", _files(report.files))]
    if summary.first is not None:
        lasted = words.span(summary.last - summary.first)
        first, last = words.moment(summary.first), words.moment(summary.last)
        rows.append(("Span", f"{first} to {last} UTC ({lasted})"))
    rows.append(("Policies", rules_told(report.rules)))
    if report.against is not None:
        rows.append(("Compared with", rules_told(report.against.rules)))
    rows.append(("Left out", _left_out(tally.unreadable, tally.late)))
    rows.append(("Answers", _answers(summary)))
    rows.append(("Clock", CLOCK))
    grids = [Grid("What was replayed", (), tuple((text(key), text(told)) for key, told in rows))]
    if tally.complaints:
        shown = tally.complaints[:MOST_COMPLAINTS]
        known = tally.unreadable + tally.late
        grids.append(
            Grid(
                "Lines that were left out",
                ("File and line", "Why"),
                tuple(
                    (text(f"{words.name(each.file)}:{each.line}"), text(words.sentence(each.why)))
                    for each in shown
                ),
                rest=f"The first {len(shown)} of {known:,}." if known > len(shown) else "",
                folded=True,
            )
        )
    return Section("replayed", "What was replayed", grids=tuple(grids))


def _files(files: tuple[str, ...]) -> str:
    if not files:
        return "not from files"
    names = [words.name(file) for file in files[:MOST_FILES]]
    more = len(files) - MOST_FILES
    return ", ".join(names) + (f" and {words.count(more, 'file')} more" if more > 0 else "")


def _left_out(unreadable: int, late: int) -> str:
    if not unreadable and not late:
        return "Nothing: every line was read."
    parts = []
    if unreadable:
        parts.append(f"{words.count(unreadable, 'line')} that could not be read")
    if late:
        parts.append(f"{words.count(late, 'line')} too far out of order")
    return f"{words.listed(parts)}. They count nowhere on this page."


def _answers(summary: Summary) -> str:
    total = summary.total
    if not total.requests:
        return "None."
    if not summary.guessed:
        return "All as they were recorded: what they cost is exact."
    told = words.share(summary.guessed, total.requests)
    return (
        f"{words.count(summary.guessed, 'request')} ({told})"
        f" {'has' if summary.guessed == 1 else 'have'} an answer that nobody has seen"
        " (refused when recorded, or not noted): each was taken to be as long as the others of its"
        " account, or else of its model. What they cost is a guess; all others are as recorded."
    )
