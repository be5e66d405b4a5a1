"""Which paths are served, and by what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.standin import anthropic_native, messages, models, native, responses
from proxy.standin.openai_chat import chat
from proxy.standin.openai_completions import completions
from proxy.standin.openai_embeddings import embeddings
from proxy.standin.reply import Call, Plain, Reply, Voice

if TYPE_CHECKING:
    from proxy.standin.documents import Json

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"

Maker = Callable[[Call], Plain | Reply]

OPENAI: Voice = native
ANTHROPIC: Voice = anthropic_native

_EXACT: dict[str, dict[str, Maker]] = {
    CHAT: {"POST": chat},
    "/v1/completions": {"POST": completions},
    "/v1/embeddings": {"POST": embeddings},
    RESPONSES: {"POST": responses.create},
    f"{RESPONSES}/input_tokens": {"POST": responses.count},
    MESSAGES: {"POST": messages.messages},
    f"{MESSAGES}/count_tokens": {"POST": messages.count_tokens},
}
# What stands behind the id of a response.
_STORED: dict[str, dict[str, Maker]] = {
    "": {"GET": responses.retrieve, "DELETE": responses.delete},
    "cancel": {"POST": responses.cancel},
    "input_items": {"GET": responses.input_items},
}
_MODELS: dict[bool, dict[str, Maker]] = {
    False: {"GET": models.openai_models},
    True: {"GET": models.anthropic_models},
}


@dataclass(frozen=True, slots=True)
class Route:
    """What serves a path: by method, and the id in the path, '' where there is none."""

    makers: dict[str, Maker]
    object: str = ""


def voice_of(path: str, headers: Mapping[str, str]) -> Voice:
    """Return the provider that a request is meant for."""
    if path.startswith(MESSAGES) or anthropic_native.VERSION in headers:
        return ANTHROPIC
    return OPENAI


def route_of(path: str, voice: Voice) -> Route | None:
    """Return what serves a path, None where nothing does."""
    if path in _EXACT:
        return Route(_EXACT[path])
    if path == MODELS or path.startswith(f"{MODELS}/"):
        # A model's name may have slashes in it.
        name = path.removeprefix(MODELS).removeprefix("/")
        return Route(_MODELS[voice is ANTHROPIC], name)
    head, _, rest = path.removeprefix("/v1/").partition("/")
    name, _, action = rest.partition("/")
    if head == "responses" and name and action in _STORED:
        return Route(_STORED[action], name)
    return None


def check_head(voice: Voice, headers: Mapping[str, str]) -> None:
    """Raise RequestError where a header is missing that the provider insists on."""
    if voice is ANTHROPIC and anthropic_native.VERSION not in headers:
        raise RequestError(f"{anthropic_native.VERSION}: header is required")


def unserved(voice: Voice, method: str, path: str, route: Route | None) -> tuple[int, Json] | None:
    """Return status and error where a path is not served or not with this method."""
    if route is None:
        return 404, voice.unknown_url(method, path)
    if method not in route.makers:
        return 405, voice.wrong_method(method, path)
    return None
