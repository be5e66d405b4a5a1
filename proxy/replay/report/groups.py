"""What became of the requests of each plan, model and account; levels, reasons and changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.standing import Level
from proxy.replay.report import words
from proxy.replay.report.charts import STACK
from proxy.replay.report.grid import (
    Cell,
    Grid,
    Section,
    dollars,
    left_out,
    number,
    part,
    pieces,
    text,
    when,
)
from proxy.replay.report.opening import effect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.replay.summary import Story, Summary

MOST_GROUPS, MOST_ACCOUNTS, MOST_CODES, MOST_MET = 40, 25, 60, 4
PROMPT = "Prompt tokens"
NUMBERS = (
    "Requests", "Refused", "Shaped", "Delayed", "Answers in full", PROMPT,
    "Output tokens", "Cost",
)  # fmt: skip
SAYS = {
    "limit.exceeded": "a limit had no room, and the request was refused",
    "limit.never_fits": "the request is larger than the whole limit",
    "limit.shaped": "a limit had no room, and the answer was shaped",
    "limit.flagged": "a limit had no room, and only said so",
    "limit.raised": "a limit had no room, and raised the account's level",
    "limit.shadow": "a limit in shadow had no room: it decided nothing",
    "capability.forbidden": "a policy forbids what the request uses",
    "capability.required": "a policy asks for something that the account is not",
    "capability.shadow": "a capability in shadow was not met: it decided nothing",
    "standing.watch": "the account stands at watch",
    "standing.guarded": "the account stands at guarded",
    "standing.restricted": "the account stands at restricted",
    "standing.contained": "the account stands at contained",
}
VERBS = {
    "clamp": "lowered in the request",
    "strip": "taken out of the request",
    "hide": "hidden in the answer",
    "drop": "taken out of the request: it was another's",
    "truncate": "the answer was to end after so many tokens",
    "delay": "the answer was held back",
}


def groups(anchor: str, noun: str, stories: Mapping[str, Story], nobody: str) -> Section:
    """Return a row for each plan or model, those with the most requests first."""
    title = f"By {noun}"
    if not stories:
        return Section(anchor, title, (f"There is no {noun}: no request was replayed.",))
    ordered = sorted(stories.items(), key=lambda each: (-each[1].requests, each[0]))
    shown = ordered[:MOST_GROUPS]
    rows = tuple((text(words.name(name, nobody)), *_numbers(story)) for name, story in shown)
    rest = left_out(len(ordered), len(shown), noun, "requests")
    return Section(anchor, title, grids=(Grid(title, (noun.title(), *NUMBERS), rows, rest=rest),))


def _numbers(story: Story, *, prompt: bool = True) -> tuple[Cell, ...]:
    whole = story.requests
    bar = pieces(tuple((each, effect(story, each)) for each in STACK), whole)
    return (
        Cell(f"{whole:,}", str(whole), number=True, bar=bar),
        *(
            part(effect(story, each), whole, each if each == "refuse" else "")
            for each in ("refuse", "shape", "delay")
        ),
        part(story.full, whole),
        *((number(story.prompt),) if prompt else ()),
        number(story.output),
        dollars(story.cost),
    )


def accounts(summary: Summary) -> Section:
    """Return the accounts that were limited most, and those that took most."""
    stories, title = summary.accounts, "Top accounts"
    if not stories:
        return Section("accounts", title, ("There is no account: no request was replayed.",))
    limited = {name: story for name, story in stories.items() if story.limited}
    took = {name: story for name, story in stories.items() if story.output}
    lead = () if limited else ("No account had a request shaped, delayed or refused.",)
    if not took:
        lead = (*lead, "No output was charged to any account.")
    if limited:
        lead = (*lead, "What an account met are the limits that had no room for it, how often.")
    grids = (
        _accounts("Most limited", limited, lambda story: story.limited, "limited requests"),
        _accounts("Most output", took, lambda story: story.output, "output tokens"),
    )
    return Section("accounts", title, lead, tuple(grid for grid in grids if grid.rows))


def _accounts(
    title: str, stories: Mapping[str, Story], by: Callable[[Story], int], told: str
) -> Grid:
    ordered = sorted(stories.items(), key=lambda each: (-by(each[1]), each[0]))
    shown = ordered[:MOST_ACCOUNTS]
    heads = ("Account", *(each for each in NUMBERS if each != PROMPT), "Met", "First limited")
    rows = tuple(
        (
            text(words.name(name), f"{words.name(story.org)}, plan {words.name(story.plan)}"),
            *_numbers(story, prompt=False),
            _met(story),
            when(story.first),
        )
        for name, story in shown
    )
    rest = left_out(len(ordered), len(shown), "account", told)
    return Grid(title, heads, rows, rest=rest)


def _met(story: Story) -> Cell:
    ordered = sorted(story.limits.items(), key=lambda each: (-each[1], each[0]))
    names = [f"{words.name(name)} \u00d7{found:,}" for name, found in ordered[:MOST_MET]]
    if len(ordered) > MOST_MET:
        names.append(f"and {words.count(len(ordered) - MOST_MET, 'other')}")
    levels = [f"{found:,} at {level}" for level, found in sorted(story.levels.items())]
    told = names + levels
    if not told:
        return text(words.DASH, tone="none")
    return Cell(told[0], str(sum(story.limits.values())), tone="met", notes=tuple(told[1:]))


def levels(summary: Summary) -> Section:
    """Return what was decided at each level of standing above clear."""
    found, title = summary.total.levels, "Levels"
    if not found:
        return Section("levels", title, ("Every request was decided at the level clear.",))
    rows = []
    for level in Level:
        if level in found:
            whose = sum(1 for story in summary.accounts.values() if level in story.levels)
            rows.append((
                text(level.value),
                part(found[level], summary.total.requests),
                part(whose, len(summary.accounts)),
            ))  # fmt: skip
    about = "Requests that were decided while their account stood at a level above clear."
    return Section(
        "levels", title, (about,), (Grid(title, ("Level", "Requests", "Accounts"), tuple(rows)),)
    )


def reasons(summary: Summary) -> Section:
    """Return reasons, changes and errors, by their codes."""
    told = (
        ("Reasons", "Reason", summary.reasons, "No decision had a reason to be other than allow."),
        ("Changes", "Change", summary.changes, "Nothing was changed in a request or an answer."),
        ("Errors", "Error", summary.errors, "Every request was one that Weir serves."),
    )
    lead = tuple(empty for _, _, counts, empty in told if not counts)
    if summary.reasons or summary.changes:
        lead = ("A request may have several reasons and changes; each is counted.", *lead)
    grids = tuple(_codes(title, head, counts) for title, head, counts, _ in told if counts)
    return Section("reasons", "Reasons and changes", lead, grids)


def _codes(title: str, head: str, counts: Mapping[str, int]) -> Grid:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    shown = ordered[:MOST_CODES]
    rows = tuple((_code(code), number(found)) for code, found in shown)
    rest = left_out(len(ordered), len(shown), "code", "times")
    return Grid(title, (head, "Times"), rows, rest=rest)


def _code(code: str) -> Cell:
    verb, _, what = code.partition(".")
    if code in SAYS:
        return text(words.name(code), SAYS[code])
    if verb in VERBS:
        return text(words.name(code), f"{what.replace('_', ' ')}: {VERBS[verb]}")
    return text(words.name(code))
