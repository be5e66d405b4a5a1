"""The results of a replay as lines for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.journal.sentences import printable
from proxy.replay.results import by_name, most_changed, most_limited
from proxy.replay.summary import EFFECTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from proxy.replay.difference import Difference
    from proxy.replay.summary import Summary

FEW, LONGEST = 10, 64


def summary_lines(summary: Summary) -> Iterator[str]:
    """Yield what became of some traffic."""
    total = summary.total
    if summary.first is None:
        yield "no request: nothing was played"
        return
    span = f"{moment(summary.first)} to {moment(summary.last)}"
    yield f"{total.requests:,} requests of {len(summary.accounts):,} accounts, {span}"
    counts = dict(zip(EFFECTS, total.effects, strict=True))
    told = [
        f"{word} {counts[name]:,} ({share(counts[name], total.requests)})"
        for name, word in (
            ("allow", "allowed"),
            ("shape", "shaped"),
            ("delay", "delayed"),
            ("refuse", "refused"),
            ("free", "not metered"),
            ("error", "no request"),
        )
        if counts[name]
    ]
    yield "  " + ", ".join(told)
    felt = sum(1 for story in summary.accounts.values() if story.limited)
    yield f"  {felt:,} accounts felt it ({share(felt, len(summary.accounts))})"
    yield (
        f"  {total.prompt:,} prompt and {total.output:,} output tokens, {total.cost / 1e6:,.2f} usd"
    )
    if summary.guessed:
        yield f"  {summary.guessed:,} answers that nobody has seen were taken to be like the others"
    yield ""
    yield from _limits(summary)
    top = most_limited(summary, FEW)
    if top:
        yield ""
        yield from table(
            ("account", "plan", "requests", "refused", "shaped", "delayed", "met most"),
            [
                (
                    shown(name),
                    shown(story.plan),
                    f"{story.requests:,}",
                    f"{story.effects[3]:,}",
                    f"{story.effects[1]:,}",
                    f"{story.effects[2]:,}",
                    max(story.limits, key=lambda each: (story.limits[each], each), default=""),
                )
                for name, story in top
            ],
        )


def difference_lines(difference: Difference, against: str) -> Iterator[str]:
    """Yield what two policy sets decide otherwise."""
    of = difference.requests
    yield f"against {against}: {difference.changed:,} of {of:,} requests are decided otherwise"
    if not difference.changed:
        return
    changed = difference.accounts.values()
    yield (
        f"  newly refused {difference.new_refusals:,} ({share(difference.new_refusals, of)}),"
        f" newly limited {sum(each.limited for each in changed):,},"
        f" eased {sum(each.eased for each in changed):,},"
        f" otherwise shaped {sum(each.other for each in changed):,};"
        f" {len(difference.accounts):,} accounts"
    )
    for title, groups in (("limit", difference.limits), ("account", difference.accounts)):
        yield ""
        yield from table(
            (title, "newly refused", "newly limited", "eased", "other"),
            [
                (
                    shown(name),
                    f"{each.refused:,}",
                    f"{each.limited:,}",
                    f"{each.eased:,}",
                    f"{each.other:,}",
                )
                for name, each in most_changed(groups)[:FEW]
            ],
        )
    yield ""
    for example in difference.examples[:FEW]:
        yield (
            f"  {moment(example.at)} {shown(example.account)} {shown(example.model)}:"
            f" {example.before} -> {example.after}"
        )
        for word, reasons in (("was", example.why_before), ("now", example.why_after)):
            yield from (f"      {word}: {reason}" for reason in reasons)


def _limits(summary: Summary) -> Iterator[str]:
    rows = [
        (
            f"{story.policy}/{story.limit}",
            story.sentence + (" (shadow)" if story.mode == "shadow" else ""),
            f"{story.requests:,}",
            f"{story.no_room:,}",
            f"{len(story.accounts):,}",
        )
        for story in by_name(summary.limits.values())
    ]
    if rows:
        yield from table(("limit", "says", "requests", "no room", "accounts"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table; what is a number stands to the right.

    >>> list(table(("name", "n"), [("a", "1,000"), ("long", "2")]))
    ['  name      n', '  a     1,000', '  long      2']
    """
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    numbers = [
        all(_number(line[column]) for line in lines[1:]) and len(lines) > 1
        for column in range(len(head))
    ]
    for line in lines:
        cells = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, numbers, strict=True)
        ]
        yield ("  " + "  ".join(cells)).rstrip()


def shown(name: str) -> str:
    r"""Return a name as a terminal may have it: others have chosen it.

    >>> shown("a\x1b[2J"), len(shown("x" * 512))
    ('a\\x1b[2J', 64)
    """
    told = printable(name[: LONGEST + 1])
    return told if len(told) <= LONGEST else told[: LONGEST - 1] + "\u2026"


def moment(at: int) -> str:
    """Return a moment in UTC, to the second.

    >>> moment(1_795_435_200_123_457)
    '2026-11-23 12:00:00'
    """
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def share(part: int, whole: int) -> str:
    """Return a share in percent, to three digits.

    >>> share(1, 3), share(0, 0)
    ('33.3%', '0%')
    """
    return f"{100 * part / whole:.3g}%" if whole else "0%"


def _number(text: str) -> bool:
    return text.replace(",", "").isdigit()
