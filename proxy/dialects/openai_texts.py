"""Texts and tokens that are sent bare: prompts of legacy completions, inputs of embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.core.errors import RequestError
from proxy.dialects.openai_fields import wrong_type
from proxy.dialects.tokens import count

MAX_TEXTS = 2_048
_EXPECTED = "a string, an array of strings, of tokens or of token arrays"


@dataclass(frozen=True, slots=True)
class Texts:
    """What was sent, each as text; tokens as their numbers.

    tokens: how many tokens were sent as such
    """

    texts: tuple[str, ...]
    lines: tuple[str, ...]
    tokens: int

    def cost(self, counter: str) -> int:
        """Return the tokens of all of it: each text by the counter, each token as one."""
        return sum(count(text, counter) for text in self.texts) + self.tokens

    def turns(self) -> tuple[tuple[str, str], ...]:
        """Return each as a user's turn."""
        return tuple(("user", line) for line in self.lines if line)

    def text(self) -> str:
        """Return all of it, in order."""
        return "\n".join(self.lines)


def texts_of(asked: dict[str, object], name: str) -> Texts:
    """Return what a member says; raises RequestError where it cannot be counted."""
    value = asked.get(name)
    if value is None:
        raise RequestError(f"Missing required parameter: '{name}'.", param=name)
    if isinstance(value, str):
        return Texts((value,), (value,), 0)
    if not isinstance(value, list):
        raise wrong_type(name, _EXPECTED, value)
    if not value:
        raise RequestError(
            f"Invalid '{name}': empty array. Expected an array with minimum length 1.", param=name
        )
    if _are_tokens(value):
        return Texts((), (_spelled(value),), len(value))
    if len(value) > MAX_TEXTS:
        raise RequestError(
            f"Invalid '{name}': array too long. Expected at most {MAX_TEXTS} items.", param=name
        )
    if all(isinstance(item, str) for item in value):
        return Texts(tuple(value), tuple(value), 0)
    for index, item in enumerate(value):
        if not isinstance(item, list) or not item or not _are_tokens(item):
            raise wrong_type(f"{name}[{index}]", "what all other items are", item)
    return Texts((), tuple(map(_spelled, value)), sum(map(len, value)))


def _are_tokens(items: list[object]) -> bool:
    return all(type(item) is int for item in items)  # a boolean is none


def _spelled(tokens: list[object]) -> str:
    return " ".join(map(str, tokens))
