"""A response as one object, at any time of its life, and the items of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.standin.answer import CREATED, choices_of, logprobs
from proxy.standin.fields import identity
from proxy.standin.sealed import sealed

if TYPE_CHECKING:
    from proxy.standin.answer import Choice
    from proxy.standin.documents import Json
    from proxy.standin.responses_asked import ResponseAsked

SERVER_ERROR: Json = {
    "code": "server_error",
    "message": "The server had an error while processing your request. Sorry about that!",
}
_CAP = {"reason": "max_output_tokens"}


class Made:
    """A response that was asked for, and all that it will say."""

    def __init__(self, request: ResponseAsked) -> None:
        self.request = request
        self.choice: Choice = choices_of(request.asked)[0]
        self.id = f"resp_{request.asked.digest.hex()}"
        self.cut = self.choice.finish == "length"

    @property
    def output(self) -> list[Json]:
        """The items of the output, as they are at the end."""
        items = [self.reasoning(self.choice.thought)] if self.choice.thought else []
        if self.choice.call is not None:
            return [*items, self.call(self.choice.text, self.status)]
        if self.choice.pieces or not self.cut:
            items.append(self.message([self.part(whole=True)], self.status))
        return items

    @property
    def status(self) -> str:
        """What becomes of the response, and of the item that the cap cuts."""
        return "incomplete" if self.cut else "completed"

    @property
    def usage(self) -> Json | None:
        """The usage, None where the caller wants it withheld."""
        asked = self.request.asked
        if not asked.directives.usage:
            return None
        return {
            "input_tokens": asked.prompt_tokens,
            "input_tokens_details": {"cached_tokens": asked.cached, "cache_write_tokens": 0},
            "output_tokens": self.choice.tokens,
            "output_tokens_details": {"reasoning_tokens": self.choice.reasoning},
            "total_tokens": asked.prompt_tokens + self.choice.tokens,
        }

    def ended(self) -> Json:
        """Return the response at its end."""
        return self.response(
            self.status,
            completed_at=None if self.cut else CREATED,
            incomplete_details=_CAP if self.cut else None,
            output=self.output,
            usage=self.usage,
        )

    def failed(self, error: Json = SERVER_ERROR) -> Json:
        """Return the response that came to an error."""
        return self.response("failed", error=error)

    def response(self, status: str, **more: object) -> Json:
        """Return the response at a time of its life, so far without output."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            **self.request.echo,
            "output": [],
            "usage": None,
            **more,
        }

    def item_id(self, prefix: str) -> str:
        """Return the id of an item of the output."""
        return identity(prefix, self.request.asked.digest, prefix.encode())

    def reasoning(self, thought: list[str]) -> Json:
        """Return the item of reasoning, or its beginning where there is no thought yet."""
        text = "".join(thought)
        shown = bool(text)
        item: Json = {"id": self.item_id("rs_"), "type": "reasoning", "summary": []}
        if self.request.summary and shown:
            item["summary"] = [{"type": "summary_text", "text": text}]
        if self.request.raw and shown:
            item["content"] = [{"type": "reasoning_text", "text": text}]
        if self.request.encrypted:
            item["encrypted_content"] = sealed(text)
        return item

    def message(self, parts: list[Json], status: str) -> Json:
        """Return the message."""
        return {
            "id": self.item_id("msg_"),
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": parts,
        }

    def part(self, *, whole: bool) -> Json:
        """Return the part that is all of the message, or its beginning."""
        text = self.choice.text if whole else ""
        if self.choice.finish == "refusal":
            return {"type": "refusal", "refusal": text}
        return {
            "type": "output_text",
            "text": text,
            "annotations": [],
            "logprobs": self.logprobs() if whole else [],
        }

    def logprobs(self) -> list[Json]:
        """Return the log-probabilities of the text, none where none were asked for."""
        top = self.request.asked.top_logprobs
        return [] if top is None else logprobs(self.choice, top)

    def call(self, arguments: str, status: str) -> Json:
        """Return the call."""
        assert self.choice.call is not None
        identity_, name = self.choice.call
        return {
            "id": self.item_id("fc_"),
            "type": "function_call",
            "call_id": f"call_{identity_}",
            "name": name,
            "arguments": arguments,
            "status": status,
        }
