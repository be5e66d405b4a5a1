"""Errors: *we could not do what was asked*. A refusal by policy is a decision, not an error.

Each class has a unique `code` (`noun.what_happened`, documented in docs/errors.md, never reused)
and the HTTP `status` that a client sees when the error reaches the front.
Messages may be shown to users: they never carry secrets, prompts or upstream bodies.
"""

from __future__ import annotations

from typing import ClassVar


class WeirError(Exception):
    """The root of all errors that Weir raises on purpose."""

    code: ClassVar[str] = "weir.failed"
    status: ClassVar[int] = 500


class RequestError(WeirError):
    """What the client sent cannot be served; `message` says what to change."""

    code, status = "request.malformed", 400

    def __init__(self, message: str, *, param: str | None = None) -> None:
        """Keep the sentence for the client and, where known, the field at fault."""
        super().__init__(message)
        self.message = message
        self.param = param


class RequestTooLargeError(RequestError):
    """The body or a header is larger than the settings allow."""

    code, status = "request.too_large", 413


class RequestTimeoutError(RequestError):
    """The client did not finish sending its request in time."""

    code, status = "request.timed_out", 408


class RouteUnknownError(RequestError):
    """No dialect serves this method and path; what is not listed is refused."""

    code, status = "route.unknown", 404


class MethodUnknownError(RequestError):
    """The path is known, but not with this method."""

    code, status = "route.method_unknown", 405


class RouteClosedError(RequestError):
    """The providers have this route; Weir does not serve it, since it could not be metered.

    why: the code that the client is told, 'batches.unmetered' and the like
    """

    code, status = "route.closed", 403

    def __init__(self, message: str, why: str) -> None:
        """Keep the sentence for the client and the code that says why."""
        super().__init__(message)
        self.why = why


class ObjectUnknownError(RequestError):
    """A stored object is not there, or it is another account's: the two are told alike."""

    code, status = "object.unknown", 404

    def __init__(self, message: str, identity: str, *, param: str | None = None) -> None:
        """Keep the sentence and the id that the client sent."""
        super().__init__(message, param=param)
        self.identity = identity


class ReasoningForeignError(RequestError):
    """The request brings sealed reasoning that is not its own, and a policy refuses that."""

    code = "reasoning.foreign"


class ModelUnknownError(RequestError):
    """No upstream is configured for this model."""

    code, status = "model.unknown", 404


class CredentialsError(WeirError):
    """The caller could not be identified. The message never repeats the credential."""

    code, status = "credentials.invalid", 401


class CredentialsMissingError(CredentialsError):
    """No credential was sent."""

    code = "credentials.missing"


class CredentialsExpiredError(CredentialsError):
    """The credential was good once."""

    code = "credentials.expired"


class CredentialsRevokedError(CredentialsError):
    """The credential was taken back by its owner or the operator."""

    code = "credentials.revoked"


class AuthUnavailableError(WeirError):
    """The keys that would verify a credential cannot be had now (for instance a JWKS)."""

    code, status = "auth.unavailable", 503


class StoreUnavailableError(WeirError):
    """The counters did not answer within their deadline."""

    code, status = "store.unavailable", 503


class UpstreamError(WeirError):
    """The model API failed before or during its answer."""

    code, status = "upstream.failed", 502


class UpstreamUnreachableError(UpstreamError):
    """No connection to the model API could be made: nothing was sent."""

    code = "upstream.unreachable"


class UpstreamTimeoutError(UpstreamError):
    """The model API was too slow to connect, to answer, or between two chunks."""

    code, status = "upstream.timed_out", 504


class UpstreamResetError(UpstreamError):
    """The model API closed or broke the connection before its answer was complete."""

    code = "upstream.reset"


class UpstreamGarbageError(UpstreamError):
    """The model API answered with something that its dialect does not know."""

    code = "upstream.garbage"


class SettingsError(WeirError):
    """The settings cannot be used; the message lists every mistake, one a line."""

    code = "settings.invalid"


class PolicyError(WeirError):
    """The policy files cannot be used; the message lists every mistake, one a line."""

    code = "policy.invalid"


class TrafficError(WeirError):
    """A line or a file of traffic cannot be read; the message names the field, never its text."""

    code = "traffic.unreadable"


class PopulationError(WeirError):
    """A population cannot be composed; the message lists every mistake, one a line."""

    code = "population.invalid"
