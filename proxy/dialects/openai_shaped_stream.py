"""Chunks of a stream under a shape, and the native ending where the shape ends the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy.core.errors import UpstreamGarbageError
from proxy.dialects.openai_fields import dumped
from proxy.dialects.openai_trim import Trim
from proxy.dialects.openai_usage import counted_usage, indexed, most_choices

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.core.shape import Shape
    from proxy.dialects.openai_trim import Form
    from proxy.dialects.openai_usage import Reported

# Of a chunk, what is not repeated in those that we make ourselves.
_OWN = frozenset(
    {"choices", "usage", "obfuscation", "error", "prompt_logprobs", "prompt_token_ids"}
)
DONE = b"data: [DONE]\n\n"


class ChunkShaper:
    """Applies a shape to the chunks of one stream.

    expected: the choices that must finish; `finished`: why each has, by its index
    """

    __slots__ = ("_facts", "_form", "_head", "_most", "_trim", "expected", "finished")

    def __init__(self, form: Form, facts: RequestFacts, shape: Shape, counter: str) -> None:
        self._form = form
        self._facts = facts
        self._trim = Trim(form, shape, counter, streamed=True)
        self._most = most_choices(facts, shape)
        self._head: dict[str, Any] = {}
        self.expected = min(facts.choices, self._most or facts.choices)
        self.finished: dict[int, str] = {}

    @property
    def spent(self) -> bool:
        """The answer must end: more was to be given than may be."""
        return self._trim.ration.spent

    @property
    def tokens(self) -> int:
        """What has been given."""
        return self._trim.ration.tokens

    @property
    def threads(self) -> int:
        """How many threads are being remembered."""
        return self._trim.ration.threads

    def shape(self, chunk: dict[str, Any]) -> bool:
        """Apply the shape; return whether the chunk changed. Raises UpstreamGarbageError."""
        changed = self._trim.answer(chunk)
        choices = chunk.get("choices")
        if not choices:
            return changed
        if not isinstance(choices, list):
            raise UpstreamGarbageError("A chunk of the answer has no list of choices.")
        if not self._head:
            self._head = {name: value for name, value in chunk.items() if name not in _OWN}
        kept = []
        said = False
        for index, choice in indexed(choices):
            if self._most is not None and index >= self._most:
                continue
            touched = self._trim.choice(index, choice, self._form.delta)
            touched = self._finish(index, choice) or touched
            said = said or touched
            if not touched or not self._form.says_nothing(choice):
                kept.append(choice)
        if len(kept) < len(choices) or said:
            chunk["choices"] = kept
            chunk.pop("obfuscation", None)  # it hides the length of a text that is another now
            return True
        return changed

    def given(self, *, null_usage: bool) -> bytes:
        """Return the events with what was held back, and has become whole."""
        given, self._trim.given = self._trim.given, []
        return b"".join(
            self._event(index, delta, None, null_usage=null_usage) for index, delta in given
        )

    def rest(self) -> None:
        """Let go of all that is held: the answer has ended by itself."""
        self._trim.release_all()

    def ending(self, reported: Reported) -> bytes:
        """Return the native end of an answer that has reached its most tokens."""
        wants = self._facts.wants_usage
        events = [self.given(null_usage=wants)]
        for index in range(self.expected):
            if index not in self.finished:
                said: object = {} if self._form.delta == "delta" else ""
                self.finished[index] = "length"
                events.append(self._event(index, said, "length", null_usage=wants))
        if wants:
            prompt = self._facts.prompt_tokens if reported[0] is None else reported[0]
            usage = counted_usage(prompt, self.tokens)
            events.append(_event(self._head | {"choices": [], "usage": usage}))
        events.append(DONE)
        return b"".join(events)

    def _finish(self, index: int, choice: dict[str, Any]) -> bool:
        """Note why a choice ended; return whether it did not, since something was cut off."""
        reason = choice.get("finish_reason")
        if not isinstance(reason, str):
            return False
        self._trim.release(index)
        if index in self._trim.lost:
            choice["finish_reason"] = None
            return True
        self.finished[index] = reason
        return False

    def _event(self, index: int, said: object, reason: str | None, *, null_usage: bool) -> bytes:
        choice = {"index": index, self._form.delta: said, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if null_usage else {}
        return _event(self._head | {"choices": [choice]} | usage)


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % dumped(chunk)
