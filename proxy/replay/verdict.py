"""What a decision is other than a case expects, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.quantities import format_duration

if TYPE_CHECKING:
    from proxy.core.decision import Decision, Reason
    from proxy.replay.script import ExpectText

FLAGGED, RAISED = "limit.flagged", "limit.raised"
ASIDE = frozenset({FLAGGED, RAISED})  # they change nothing about the request


def judged(expect: ExpectText, decision: Decision) -> list[str]:
    """Return what a decision is other than expected."""
    got = f"got {told(decision)}"
    if expect.shadow is not None and not named(decision.shadowed, expect.shadow):
        return [f"expected {expect.shadow} to refuse in shadow, {got}"]
    reasons = named(decision.reasons, expect.limit)
    decides = any(reason.code not in ASIDE for reason in reasons)
    if decision.effect != expect.effect or (expect.limit is not None and not decides):
        by = f" by {expect.limit}" if expect.limit else ""
        return [f"expected {expect.effect}{by}, {got}"]
    wrongs = []
    if expect.code is not None and all(reason.code != expect.code for reason in reasons):
        wrongs.append(f"expected {expect.code}, {got}")
    if expect.shape is not None and not any(
        expect.shape in {name, name.rpartition("/")[2]} for name in decision.shape.names
    ):
        wrongs.append(f"expected the shape {expect.shape}, {got}")
    for limit, code, does in (
        (expect.flag, FLAGGED, "flag"), (expect.raises, RAISED, "raise the level"),
    ):  # fmt: skip
        if limit is not None and all(
            reason.code != code for reason in named(decision.reasons, limit)
        ):
            wrongs.append(f"expected {limit} to {does}, {got}")
    if expect.level is not None and expect.level != decision.level:
        wrongs.append(f"expected the level {expect.level}, got {decision.level}")
    return [*wrongs, *_waits(expect, decision, got)]


def _waits(expect: ExpectText, decision: Decision, got: str) -> list[str]:
    """Return what a refusal's wait is other than expected."""
    wait, wanted = decision.retry_after, expect.retry_after
    if wanted is None:
        return []
    if wanted.never:
        return [] if wait is None else [f"expected that waiting never helps, {got}"]
    if wait is None or not within(wait, wanted.above, wanted.below):
        return [f"expected another wait, {got}"]
    return []


def named(reasons: tuple[Reason, ...], limit: str | None) -> list[Reason]:
    """Return the reasons that a limit gave, called by its name alone or with its policy's."""
    return [
        reason
        for reason in reasons
        if limit in {None, reason.limit, f"{reason.policy}/{reason.limit}"}
    ]


def told(decision: Decision) -> str:
    """Return a decision as a person would say it."""
    text = str(decision.effect)
    if decision.shape.names:
        text += f" ({', '.join(decision.shape.names)})"
    by = [reason for reason in decision.reasons if reason.code not in ASIDE]
    if by:
        text += " by " + ", ".join(title(reason) for reason in by)
    if decision.retry_after is not None:
        text += f" (fits in {format_duration(decision.retry_after)})"
    elif any(reason.code == "limit.never_fits" for reason in by):
        text += " (never fits)"
    for word, found in (
        ("level raised by", [reason for reason in decision.reasons if reason.code == RAISED]),
        ("flagged by", [reason for reason in decision.reasons if reason.code == FLAGGED]),
        ("in shadow", decision.shadowed),
    ):
        if found:
            text += f", {word} " + ", ".join(title(reason) for reason in found)
    return text


def title(reason: Reason) -> str:
    """Return what a reason is called: a limit or capability by its name, a standing by its code."""
    if reason.code.startswith("standing."):
        return reason.code
    return f"{reason.policy}/{reason.limit}"


def within(number: int, above: int | None, below: int | None) -> bool:
    """Return whether a number is between two ends, which are left out."""
    return (above is None or number > above) and (below is None or number < below)
