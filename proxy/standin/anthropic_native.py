"""Errors and headers as Anthropic sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from proxy.core.errors import RequestError
    from proxy.standin.documents import Json
    from proxy.standin.fields import RefusedError

VERSION = "anthropic-version"
INVALID = "invalid_request_error"
_RESET = "2025-06-15T15:07:40Z"
# What belongs to the operator's account, and so must not reach the gateway's clients.
ACCOUNT = {
    "anthropic-organization-id": "5d6d4db0-2f3c-4d8a-9f57-5a1b0c7e9a10",
    **{
        f"anthropic-ratelimit-{kind}-{name}": value
        for kind, limit, remaining in (
            ("requests", "4000", "3999"),
            ("input-tokens", "2000000", "1999000"),
            ("output-tokens", "400000", "399000"),
            ("tokens", "2400000", "2398000"),
        )
        for name, value in (("limit", limit), ("remaining", remaining), ("reset", _RESET))
    },
}

_OF_STATUS: dict[int, tuple[str, str]] = {
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use this resource."),
    404: ("not_found_error", "model: the model does not exist or you have no access to it"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    503: ("overloaded_error", "Overloaded"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}


def head(identity: str, _: int) -> dict[str, str]:
    """Return the headers of an answer."""
    return {**ACCOUNT, "request-id": identity}


def error_body(error: Json, identity: str) -> bytes:
    """Return the body that carries an error."""
    return orjson.dumps({"type": "error", "error": error, "request_id": identity})


def error_event(error: Json, identity: str) -> bytes:
    """Return an event that reports an error in mid-stream."""
    return b"event: error\ndata: %b\n\n" % error_body(error, identity)


def server_error() -> Json:
    """Return the error that an answer breaks off with."""
    return _error("api_error", "Internal server error")


def error_of(status: int, model: str) -> Json:
    """Return the error that goes with a status: of a full house for 429, and for 200 in a body."""
    if status in {200, 429}:
        return _error(
            "rate_limit_error",
            "This request would exceed your organization's rate limit of 4,000 requests per "
            f"minute for {model}.",
        )
    at_fault = "api_error" if status >= 500 else INVALID  # noqa: PLR2004 - HTTP's classes
    return _error(
        *_OF_STATUS.get(status, (at_fault, f"The stand-in was directed to fail with {status}."))
    )


def mistake(error: RequestError) -> Json:
    """Return the error that tells a client its mistake."""
    return _error(_OF_STATUS.get(error.status, (INVALID, ""))[0], error.message)


def refusal(error: RefusedError) -> Json:
    """Return the error of another refusal."""
    return _error(_OF_STATUS.get(error.status, (INVALID, ""))[0], error.message)


def unknown_url(method: str, path: str) -> Json:
    """Return the error for a path that is none of ours."""
    return _error("not_found_error", f"Not found: {method} {path}")


def wrong_method(method: str, path: str) -> Json:
    """Return the error for a path that wants another method."""
    return _error(INVALID, f"Method Not Allowed: {method} {path}")


def no_key() -> Json:
    """Return the error for a request without a credential."""
    return _error("authentication_error", "x-api-key header is required")


def _error(kind: str, message: str) -> Json:
    return {"type": kind, "message": message}
