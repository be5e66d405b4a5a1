"""OpenAI's own words for no: error bodies, statuses and the headers that its SDKs obey.

Codes are OpenAI's where it has one for the case, else Weir's own (`noun.what_happened`), so that
they can be looked up. A wait is told truly where it is short; where it is longer than a minute the
SDK is told not to wait: `x-should-retry: false`, the whole wait in the message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import (
    CredentialsError,
    CredentialsMissingError,
    MethodUnknownError,
    ModelUnknownError,
    ObjectUnknownError,
    ReasoningForeignError,
    RequestError,
    RouteClosedError,
    RouteUnknownError,
)
from proxy.dialects.base import Refusal
from proxy.dialects.failures import JSON, NO_RETRY, SENTENCES, retrying
from proxy.dialects.openai_limits import Told, told_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.core.decision import Decision
    from proxy.core.errors import WeirError
    from proxy.core.facts import RequestFacts
    from proxy.dialects.ratelimit_headers import LimitView

INVALID = "invalid_request_error"
SERVER = "server_error"
MAX_ECHO = 200


_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
)


def refuse(
    decision: Decision,
    facts: RequestFacts,
    org: str,
    decision_id: str,
    views: Sequence[LimitView] = (),
) -> Refusal:
    """Return the refusal of a request by policy.

    org:   the organisation, named in the message
    views: the limits as the client may see them: they lend the sentence its period
    """
    told = told_of(decision, facts.model, org, decision_id, views)
    return _refusal(told.status, told.message, told.type, told.code, headers=_waiting(told))


def error(err: WeirError, method: str, path: str, allow: Sequence[str] = ()) -> Refusal:
    """Return the native form of an error.

    path:  as the client sent it; its query is not repeated
    allow: the methods that the path has, for MethodUnknownError
    """
    kind, code, param = INVALID, err.code, None
    headers: tuple[tuple[str, str], ...] = ()
    native: str | None
    match err:
        case CredentialsMissingError():
            message, native = _NO_KEY, None
        case CredentialsError():
            message = SENTENCES.get(type(err), "Incorrect API key provided.")
            native = "invalid_api_key"
        case RouteUnknownError():
            message = (
                f"Unknown request URL: {_shown(method)} {_shown(path)}. "
                "Please check the URL for typos; this gateway serves only the routes it meters."
            )
            native = "unknown_url"
        case MethodUnknownError():
            message = (
                f"Not allowed to {_shown(method)} on {_shown(path)}. "
                "(HINT: Perhaps you meant to use a different HTTP method?)"
            )
            native = "method_not_supported"
            headers = (("allow", ", ".join(allow)),) if allow else ()
        case RouteClosedError():
            message, native = err.message, err.why
            headers = NO_RETRY
        case ObjectUnknownError():
            message, param, native = err.message, err.param, None
        case ReasoningForeignError():
            message, native = err.message, code
            headers = NO_RETRY
        case RequestError():
            message, param = err.message, err.param
            native = "model_not_found" if isinstance(err, ModelUnknownError) else code
        case _:
            message = SENTENCES.get(
                type(err), "The server had an error while processing your request."
            )
            kind, native = SERVER, code
            headers = retrying(err)
    return _refusal(err.status, message, kind, native, param, headers=headers)


def _waiting(told: Told) -> tuple[tuple[str, str], ...]:
    if told.wait is None:
        return NO_RETRY
    seconds = str(min(-(-told.wait // 1_000_000), 60))
    reset = ("x-ratelimit-reset", told.wait_text)
    if told.patient:
        milliseconds = str(-(-told.wait // 1_000))
        return (
            ("retry-after-ms", milliseconds),
            ("retry-after", seconds),
            ("x-should-retry", "true"),
            reset,
        )
    return ("retry-after", seconds), ("x-should-retry", "false"), reset


def _refusal(
    status: int,
    message: str,
    kind: str,
    code: str | None,
    param: str | None = None,
    *,
    headers: tuple[tuple[str, str], ...] = (),
) -> Refusal:
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return Refusal(status, (JSON, *headers), orjson.dumps(body, option=orjson.OPT_INDENT_2))


def _shown(text: str) -> str:
    """Return what may be repeated of a request line: no query, nothing unprintable, not long."""
    bare = text.partition("?")[0][:MAX_ECHO]
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in bare)
