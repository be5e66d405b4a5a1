"""The techniques of campaigns by name."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from proxy.population.campaigns.asking import (
    benchmark,
    harvest,
    probing,
    reasoning,
    scores,
    template_grid,
)
from proxy.population.campaigns.chaining import (
    blob_replay,
    relay,
    rubric,
    self_instruct,
    session_replay,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.population.campaigns.operation import Operation
    from proxy.population.playing import Process


@dataclass(frozen=True, slots=True)
class Technique:
    """What is asked.

    session: one piece of work from its moment on
    each:    requests that it takes, on average
    opening: what comes before the first piece, None for nothing
    door:    the only one for models of OpenAI at which it can be asked, '' where any will do
    """

    session: Callable[[Operation, int], Process]
    each: float = 1.0
    opening: Callable[[Operation], Process] | None = None
    door: str = ""


TECHNIQUES: Mapping[str, Technique] = MappingProxyType({
    "harvest": Technique(harvest),
    "template-grid": Technique(template_grid),
    "self-instruct": Technique(self_instruct, 4.9),
    "benchmark": Technique(benchmark),
    "reasoning": Technique(reasoning, 1.0, probing),
    "blob-replay": Technique(blob_replay, 2.5),
    "logit-sweep": Technique(scores, door="chat"),
    "rubric": Technique(rubric, 2.0),
    "relay": Technique(relay, 2.35),
    "session-replay": Technique(session_replay),
})  # fmt: skip
