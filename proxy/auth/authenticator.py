"""From the headers of a request to its principal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multidict import istr

from proxy.auth.keys import FAMILY, looks_like_key, microseconds
from proxy.core.errors import (
    CredentialsError,
    CredentialsExpiredError,
    CredentialsMissingError,
    CredentialsRevokedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxy.auth.jwt import TokenVerifier
    from proxy.auth.keyindex import KeyIndex
    from proxy.core.principal import Principal

AUTHORIZATION = istr("Authorization")
CREDENTIAL_HEADERS = (AUTHORIZATION, istr("x-api-key"), istr("api-key"))
TOKEN_DOTS = 2

_BEARER = re.compile(r"[ \t]*bearer(?:[ \t]+([^ \t]+))?[ \t]*", re.IGNORECASE)


class HeaderAuthenticator:
    """Takes keys from the index and, where they are configured, tokens."""

    def __init__(
        self,
        index: KeyIndex | None,
        tokens: TokenVerifier | None = None,
        clock: Callable[[], int] = microseconds,
    ) -> None:
        self._index = index
        self._tokens = tokens
        self._clock = clock

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Return who sent these headers; nothing is waited for when it is an opaque key.

        Raises CredentialsError (or a subclass) and AuthUnavailableError, nothing else.
        """
        secret = credential(headers)
        if secret.startswith(FAMILY):
            return self._holder(secret)
        if self._tokens is not None and secret.count(".") == TOKEN_DOTS:
            return await self._tokens.verify(secret)
        raise CredentialsError("the API key is not known")

    def _holder(self, secret: str) -> Principal:
        if not looks_like_key(secret):
            raise CredentialsError("the API key is incomplete or mistyped")
        held = None if self._index is None else self._index.find(secret)
        if held is None:
            raise CredentialsError("the API key is not known")
        if held.revoked:
            raise CredentialsRevokedError("the API key was revoked")
        if held.ends is not None and held.ends <= self._clock():
            raise CredentialsExpiredError("the API key has expired")
        return held.principal


def credential(headers: Mapping[str, str]) -> str:
    """Return the one credential in these headers, which is never empty.

    The same one may stand in several headers, as some SDKs send it, but each header only once.
    Raises CredentialsMissingError and CredentialsError.
    """
    getall = getattr(headers, "getall", None) or _getter(headers)
    found = ""
    for name in CREDENTIAL_HEADERS:
        values = getall(name, ())
        if not values:
            continue
        if len(values) > 1:
            raise CredentialsError(f"the header {name} was sent more than once")
        text = _bearer(values[0]) if name is AUTHORIZATION else values[0].strip(" \t")
        if found and text and text != found:
            raise CredentialsError("more than one credential was sent")
        found = text or found
    if not found:
        raise CredentialsMissingError(
            "no API key was sent (Authorization: Bearer KEY, or x-api-key: KEY)"
        )
    return found


def _bearer(value: str) -> str:
    """Return the credential of an Authorization header, '' where it is empty."""
    if (match := _BEARER.fullmatch(value)) is None:
        raise CredentialsError("the Authorization header must be 'Bearer KEY'")
    return match[1] or ""


def _getter(headers: Mapping[str, str]) -> Callable[[str, Sequence[str]], Sequence[str]]:
    """Return for a plain mapping what multi-dicts bring with them."""

    def getall(name: str, default: Sequence[str]) -> Sequence[str]:
        lowered = name.lower()
        return [value for key, value in headers.items() if key.lower() == lowered] or default

    return getall
