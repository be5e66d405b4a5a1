"""Shapes of a request to the Messages API: what is lowered or taken out before it goes upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.dialects import splice
from proxy.dialects.draft import Draft, lower_effort

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.core.shape import Shape
    from proxy.dialects.base import Forwarded

# The least that the Messages API thinks with.
MIN_BUDGET = 1_024
# Types of `thinking` that take a `display`.
_SHOWN = frozenset({"enabled", "adaptive"})
# Efforts that this API does not know; its lowest is in their place.
_BELOW_LOW = frozenset({"none", "minimal"})


def shaped(body: bytes, facts: RequestFacts, shape: Shape) -> Forwarded:
    """Return the body under a shape; never raises for one that `read` accepted."""
    draft = Draft(body)
    _lower_cap(draft, shape.output_tokens, "clamp")
    # A stream is ended where the ration ends; of a JSON body nobody shall pay for the rest.
    lowered = not facts.stream and _lower_cap(draft, shape.truncate, "truncate")
    if shape.truncate is not None and not lowered:
        draft.note("truncate", "output_tokens", "", shape.truncate)
    _lower_effort(draft, shape)
    if not thinks(draft.asked):
        draft.clamp_temperature(shape)
    if shape.hide_reasoning:
        _hide_thinking(draft)
    return draft.forwarded()


def thinks(asked: dict[str, object]) -> bool:
    """Return whether thinking was asked for."""
    thinking = asked.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") not in (None, "disabled")


def _lower_cap(draft: Draft, most: int | None, verb: str) -> bool:
    """Lower `max_tokens`; thinking must stay below it. Return whether it was lowered."""
    asked = draft.asked.get("max_tokens")
    if most is None or not isinstance(asked, int) or asked <= most:
        return False
    draft.set("max_tokens", most)
    draft.note(verb, "output_tokens", asked, most)
    thinking = draft.asked.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if isinstance(budget, int) and budget >= most:
        if most - 1 >= MIN_BUDGET:
            _set_inside(draft, "thinking", "budget_tokens", most - 1)
            draft.note("clamp", "thinking", budget, most - 1)
        else:
            draft.remove("thinking")
            draft.note("clamp", "thinking", budget)
    return True


def _lower_effort(draft: Draft, shape: Shape) -> None:
    if shape.effort == "none" and thinks(draft.asked):
        draft.note("clamp", "thinking", draft.asked["thinking"]["type"])
        draft.remove("thinking")
    highest = "low" if shape.effort in _BELOW_LOW else shape.effort
    config = draft.asked.get("output_config")
    if isinstance(config, dict):
        asked = config.get("effort")
        lower = lower_effort(asked, highest)
        if lower is not None:
            _set_inside(draft, "output_config", "effort", lower)
            draft.note("clamp", "effort", asked, lower)


def _hide_thinking(draft: Draft) -> None:
    if not thinks(draft.asked):
        return
    thinking = draft.asked["thinking"]
    if thinking.get("display") != "omitted":
        draft.note("hide", "reasoning")
        if thinking["type"] in _SHOWN:
            _set_inside(draft, "thinking", "display", "omitted")


def _set_inside(draft: Draft, outer: str, inner: str, value: object) -> None:
    """Give a member of an object at the top level another value; all else stays, byte for byte."""
    member = next(member for member in splice.members(draft.body) if member.name == outer)
    text = splice.set_member(draft.body[member.value : member.end], inner, orjson.dumps(value))
    draft.body = draft.body[: member.value] + text + draft.body[member.end :]
    draft.asked[outer][inner] = value
