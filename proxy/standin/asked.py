"""What any request for an answer asks for, whatever dialect it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.standin.directives import NONE, Directives

if TYPE_CHECKING:
    from proxy.standin.documents import Json


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that will be answered.

    prompt_tokens: what the prompt costs
    text_seed:     decides the words
    digest:        follows from all but how the answer is sent (streamed or not); decides the ids
    n:             answers made
    cap:           the most tokens of one choice, reasoning included; None: no cap
    top_logprobs:  alternatives for each token; None: no log-probabilities at all
    tool:          (name, schema of its arguments) of the function to call
    schema:        of the JSON document to answer with; an empty one: any object; None: prose
    thinks:        reasons, also where no directive says for how long
    thought_cap:   the most tokens of reasoning; None: no cap
    shows:         reasoning is sent
    compact:       JSON is written without spaces between its words
    """

    model: str
    prompt_tokens: int
    text_seed: bytes
    digest: bytes
    n: int = 1
    cap: int | None = None
    stream: bool = False
    include_usage: bool = False
    top_logprobs: int | None = None
    tool: tuple[str, Json] | None = None
    schema: Json | None = None
    directives: Directives = NONE
    thinks: bool = False
    thought_cap: int | None = None
    shows: bool = False
    compact: bool = False

    @property
    def cached(self) -> int:
        """Prompt tokens that are told as read from a cache."""
        return min(self.directives.cached, self.prompt_tokens)
