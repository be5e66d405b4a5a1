"""What a decision is other than a case expects, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.quantities import format_duration

if TYPE_CHECKING:
    from proxy.core.decision import Decision, Reason
    from proxy.replay.script import ExpectText

FLAGGED = "limit.flagged"


def judged(expect: ExpectText, decision: Decision) -> list[str]:
    """Return what a decision is other than expected."""
    got = f"got {told(decision)}"
    if expect.shadow is not None and not named(decision.shadowed, expect.shadow):
        return [f"expected {expect.shadow} to refuse in shadow, {got}"]
    reasons = named(decision.reasons, expect.limit)
    if decision.effect != expect.effect or (expect.limit is not None and not reasons):
        by = f" by {expect.limit}" if expect.limit else ""
        return [f"expected {expect.effect}{by}, {got}"]
    wrongs = []
    if expect.code is not None and all(reason.code != expect.code for reason in reasons):
        wrongs.append(f"expected {expect.code}, {got}")
    if expect.shape is not None and not any(
        expect.shape in {name, name.rpartition("/")[2]} for name in decision.shape.names
    ):
        wrongs.append(f"expected the shape {expect.shape}, {got}")
    if expect.flag is not None and not any(
        reason.code == FLAGGED for reason in named(decision.reasons, expect.flag)
    ):
        wrongs.append(f"expected {expect.flag} to flag, {got}")
    wait, wanted = decision.retry_after, expect.retry_after
    if wanted is None:
        return wrongs
    if wanted.never:
        if wait is not None:
            wrongs.append(f"expected that waiting never helps, {got}")
    elif wait is None or not within(wait, wanted.above, wanted.below):
        wrongs.append(f"expected another wait, {got}")
    return wrongs


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
    by = [reason for reason in decision.reasons if reason.code != FLAGGED]
    if by:
        text += " by " + ", ".join(title(reason) for reason in by)
    if decision.retry_after is not None:
        text += f" (fits in {format_duration(decision.retry_after)})"
    elif any(reason.code == "limit.never_fits" for reason in by):
        text += " (never fits)"
    for word, found in (
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
