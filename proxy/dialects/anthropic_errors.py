"""Anthropic's own words for no: error bodies, statuses and the headers that its SDKs obey.

The code is told twice: `error.details.error_code` is where Anthropic's SDK looks for it
(`APIStatusError.error_code`), and `error.code` is where clients of this gateway find it in every
dialect. A wait is told truly where it is short; where it is longer than a minute the SDK is told
not to wait: `x-should-retry: false`, the whole wait in the message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import (
    CredentialsError,
    CredentialsMissingError,
    MethodUnknownError,
    ReasoningForeignError,
    RequestError,
    RouteClosedError,
    RouteUnknownError,
)
from proxy.dialects.base import Refusal
from proxy.dialects.failures import JSON, NO_RETRY, SENTENCES, retrying
from proxy.dialects.openai_limits import told_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.core.decision import Decision
    from proxy.core.errors import WeirError
    from proxy.core.facts import RequestFacts
    from proxy.dialects.openai_limits import Told
    from proxy.dialects.ratelimit_headers import LimitView

LONGEST_RETRY = 60

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_FAILED = 500


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
    return _refusal(told.status, told.message, told.code, decision_id, _waiting(told))


def error(err: WeirError, method: str, path: str, allow: Sequence[str] = ()) -> Refusal:
    """Return the native form of an error.

    method, path: of the request line; neither is repeated
    allow:        the methods that the path has, for MethodUnknownError
    """
    del method, path
    code = err.code
    headers: tuple[tuple[str, str], ...] = ()
    match err:
        case CredentialsMissingError():
            message = "x-api-key header is required"
        case CredentialsError():
            message = SENTENCES.get(type(err), "invalid x-api-key")
        case RouteClosedError():
            message, code, headers = err.message, err.why, NO_RETRY
        case RouteUnknownError():
            message = "Not Found. This gateway serves only the routes it meters."
        case MethodUnknownError():
            message = "Method Not Allowed"
            headers = (("allow", ", ".join(allow)),) if allow else ()
        case ReasoningForeignError():
            message, headers = err.message, NO_RETRY
        case RequestError():
            message = err.message
        case _:
            message = SENTENCES.get(type(err), "Internal server error")
            headers = retrying(err)
    return _refusal(err.status, message, code, "", headers)


def type_of(status: int) -> str:
    """Return Anthropic's type of error for a status.

    >>> type_of(429), type_of(405), type_of(502)
    ('rate_limit_error', 'invalid_request_error', 'api_error')
    """
    known = _TYPES.get(status)
    return known or ("api_error" if status >= _FAILED else "invalid_request_error")


def _waiting(told: Told) -> tuple[tuple[str, str], ...]:
    if told.wait is None:
        return NO_RETRY
    seconds = str(min(max(-(-told.wait // 1_000_000), 1), LONGEST_RETRY))
    patient = "true" if told.patient else "false"
    return ("retry-after", seconds), ("x-should-retry", patient)


def _refusal(
    status: int,
    message: str,
    code: str,
    decision_id: str,
    headers: tuple[tuple[str, str], ...],
) -> Refusal:
    told = {
        "type": type_of(status), "message": message, "code": code, "details": {"error_code": code},
    }  # fmt: skip
    body: dict[str, object] = {"type": "error", "error": told}
    if decision_id:
        body["request_id"] = decision_id
    return Refusal(status, (JSON, *headers), orjson.dumps(body))
