"""The models file in force: prices, bounds and counters by model name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.dialects.tokens import TokenRules
from proxy.policy.compiled import Model
from proxy.policy.match import one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.policy.schema import ModelText

MICRO = 1_000_000
REMEMBERED, LONGEST_REMEMBERED = 10_000, 256
DEFAULT = Model("*")


class Models:
    """All models; the most specific pattern wins, the one with the longest beginning."""

    def __init__(self, models: Sequence[Model] = ()) -> None:
        ordered = sorted(models, key=lambda model: -specific(model.pattern))
        self._models: list[tuple[Callable[[str], bool], Model]] = [
            (one_of([model.pattern]), model) for model in ordered
        ]
        self._found: dict[str, tuple[Model, TokenRules]] = {}

    def find(self, name: str) -> Model:
        """Return a model; one that no pattern fits gets the defaults and costs nothing."""
        return self._look(name)[0]

    def rules(self, name: str) -> TokenRules:
        """Return what a dialect needs to know of a model."""
        return self._look(name)[1]

    def _look(self, name: str) -> tuple[Model, TokenRules]:
        found = self._found.get(name)
        if found is None:
            model = next((model for fits, model in self._models if fits(name)), DEFAULT)
            found = (
                model,
                TokenRules(model.counter, model.max_output_tokens, model.reserve_output_tokens),
            )
            # Names are the clients' own: neither many nor long ones may fill the memory.
            if len(self._found) < REMEMBERED and len(name) <= LONGEST_REMEMBERED:
                self._found[name] = found
        return found


def specific(pattern: str) -> int:
    """Return how much of a pattern is literal before its first wildcard; a whole name is most.

    >>> specific("gpt-4*") < specific("gpt-4o*") < specific("gpt-4o")
    True
    """
    for index, character in enumerate(pattern):
        if character in "*?[":
            return 2 * index
    return 2 * len(pattern) + 1


def model_of(text: ModelText) -> Model:
    """Return the model that a text means. Prices become micro-dollars per million tokens."""
    prices = text.prices
    cached = prices.input if prices.cached_input is None else prices.cached_input
    reserve = text.reserve_output_tokens
    return Model(
        pattern=text.model,
        input_price=round(prices.input * MICRO),
        cached_price=round(cached * MICRO),
        output_price=round(prices.output * MICRO),
        counter=text.counter,
        max_output_tokens=text.max_output_tokens,
        reserve_output_tokens=text.max_output_tokens if reserve is None else reserve,
    )
