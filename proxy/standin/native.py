"""Errors and headers as OpenAI sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from proxy.core.errors import RequestError
    from proxy.standin.documents import Json
    from proxy.standin.fields import RefusedError

INVALID = "invalid_request_error"
# What belongs to the operator's account, and so must not reach the gateway's clients.
ACCOUNT = {
    "openai-organization": "org-standin",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "1999000",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-reset-tokens": "30ms",
}

_OF_STATUS: dict[int, tuple[str, str, str | None]] = {
    401: ("Incorrect API key provided.", INVALID, "invalid_api_key"),
    403: ("You do not have access to this model.", INVALID, "permission_denied"),
    404: ("The model does not exist or you do not have access to it.", INVALID, "model_not_found"),
    503: (
        "The engine is currently overloaded, please try again later.",
        "service_unavailable_error",
        "server_is_overloaded",
    ),
}
_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
)


def head(identity: str, spent: int) -> dict[str, str]:
    """Return the headers of an answer that took `spent` milliseconds."""
    return {**ACCOUNT, "x-request-id": identity, "openai-processing-ms": str(max(1, spent))}


def error_body(error: Json, _: str = "") -> bytes:
    """Return the body that carries an error."""
    return orjson.dumps({"error": error}, option=orjson.OPT_INDENT_2)


def error_event(error: Json) -> bytes:
    """Return an event that reports an error in mid-stream."""
    return b"data: %b\n\n" % orjson.dumps({"error": error})


def server_error() -> Json:
    """Return the error that an answer breaks off with."""
    return _error(
        "The server had an error while processing your request. Sorry about that!",
        "server_error",
        None,
    )


def error_of(status: int, model: str) -> Json:
    """Return the error that goes with a status: of a full house for 429, and for 200 in a body."""
    if status in {200, 429}:
        return _error(
            f"Rate limit reached for {model} in organization org-standin on requests per min "
            "(RPM): Limit 10000, Used 10000, Requested 1. Please try again in 1s.",
            "requests",
            "rate_limit_exceeded",
        )
    found = _OF_STATUS.get(status)
    if found is None:
        at_fault = "server_error" if status >= 500 else INVALID  # noqa: PLR2004 - HTTP's classes
        found = (f"The stand-in was directed to fail with {status}.", at_fault, None)
    return _error(*found)


def mistake(error: RequestError) -> Json:
    """Return the error that tells a client its mistake."""
    return _error(error.message, INVALID, None, error.param)


def refusal(error: RefusedError) -> Json:
    """Return the error of another refusal."""
    return _error(error.message, INVALID, error.code, error.param)


def unknown_url(method: str, path: str) -> Json:
    """Return the error for a path that is none of ours."""
    return _error(f"Invalid URL ({method} {path})", INVALID, None)


def wrong_method(method: str, path: str) -> Json:
    """Return the error for a path that wants another method."""
    return _error(
        f"Not allowed to {method} on {path}. "
        "(HINT: Perhaps you meant to use a different HTTP method?)",
        INVALID,
        "method_not_supported",
    )


def no_key() -> Json:
    """Return the error for a request without a credential."""
    return _error(_NO_KEY, INVALID, None)


def _error(message: str, kind: str, code: str | None, param: str | None = None) -> Json:
    return {"message": message, "type": kind, "param": param, "code": code}
