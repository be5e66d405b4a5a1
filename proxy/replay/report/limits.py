"""What each limit did, and how close everybody came to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.replay.report import words
from proxy.replay.report.charts import bin_told, histogram
from proxy.replay.report.grid import Cell, Grid, Section, left_out, number, part, text, when
from proxy.replay.summary import BINS

if TYPE_CHECKING:
    from proxy.policy.compiled import PolicySet
    from proxy.replay.report.given import Report
    from proxy.replay.summary import LimitStory

MOST_LIMITS = 150
HEADS = (
    "Limit",
    "Requests",
    "No room",
    "What came of it",
    "Accounts",
    "First",
    "What was left, 0 to 100\u00a0%",
)
CAME = (
    ("refused", "{} refused"),
    ("shaped", "{} shaped"),
    ("raised", "{} raised a level"),
    ("flagged", "{} flagged"),
    ("shadowed", "{} would have counted"),
)
LEAD = (
    "Each limit as its policy says it. What was left is counted after each request, as a share of"
    " the amount: all of it on the right, nothing on the left. The plots' heights are logarithms,"
    " so that a handful can be seen beside a million; the numbers are exact. A limit at whose left"
    " nobody stands could be lower; one that many stand at is felt."
)


def limits(report: Report) -> Section:
    """Return a row a limit, those without room first."""
    stories = sorted(report.summary.limits.values(), key=_order)
    idle = _idle(report.rules.policies, set(report.summary.limits))
    if not stories:
        return Section("limits", "By limit", ("No request met a limit.", *idle))
    shown = stories[:MOST_LIMITS]
    rest = left_out(len(stories), len(shown), "limit", "requests without room")
    grids = (
        Grid("Limits", HEADS, tuple(_row(story) for story in shown), rest=rest),
        Grid(
            "What was left, in numbers",
            ("Limit", *(bin_told(index) for index in range(BINS))),
            tuple(
                (text(_name(story)), *(number(each) for each in story.headroom)) for story in shown
            ),
            about="Requests by the share of the limit's amount that was left after them.",
            folded=True,
        ),
    )
    return Section("limits", "By limit", (LEAD, *idle), grids)


def _order(story: LimitStory) -> tuple[int, int, int, str, str]:
    closest = next((index for index, each in enumerate(story.headroom) if each), BINS)
    return (
        -story.no_room,
        closest,
        -story.headroom[min(closest, BINS - 1)],
        story.policy,
        story.limit,
    )


def _name(story: LimitStory) -> str:
    return words.name(f"{story.policy}/{story.limit}")


def _row(story: LimitStory) -> tuple[Cell, ...]:
    does = "" if story.otherwise == "level" else f", otherwise {story.otherwise}"
    notes = [words.aloud(story.sentence) + does]
    shadow = story.mode == "shadow"
    if shadow:
        notes.append("shadow: only watched, it decides nothing")
    came = [
        told.format(f"{found:,}") for field, told in CAME if (found := getattr(story, field, 0))
    ]
    few = sum(story.headroom[: BINS // 4])
    left = histogram(f"What was left of {_name(story)}", story.headroom, shadow=shadow)
    closest = next((index for index, each in enumerate(story.headroom) if each), BINS - 1)
    near = f"under 5{words.SPACE}%: {_of(story.headroom[0], story.requests)}"
    quarter = f"under 25{words.SPACE}%: {_of(few, story.requests)}"
    told = (near, quarter) if few else (f"never below {closest * (100 // BINS)}{words.SPACE}%",)
    return (
        text(_name(story), *notes),
        number(story.requests),
        part(story.no_room, story.requests, "refuse" if story.refused else ""),
        text(came[0] if came else words.DASH, *came[1:], tone="" if came else "none"),
        number(len(story.accounts)),
        when(story.first),
        Cell("", str(closest), notes=told, histogram=left),
    )


def _of(found: int, whole: int) -> str:
    return f"{found:,} ({words.share(found, whole)})" if found else "0"


def _idle(policies: PolicySet, met: set[tuple[str, str]]) -> tuple[str, ...]:
    """Return a sentence about limits that no request met, more often a slip than a wish."""
    idle = [
        words.name(f"{policy.name}/{limit.name}")
        for policy in policies.policies
        for limit in policy.limits
        if (policy.name, limit.name) not in met
    ]
    if not idle:
        return ()
    names = [*idle[:30], words.count(len(idle) - 30, "other")] if len(idle) > 31 else idle  # noqa: PLR2004
    return (f"No request met {words.count(len(idle), 'limit')}: {words.listed(names)}.",)
