"""From the settings for tokens to who verifies them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.auth.claims import claim_names
from proxy.auth.jwks import PublishedKeys
from proxy.auth.jwt import JwtSettings, TokenVerifier
from proxy.auth.verifying import keys_of_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from proxy.settings.schema import JwtSettings as JwtSection


def verifier_of(
    told: JwtSection, stack: AsyncExitStack, failed: Callable[[str], None]
) -> TokenVerifier:
    """Return the verifier that some settings name.

    stack:  closes what fetches keys
    failed: told why published keys could not be fetched
    """
    settings = JwtSettings(
        issuer=told.issuer,
        audience=told.audience,
        algorithms=told.algorithms,
        key_file=told.key_file,
        jwks_url=told.jwks_url,
        claims=claim_names(told.claims),
        types=told.types,
        leeway=told.leeway,
    )
    if settings.key_file is not None:
        return TokenVerifier(settings, keys_of_file(settings.key_file, settings.algorithms))
    assert settings.jwks_url is not None
    published = PublishedKeys(settings.jwks_url, settings.algorithms, on_error=failed)
    stack.push_async_callback(published.close)
    return TokenVerifier(settings, published)
