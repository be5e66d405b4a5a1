"""What is said of failures in every provider's shape; nothing of an upstream's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import (
    AuthUnavailableError,
    CredentialsExpiredError,
    CredentialsRevokedError,
    StoreUnavailableError,
    UpstreamGarbageError,
    UpstreamResetError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)

if TYPE_CHECKING:
    from proxy.core.errors import WeirError

JSON = ("content-type", "application/json")
RETRY = (("x-should-retry", "true"), ("retry-after", "1"))
NO_RETRY = (("x-should-retry", "false"),)

SENTENCES: dict[type[WeirError], str] = {
    AuthUnavailableError: "Your credentials cannot be verified at the moment. Please try again.",
    CredentialsExpiredError: "Your API key has expired.",
    CredentialsRevokedError: "Your API key has been revoked.",
    StoreUnavailableError: "Your limits cannot be checked at the moment. Please try again.",
    UpstreamUnreachableError: "The model cannot be reached at the moment. Please try again.",
    UpstreamTimeoutError: "The model did not answer in time.",
    UpstreamResetError: "The model closed the connection before its answer was complete.",
    UpstreamGarbageError: "The model gave an answer that could not be read.",
}
# Nothing was done yet, so that trying again is right.
_PASSING = (AuthUnavailableError, StoreUnavailableError, UpstreamUnreachableError)


def retrying(err: WeirError) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell an SDK to try again after a failure, where that is right."""
    return RETRY if isinstance(err, _PASSING) else ()
