"""The results of a replay as plain values, for programs: the same traffic gives the same bytes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from proxy.replay.summary import EFFECTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.replay.difference import Changed, Difference
    from proxy.replay.summary import LimitStory, Story, Summary

TOP = 20


def summary_dict(summary: Summary) -> dict[str, object]:
    """Return what became of some traffic; times are microseconds since the epoch."""
    return {
        "first": summary.first,
        "last": summary.last if summary.first is not None else None,
        "decisions": _story(summary.total),
        "guessed_answers": summary.guessed,
        "reasons": _sorted(summary.reasons),
        "changes": _sorted(summary.changes),
        "errors": _sorted(summary.errors),
        "limits": [_limit(story) for story in by_name(summary.limits.values())],
        "plans": {name: _story(story) for name, story in sorted(summary.plans.items())},
        "models": {name: _story(story) for name, story in sorted(summary.models.items())},
        "accounts": {
            "count": len(summary.accounts),
            "limited": sum(1 for story in summary.accounts.values() if story.limited),
            "most_limited": [_account(*each) for each in most_limited(summary)],
            "most_output": [_account(*each) for each in most_output(summary)],
        },
        "timeline": {
            "width": summary.timeline.width,
            "slots": [
                {"t": began, **dict(zip(EFFECTS, counts, strict=True))}
                for began, counts in summary.timeline.whole()
            ],
        },
    }


def difference_dict(difference: Difference) -> dict[str, object]:
    """Return what two policy sets decide otherwise."""
    return {
        "requests": difference.requests,
        "changed": difference.changed,
        "new_refusals": difference.new_refusals,
        "newly_limited": sum(each.limited for each in difference.accounts.values()),
        "eased": sum(each.eased for each in difference.accounts.values()),
        "other": sum(each.other for each in difference.accounts.values()),
        "matrix": {
            before: {after: count for after, count in zip(EFFECTS, row, strict=True) if count}
            for before, row in zip(EFFECTS, difference.matrix, strict=True)
            if any(row)
        },
        "limits": {name: _changed(each) for name, each in most_changed(difference.limits)},
        "accounts": {
            "count": len(difference.accounts),
            "most_changed": [
                {"account": name, **_changed(each)}
                for name, each in most_changed(difference.accounts)[:TOP]
            ],
        },
        "examples": [asdict(example) for example in difference.examples],
    }


def by_name(limits: Iterable[LimitStory]) -> list[LimitStory]:
    """Return limits in the order of their names."""
    return sorted(limits, key=lambda story: (story.policy, story.limit))


def most_limited(summary: Summary, most: int = TOP) -> list[tuple[str, Story]]:
    """Return the accounts with the most requests that were shaped, delayed or refused."""
    found = [each for each in summary.accounts.items() if each[1].limited]
    return sorted(found, key=lambda each: (-each[1].limited, each[0]))[:most]


def most_output(summary: Summary, most: int = TOP) -> list[tuple[str, Story]]:
    """Return the accounts that got the most output tokens."""
    found = [each for each in summary.accounts.items() if each[1].output]
    return sorted(found, key=lambda each: (-each[1].output, each[0]))[:most]


def most_changed(changed: dict[str, Changed]) -> list[tuple[str, Changed]]:
    """Return names by how much changed for them, the most first."""
    return sorted(changed.items(), key=lambda each: (-each[1].refused, -each[1].all, each[0]))


def _story(story: Story) -> dict[str, object]:
    return {
        "requests": story.requests,
        **dict(zip(EFFECTS, story.effects, strict=True)),
        "full_fidelity": story.full,
        "prompt_tokens": story.prompt,
        "output_tokens": story.output,
        "cost_usd_micro": story.cost,
        "levels": _sorted(story.levels),
    }


def _account(name: str, story: Story) -> dict[str, object]:
    return {
        "account": name,
        "org": story.org,
        "plan": story.plan,
        **_story(story),
        "limits": _sorted(story.limits),
        "first_limited": story.first,
    }


def _limit(story: LimitStory) -> dict[str, object]:
    return {
        "policy": story.policy,
        "limit": story.limit,
        "sentence": story.sentence,
        "unit": story.unit,
        "amount": story.amount,
        "mode": story.mode,
        "otherwise": story.otherwise,
        "requests": story.requests,
        "no_room": story.no_room,
        "refused": story.refused,
        "shaped": story.shaped,
        "flagged": story.flagged,
        "raised": story.raised,
        "shadowed": story.shadowed,
        "accounts": len(story.accounts),
        "first": story.first,
        "headroom": list(story.headroom),
    }


def _changed(changed: Changed) -> dict[str, object]:
    return asdict(changed)


def _sorted(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
