"""The targets: each takes bytes, and raises where what must hold of them does not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from answering import answer
from reading import read, route, splices, sse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _targets() -> Iterator[tuple[str, Callable[[bytes], None]]]:
    yield "sse", sse
    yield "splice", splices
    yield "routes", route
    bodies = ("openai.chat", "openai.completions", "openai.embeddings", "openai.responses",
              "openai.input_tokens", "anthropic.messages", "anthropic.count_tokens")  # fmt: skip
    for name in bodies:
        yield f"read.{name}", partial(read, name)
    for name in (*bodies, "openai.stored"):
        if name not in ("openai.input_tokens", "anthropic.count_tokens"):
            yield f"answer.{name}", partial(answer, name)


TARGETS = dict(_targets())
