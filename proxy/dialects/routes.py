"""The doors: which dialect speaks at which method and path. What is not listed is refused.

Paths are compared byte for byte. Percent-encoding, doubled and trailing slashes and dot segments
match nothing: two servers may read them differently, and a limit would be walked around.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from proxy.core.errors import MethodUnknownError, RouteUnknownError
from proxy.dialects import (
    anthropic_count_tokens,
    anthropic_errors,
    anthropic_messages,
    anthropic_models,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_errors,
    openai_input_tokens,
    openai_models,
    openai_responses,
    openai_stored,
)
from proxy.dialects.base import Call
from proxy.dialects.closed import closed, websocket

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.core.errors import WeirError
    from proxy.dialects.base import Dialect, Refusal

ANTHROPIC = "anthropic-version"
LONGEST_QUERY, MOST_PARAMETERS = 2_000, 50
_MODEL = re.compile(r"/v1/models/[A-Za-z0-9][A-Za-z0-9._:@-]{0,255}", re.ASCII)
_STORED = re.compile(
    r"/v1/responses/([A-Za-z0-9][A-Za-z0-9_-]{0,255})(?:/(cancel|input_items))?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes: who reads it, and what of its request line is read."""

    dialect: Dialect
    call: Call


@dataclass(frozen=True, slots=True)
class _Entry:
    """One door.

    query: parameters that pass; others are left out of a GET, and refused elsewhere
    """

    method: str
    dialect: Dialect
    query: frozenset[str] = frozenset()


_BETA = frozenset({"beta"})
_PAGE = frozenset({"limit", "after", "after_id", "before_id", "beta"})
_READ = frozenset(
    {"stream", "starting_after", "include", "include[]", "include_obfuscation", "beta"}
)
_ITEMS = frozenset({"after", "limit", "order", "include", "include[]", "beta"})

_ENTRIES: dict[str, tuple[_Entry, ...]] = {
    "/v1/chat/completions": (_Entry("POST", openai_chat),),
    "/v1/completions": (_Entry("POST", openai_completions),),
    "/v1/embeddings": (_Entry("POST", openai_embeddings),),
    "/v1/messages": (_Entry("POST", anthropic_messages, _BETA),),
    "/v1/messages/count_tokens": (_Entry("POST", anthropic_count_tokens, _BETA),),
    "/v1/responses": (_Entry("POST", openai_responses, _BETA),),
    "/v1/responses/input_tokens": (_Entry("POST", openai_input_tokens, _BETA),),
}
# At one path both providers have a list of models; the version header is Anthropic's alone.
_MODELS = (_Entry("GET", openai_models, _PAGE),)
_ANTHROPIC_MODELS = (_Entry("GET", anthropic_models, _PAGE),)
_STORED_ENTRIES: dict[str, tuple[_Entry, ...]] = {
    "": (_Entry("GET", openai_stored, _READ), _Entry("DELETE", openai_stored, _BETA)),
    "cancel": (_Entry("POST", openai_stored, _BETA),),
    "input_items": (_Entry("GET", openai_stored, _ITEMS),),
}


def route(method: str, target: str, headers: Mapping[str, str]) -> Route:
    """Return the route of a request line's method and raw target.

    headers: names matched without case, as aiohttp's
    Raises RouteUnknownError, RouteClosedError and MethodUnknownError.

    >>> route("GET", "/v1/models?limit=5&more=1", {}).call.query
    (('limit', '5'),)
    """
    if headers.get("upgrade", "").strip().lower() == "websocket":
        raise websocket()
    path, mark, query = target.partition("?")
    entries, identity, action = _entries(path, anthropic=ANTHROPIC in headers)
    for entry in entries:
        if entry.method == method:
            parameters = _parameters(entry, query) if mark else ()
            return Route(entry.dialect, Call(method, path, identity, action, parameters))
    shut = closed(method, path)
    if shut is not None:
        raise shut
    if entries:
        raise MethodUnknownError("This URL is not served with this method.")
    raise RouteUnknownError("This URL is not served.")


def allowed(target: str) -> tuple[str, ...]:
    """Return the methods that a target's path has, for an `Allow` header."""
    return tuple(entry.method for entry in _entries(target.partition("?")[0])[0])


def error(err: WeirError, method: str, target: str, headers: Mapping[str, str]) -> Refusal:
    """Return an error in the words of the provider that the client seems to speak to."""
    path = target.partition("?")[0]
    anthropic = ANTHROPIC in headers or path.startswith("/v1/messages")
    tell = anthropic_errors.error if anthropic else openai_errors.error
    return tell(err, method, path, allowed(path))


def dialects() -> Sequence[Dialect]:
    """Return every dialect once."""
    tables = (*_ENTRIES.values(), _MODELS, _ANTHROPIC_MODELS, *_STORED_ENTRIES.values())
    found = {entry.dialect.NAME: entry.dialect for entries in tables for entry in entries}
    return tuple(found.values())


def _entries(path: str, *, anthropic: bool = False) -> tuple[tuple[_Entry, ...], str, str]:
    """Return a path's doors, and the id and the action that are in it."""
    found = _ENTRIES.get(path)
    if found is not None:
        return found, "", ""
    if path == "/v1/models" or _MODEL.fullmatch(path):
        return (_ANTHROPIC_MODELS if anthropic else _MODELS), "", ""
    stored = _STORED.fullmatch(path)
    if stored is not None:
        action = stored[2] or ""
        return _STORED_ENTRIES[action], stored[1], action
    return (), "", ""


def _parameters(entry: _Entry, query: str) -> tuple[tuple[str, str], ...]:
    if not entry.query:
        raise RouteUnknownError("This URL is not served with a query.")
    if len(query) > LONGEST_QUERY or not query.isascii():
        raise RouteUnknownError("This URL is not served: its query is too long, or no ASCII.")
    try:
        found = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise RouteUnknownError("This URL is not served: its query cannot be read.") from None
    passing = tuple((name, value) for name, value in found if name in entry.query)
    if len(passing) < len(found) and entry.method != "GET":
        raise RouteUnknownError("This URL is not served with this query.")
    return passing
