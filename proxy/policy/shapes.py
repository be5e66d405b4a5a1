"""From what `shapes` says to shapes that run. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from proxy.core.quantities import UNITS, parse_duration
from proxy.core.shape import NO_SHAPE, Shape, combined
from proxy.policy.sentences import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.policy.answers import ShapeText

    # Told which key of which shape is wrong, and how.
    Tell = Callable[[str, str, str], None]

SHORTEST, LONGEST = UNITS["ms"], 60 * UNITS["s"]


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes of one file.

    found: by name, without those that could not be read
    names: all that the file names, in its order
    """

    found: Mapping[str, Shape]
    names: tuple[str, ...]

    def find(self, name: str) -> Shape:
        """Return a shape; NO_SHAPE for one with mistakes. ValueError for one that is not there."""
        if name not in self.names:
            raise ValueError(missing(name, self.names))
        return self.found.get(name, NO_SHAPE)


def missing(name: str, names: tuple[str, ...]) -> str:
    """Return what to say of a shape that is not in the file.

    >>> missing("garded", ("guarded", "restricted"))
    "there is no shape 'garded' (did you mean 'guarded'?)"
    """
    nearest = get_close_matches(name, names, n=1)
    if nearest:
        would_do = f"did you mean {nearest[0]!r}?"
    else:
        would_do = ", ".join(names) or "shapes: {guarded: {clamp: {n: 1}}} in this file"
    return f"there is no shape {shown(name)} ({would_do})"


def shapes_of(
    policy: str, texts: Mapping[str, ShapeText], names: tuple[str, ...], tell: Tell
) -> Shapes:
    """Return the shapes that some texts mean; every mistake in them is told.

    names: all shapes of the file, also those that are no shapes and have been told as such
    """
    own = {name: _own(name, text, tell) for name, text in texts.items()}
    circles: set[str] = set()
    found = {}
    for name, text in texts.items():
        chain = _chain(name, texts)
        if text.extends is not None and text.extends not in names:
            tell(name, "extends", missing(text.extends, names))
        elif chain[-1] == name and len(chain) > 1:
            if name not in circles:
                tell(name, "extends", f"goes in a circle ({' -> '.join(chain)})")
            circles.update(chain)
        whole = combined(own[each] for each in dict.fromkeys(chain) if each in own)
        found[name] = replace(whole, names=(f"{policy}/{name}",))
    return Shapes(found, names)


def _chain(name: str, texts: Mapping[str, ShapeText]) -> list[str]:
    """Return a shape and all that it extends; one that comes again is there twice, and the last."""
    chain = [name]
    while (text := texts.get(chain[-1])) is not None and text.extends is not None:
        again = text.extends in chain
        chain.append(text.extends)
        if again:
            break
    return chain


def _own(name: str, text: ShapeText, tell: Tell) -> Shape:
    """Return what a shape says itself."""
    delay = 0
    if text.delay is not None:
        try:
            delay = parse_duration(text.delay)
        except ValueError:
            tell(name, "delay", f"cannot read {shown(text.delay)} (400ms, 2s)")
        else:
            if not SHORTEST <= delay <= LONGEST:
                tell(name, "delay", f"{text.delay} is out of bounds (1ms to 1m)")
    clamp, warmth = text.clamp, None if text.clamp is None else text.clamp.temperature
    return Shape(
        names=(name,),
        strip=frozenset(text.strip or ()),
        hide_reasoning=text.hide is not None,
        n=None if clamp is None else clamp.n,
        best_of=None if clamp is None else clamp.best_of,
        output_tokens=None if clamp is None else clamp.output_tokens,
        top_logprobs=None if clamp is None else clamp.top_logprobs,
        temperature_min=None if warmth is None else warmth.min,
        temperature_max=None if warmth is None else warmth.max,
        effort="" if clamp is None or clamp.effort is None else clamp.effort,
        truncate=None if text.truncate is None else text.truncate.output_tokens,
        delay=delay,
    )
