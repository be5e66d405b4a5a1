"""What chat and legacy completions change alike in a request on its way to the model API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.dialects import splice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.core.facts import RequestFacts
    from proxy.core.shape import Shape
    from proxy.dialects.draft import Draft

_USAGE = b'{"include_usage":true}'


def shape_common(
    draft: Draft,
    facts: RequestFacts,
    shape: Shape,
    stripped: Mapping[str, tuple[str, ...]],
    caps: tuple[str, ...],
    native: int | None = None,
) -> None:
    """Apply what both formats have: strips, numbers of answers, temperature, output caps.

    stripped: the members that each strip takes out
    caps:     the names of the output cap, the one to add first
    native:   the cap that holds where none is given; None: none
    """
    for what in sorted(shape.strip):
        draft.strip(stripped.get(what, ()), what)
    draft.clamp("n", shape.n)
    draft.clamp("best_of", shape.best_of)
    best_of = draft.asked.get("best_of")
    if shape.best_of is not None and isinstance(best_of, int):
        draft.clamp("n", best_of)  # the best 4 of 2 would be refused
    draft.clamp_temperature(shape)
    if shape.output_tokens is not None:
        draft.cap(caps, shape.output_tokens, "clamp", native)
    if shape.truncate is not None:
        if not facts.stream:
            # What comes in one body cannot be stopped on its way: nobody shall pay for the rest.
            draft.cap(caps, shape.truncate, "truncate", native)
        draft.note("truncate", "output_tokens", "", shape.truncate)


def with_usage(body: bytes, facts: RequestFacts) -> bytes:
    """Return the body with a stream's usage asked for."""
    if not facts.stream or facts.wants_usage:
        return body
    # Without an escape that could spell a letter, a key that is not seen is not there.
    if b'"stream_options"' not in body and b"\\u00" not in body:
        return splice.add_member(body, "stream_options", _USAGE)
    for member in splice.members(body):
        if member.name == "stream_options":
            options = body[member.value : member.end]
            value = (
                splice.set_member(options, "include_usage", b"true")
                if options.startswith(b"{")
                else _USAGE
            )
            return body[: member.value] + value + body[member.end :]
    return splice.add_member(body, "stream_options", _USAGE)
