"""What an exchange costs in the end, from how it ended and what was told of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.core.facts import Usage
    from proxy.engine.planning import Plan


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens that are charged in the end; `cached` of the `prompt` ones at the cached price."""

    prompt: int = 0
    output: int = 0
    cached: int = 0


NOTHING = Spent()


def spent(plan: Plan, how: str, usage: Usage | None, *, billed: bool, kept: bool = False) -> Spent:
    """Return what an exchange costs.

    how:    'complete', 'error', 'abandoned' or 'broken'
    billed: something was served. Where the provider reported usage for a complete answer it is
            believed; every other ending costs the estimated prompt and what was relayed
    kept:   the answer is still being made: what was reserved stays so
    """
    if kept:
        return Spent(plan.prompt, plan.output)
    if not billed or usage is None:
        return NOTHING
    prompt = plan.prompt if usage.reported_prompt is None else usage.reported_prompt
    cached = min(usage.reported_cached or 0, prompt)
    output = usage.relayed
    if usage.reported_output is not None:
        # Reported usage is the whole exchange, also where the client left just after it. None at
        # all, where there was text, was said before there was any.
        believed = how == "complete" and usage.reported_output > 0
        output = max(usage.reported_output, 0 if believed else usage.relayed)
    return Spent(prompt, output, cached)
