"""Shapes: what is changed in a request and its answer, and what was changed in the end."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

Number = TypeVar("Number", int, float)

STRIPPABLE = ("logprobs", "logit_bias", "prompt_logprobs", "seed", "echo")
# From least to most; a clamp names the highest that is let through.
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class Shape:
    """A set of changes. What is None, '' or empty changes nothing.

    names:          where it is written, 'policy/shape', sorted
    strip:          of STRIPPABLE: taken out of request and answer
    hide_reasoning: the model's reasoning is not shown
    n, best_of, output_tokens, top_logprobs: the most of each that a request may ask for
    temperature_min, temperature_max: the range of temperatures
    effort:         the highest reasoning effort, of EFFORTS
    truncate:       tokens after which the answer ends, all of its choices together
    delay:          microseconds before the first byte
    """

    names: tuple[str, ...] = ()
    strip: frozenset[str] = field(default_factory=frozenset)
    hide_reasoning: bool = False
    n: int | None = None
    best_of: int | None = None
    output_tokens: int | None = None
    top_logprobs: int | None = None
    temperature_min: float | None = None
    temperature_max: float | None = None
    effort: str = ""
    truncate: int | None = None
    delay: int = 0

    @property
    def empty(self) -> bool:
        """Nothing is changed."""
        return self is NO_SHAPE or (self.body_empty and not self.delay)

    @property
    def body_empty(self) -> bool:
        """Neither request nor answer is changed; at most they wait."""
        return self is NO_SHAPE or all(
            _changes_nothing(getattr(self, each.name))
            for each in fields(self)
            if each.name not in {"names", "delay"}
        )


NO_SHAPE = Shape()


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a shape changed.

    verb:         'clamp', 'strip', 'hide', 'truncate' or 'delay'
    what:         'n', 'logprobs', 'reasoning', 'output_tokens', …
    asked, given: as text; '' where there is nothing to say
    """

    verb: str
    what: str
    asked: str = ""
    given: str = ""

    @property
    def code(self) -> str:
        """The change in two words, for headers and records."""
        return f"{self.verb}.{self.what}"


def combined(shapes: Iterable[Shape]) -> Shape:
    """Return the strictest of all: every strip, the lowest of each cap, the longest delay.

    >>> combined([Shape(n=4, delay=5), Shape(n=1), Shape(effort="low")]).n
    1
    >>> combined([]) is NO_SHAPE
    True
    """
    found = [shape for shape in shapes if shape is not NO_SHAPE]
    if len(found) < 2:  # noqa: PLR2004 - nothing to combine
        return found[0] if found else NO_SHAPE
    low = _lowest([shape.temperature_max for shape in found])
    high = _highest([shape.temperature_min for shape in found])
    if low is not None and high is not None and high > low:
        high = low  # ranges that do not meet: the colder one
    efforts = [shape.effort for shape in found if shape.effort]
    return Shape(
        names=tuple(sorted({name for shape in found for name in shape.names})),
        strip=frozenset().union(*(shape.strip for shape in found)),
        hide_reasoning=any(shape.hide_reasoning for shape in found),
        n=_lowest([shape.n for shape in found]),
        best_of=_lowest([shape.best_of for shape in found]),
        output_tokens=_lowest([shape.output_tokens for shape in found]),
        top_logprobs=_lowest([shape.top_logprobs for shape in found]),
        temperature_min=high,
        temperature_max=low,
        effort=min(efforts, key=EFFORTS.index, default=""),
        truncate=_lowest([shape.truncate for shape in found]),
        delay=max(shape.delay for shape in found),
    )


def _changes_nothing(value: object) -> bool:
    # By identity: a cap of 0 equals False and changes a lot.
    return value is None or value is False or value in ("", frozenset())


def _lowest(values: list[Number | None]) -> Number | None:
    return min((value for value in values if value is not None), default=None)


def _highest(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
