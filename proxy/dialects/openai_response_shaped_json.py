"""The reader of a JSON response under a shape: held to its end, given as the shape leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.facts import Usage
from proxy.dialects.arriving import KeptBody
from proxy.dialects.openai_response_seen import Seen, merge_usage
from proxy.dialects.openai_response_shaped_text import Trim
from proxy.dialects.openai_response_text import items_of, written
from proxy.dialects.openai_usage import NO_USAGE, parse_answer
from proxy.dialects.ration import Ration

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.dialects.openai_response_shaped import Cleaning
    from proxy.dialects.openai_response_text import Told
    from proxy.dialects.openai_usage import Reported

# What the client itself has said, in a list of input items.
_CLIENTS = frozenset({"user", "system", "developer"})


class ShapedJsonReader:
    """A JSON body: nothing is given before it is whole.

    most: tokens that may be given; None: no end
    """

    __slots__ = (
        "_cleaning", "_complete", "_counter", "_kept", "_most", "_prompt", "_reported", "_seen",
        "cut",
    )  # fmt: skip

    def __init__(
        self, cleaning: Cleaning, most: int | None, counter: str, facts: RequestFacts
    ) -> None:
        self._cleaning = cleaning
        self._most = most
        self._counter = counter
        self._prompt = facts.prompt_tokens
        self._seen = Seen(counter, stored=facts.stored)
        self._reported: Reported = NO_USAGE
        self._kept = KeptBody()
        self._complete = self.cut = False

    @property
    def usage(self) -> Usage:
        """Tokens; nothing is relayed before the end."""
        return Usage(*self._reported, relayed=self._seen.meter.tokens)

    @property
    def complete(self) -> bool:
        """The whole body was seen."""
        return self._complete

    @property
    def errored(self) -> bool:
        """The body reports an error under a good status."""
        return self._seen.errored

    @property
    def pending(self) -> bool:
        """The response is queued or in progress."""
        return self._seen.unfinished

    @property
    def objects(self) -> tuple[str, ...]:
        """The response's id, and those of its items."""
        return self._seen.objects

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why it ended: 'completed', 'incomplete:max_output_tokens', 'failed' or another."""
        return self._seen.finish_reasons

    def feed(self, chunk: bytes) -> bytes:
        """Keep the chunk."""
        self._kept.add(chunk)
        return b""

    def end(self) -> bytes:
        """Return the body as the shape leaves it; raises UpstreamGarbageError."""
        if self._complete:
            return b""
        whole = self._kept.so_far()
        self._kept.forget()
        body = parse_answer(whole)
        self._reported = merge_usage(NO_USAGE, body.get("usage"))
        if body.get("object") == "list":
            changed = self._clean_list(body)
        else:
            changed = self._cleaning.response(body)
            if self._most is not None:
                trim = Trim(Ration(self._most, self._counter))
                changed = trim.settle(body) or changed
                self.cut = trim.ration.spent
                if self.cut:
                    body = trim.incomplete(body, self._reported, self._prompt)
        self._seen.note_body(body)
        self._complete = True
        return written(body) if changed else whole

    def broken(self, message: str, code: str) -> bytes:  # noqa: ARG002 - JSON has no such ending
        """Return nothing: nothing was given."""
        return b""

    def _clean_list(self, body: Told) -> bool:
        """Shape what the model has said in a list of input items: it has earlier answers too."""
        data = body.get("data")
        items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
        said: Told = {"output": [item for item in items if _is_models(item)]}
        changed = self._cleaning.response(said)
        if self._most is not None:
            changed = Trim(Ration(self._most, self._counter)).settle(said) or changed
        if changed:
            kept = {id(item) for item in items_of(said)}
            body["data"] = [item for item in items if id(item) in kept or not _is_models(item)]
        return changed


def _is_models(item: Told) -> bool:
    return str(item.get("role")) not in _CLIENTS and not str(item.get("type")).endswith("_output")
