"""The doors: which dialect speaks at which method and path. What is not listed is refused.

Paths are compared byte for byte. Percent-encoding, doubled and trailing slashes and dot segments
match nothing: two servers may read them differently, and a limit would be walked around.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.errors import MethodUnknownError, RouteUnknownError
from proxy.dialects import openai_chat, openai_models

if TYPE_CHECKING:
    from proxy.dialects.base import Dialect

_PREFIX = "/v1"
_MODEL = re.compile(r"/v1/models/[A-Za-z0-9][A-Za-z0-9._:@-]{0,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes.

    dialect:  who reads it
    path:     its path, without a query
    tail:     the same without the version: what is put behind an upstream's base URL
    """

    dialect: Dialect
    method: str
    path: str
    tail: str


@dataclass(frozen=True, slots=True)
class _Entry:
    method: str
    dialect: Dialect
    query: bool = False  # a query is let pass, and dropped


_ENTRIES: dict[str, tuple[_Entry, ...]] = {
    "/v1/chat/completions": (_Entry("POST", openai_chat),),
    "/v1/models": (_Entry("GET", openai_models, query=True),),
}
_MODEL_ENTRIES = (_Entry("GET", openai_models, query=True),)


def route(method: str, target: str) -> Route:
    """Return the route of a request line's method and raw target.

    Raises RouteUnknownError and MethodUnknownError.

    >>> route("GET", "/v1/models?limit=5").tail
    '/models'
    """
    path, mark, _ = target.partition("?")
    entries = _entries(path)
    if not entries or (mark and not any(entry.query for entry in entries)):
        raise RouteUnknownError("This URL is not served.")
    for entry in entries:
        if entry.method == method:
            return Route(entry.dialect, method, path, path.removeprefix(_PREFIX))
    raise MethodUnknownError("This URL is not served with this method.")


def allowed(target: str) -> tuple[str, ...]:
    """Return the methods that a target's path has, for an `Allow` header."""
    return tuple(entry.method for entry in _entries(target.partition("?")[0]))


def _entries(path: str) -> tuple[_Entry, ...]:
    found = _ENTRIES.get(path)
    if found is not None:
        return found
    return _MODEL_ENTRIES if _MODEL.fullmatch(path) else ()
