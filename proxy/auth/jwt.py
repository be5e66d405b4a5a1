"""Tokens (RFC 7519), held to the advice of RFC 8725.

What a token says about itself is never believed before its signature is: `alg` must be one of the
settings', `kid` only picks among known keys, and `jku`, `x5u`, `x5c` and `jwk` are not looked at.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt

from proxy.auth.claims import ClaimNames, Times, check_times, principal, times
from proxy.auth.keys import microseconds
from proxy.auth.verifying import ALGORITHMS, SHARED, KeySource, VerifyingKey
from proxy.core.errors import CredentialsError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from proxy.core.principal import Principal

SECOND = 1_000_000
MOST_LEEWAY = 300 * SECOND
CACHED_FOR = 60 * SECOND
CACHED_MOST = 10_000
MOST_TRIES = 8
# Times are checked by ourselves: against our clock, and again whenever the cache answers.
OPTIONS: dict[str, Any] = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """Which tokens are trusted; SettingsError names all that is missing or cannot be.

    audience:   a token must be meant for one of these
    algorithms: of one kind: all HS*, or none
    key_file, jwks_url: exactly one of the two
    types:      values of `typ` that are taken; '' lets tokens without one in
    required:   claims that must be there, besides exp, iss and aud
    leeway:     microseconds that two clocks may differ
    max_bytes:  longer tokens are refused unread
    """

    issuer: str = ""
    audience: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()
    key_file: Path | None = None
    jwks_url: str | None = None
    claims: ClaimNames = field(default=ClaimNames())
    types: tuple[str, ...] = ("JWT", "at+jwt")
    required: tuple[str, ...] = ("exp", "iat", "sub")
    leeway: int = 30 * SECOND
    max_bytes: int = 8192

    def __post_init__(self) -> None:
        if found := list(_mistakes(self)):
            raise SettingsError("\n".join(found))


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that was verified. until: microseconds since the epoch to look again."""

    principal: Principal
    times: Times
    until: int


class TokenVerifier:
    """From a token to its principal; what was verified is remembered for a minute, by its hash."""

    def __init__(
        self,
        settings: JwtSettings,
        keys: KeySource,
        clock: Callable[[], int] = microseconds,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._types = frozenset(_media_type(name) for name in settings.types)
        self._require = sorted({*settings.required, "exp", "iss", "aud"})
        self._verified: dict[bytes, Verified] = {}

    def __len__(self) -> int:
        return len(self._verified)

    async def verify(self, token: str) -> Principal:
        """Return who the token stands for.

        Raises CredentialsError (or a subclass) and AuthUnavailableError, nothing else.
        """
        if len(token) > self._settings.max_bytes:
            raise CredentialsError("the token is too long")
        if not token.isascii():
            raise CredentialsError("the token cannot be read")
        now = self._clock()
        digest = hashlib.sha256(token.encode()).digest()
        held = self._verified.get(digest)
        if held is None or held.until <= now:
            held = await self._verify(token, now)
            self._remember(digest, held, now)
        check_times(held.times, now)
        return held.principal

    async def _verify(self, token: str, now: int) -> Verified:
        header = _header(token)
        algorithm, kid = self._checked(header)
        keys = [key for key in await self._keys.find(kid) if algorithm in key.algorithms]
        if not keys:
            raise CredentialsError("the token is signed with a key that is not known")
        claims = self._claims(token, algorithm, keys[:MOST_TRIES])
        held = times(claims, self._settings.leeway)
        # Before the principal, so that an old token is called expired whatever else is in it.
        check_times(held, now)
        expires = held.ends - self._settings.leeway
        found = principal(claims, self._settings.claims, expires)
        return Verified(found, held, min(held.ends, now + CACHED_FOR))

    def _checked(self, header: dict[str, Any]) -> tuple[str, str | None]:
        """Return algorithm and key id of a header that has nothing in it that we do not take."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._settings.algorithms:
            raise CredentialsError("the token's signature is of a kind that is not accepted")
        if "crit" in header or header.get("b64", True) is not True:
            raise CredentialsError("the token asks for an extension that is not supported")
        kind = header.get("typ", "")
        if not isinstance(kind, str) or _media_type(kind) not in self._types:
            raise CredentialsError("the token is of a type that is not accepted")
        if not isinstance(kid, str | None):
            raise CredentialsError("the token cannot be read")
        return algorithm, kid

    def _claims(self, token: str, algorithm: str, keys: Sequence[VerifyingKey]) -> dict[str, Any]:
        """Return the claims if one of the keys signed them; CredentialsError says why not."""
        sentence = ""
        for key in keys:
            try:
                return jwt.decode(
                    token,
                    key.key,
                    algorithms=[algorithm],
                    audience=self._settings.audience,
                    issuer=self._settings.issuer,
                    options={**OPTIONS, "require": self._require},  # type: ignore[arg-type]
                )
            except jwt.PyJWTError as error:
                sentence = _sentence(error)
            except (ValueError, TypeError, RecursionError):
                # PyJWT means to let out its own errors only; a token that finds a gap is refused.
                sentence = "the token cannot be read"
        # Raised out here, so that no error that quotes the token hangs on as its context.
        raise CredentialsError(sentence)

    def _remember(self, digest: bytes, held: Verified, now: int) -> None:
        if len(self._verified) >= CACHED_MOST:
            self._verified = {
                key: other for key, other in self._verified.items() if other.until > now
            }
        if len(self._verified) >= CACHED_MOST:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = held


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        pass
    raise CredentialsError("the token cannot be read")


def _media_type(name: str) -> str:
    """Return a `typ` without its optional prefix and case (RFC 7515, 4.1.9)."""
    return name.lower().removeprefix("application/")


def _sentence(error: jwt.PyJWTError) -> str:
    match error:
        case jwt.InvalidSignatureError():
            return "the token's signature is wrong"
        case jwt.InvalidAudienceError():
            return "the token is meant for somebody else (aud)"
        case jwt.InvalidIssuerError():
            return "the token is from somebody else (iss)"
        case jwt.MissingRequiredClaimError():
            return "the token lacks a claim that is required"
        case _:
            return "the token cannot be read"


def _mistakes(settings: JwtSettings) -> Iterator[str]:
    for name in ("issuer", "audience", "algorithms"):
        if not getattr(settings, name):
            yield f"jwt.{name}: is required"
    if (settings.key_file is None) == (not settings.jwks_url):
        yield "jwt: exactly one of key_file and jwks_url is required"
    if not all(settings.audience):
        yield "jwt.audience: cannot have an empty name in it"
    if not settings.types:
        yield "jwt.types: is required"
    if not settings.claims.account or not settings.claims.key:
        yield "jwt.claims: account and key are required"
    if not 0 <= settings.leeway <= MOST_LEEWAY:
        yield "jwt.leeway: must be 0s to 5m"
    yield from _mistaken_algorithms(settings)


def _mistaken_algorithms(settings: JwtSettings) -> Iterator[str]:
    for name in settings.algorithms:
        if name not in ALGORITHMS:
            yield f"jwt.algorithms: {name!r} is not accepted ({', '.join(sorted(ALGORITHMS))})"
    shared = [name for name in settings.algorithms if name in SHARED]
    if shared and len(shared) < len(settings.algorithms):
        yield "jwt.algorithms: HS* cannot stand beside others (a public key would do as a secret)"
    if shared and settings.jwks_url:
        yield "jwt.jwks_url: publishes keys, and HS* needs a secret one (key_file)"
