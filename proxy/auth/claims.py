"""From the claims of a verified token to a principal. Pure; sentences never repeat a claim."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from proxy.auth.keys import is_attribute, is_name
from proxy.core.errors import CredentialsError, CredentialsExpiredError, SettingsError
from proxy.core.principal import NO_ATTRIBUTES, Principal

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND = 1_000_000
LAST_MOMENT = 1 << 53
PARTS = ("account", "org", "plan", "verified", "purpose", "key")


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claim says what; '' for a part that no claim speaks of.

    attributes: name of a free attribute -> name of the claim
    """

    account: str = "sub"
    org: str = ""
    plan: str = ""
    verified: str = ""
    purpose: str = ""
    key: str = "sub"
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class Times:
    """When a token holds, in microseconds since the epoch: begins <= now < ends."""

    begins: int
    ends: int


def claim_names(mapping: Mapping[str, str]) -> ClaimNames:
    """Read a mapping of settings: {account: sub, plan: tier, attributes.region: region}.

    SettingsError names every part that a principal does not have.
    """
    parts = {name: claim for name, claim in mapping.items() if name in PARTS}
    attributes = {
        name.removeprefix("attributes."): claim
        for name, claim in mapping.items()
        if name.startswith("attributes.")
    }
    unknown = [name for name in mapping if name not in PARTS and not name.startswith("attributes.")]
    if unknown:
        raise SettingsError(
            "\n".join(
                f"claims: {name!r} is no part of a principal ({', '.join(PARTS)}, attributes.NAME)"
                for name in unknown
            )
        )
    return ClaimNames(**parts, attributes=MappingProxyType(attributes))


def times(claims: Mapping[str, object], leeway: int) -> Times:
    """Return when a token holds: not before `nbf` and `iat`, and until `exp`, give or take."""
    begins = max(_moment(claims.get("nbf", 0)), _moment(claims.get("iat", 0)))
    return Times(begins - leeway, _moment(claims.get("exp")) + leeway)


def check_times(held: Times, now: int) -> None:
    """Raise CredentialsExpiredError or CredentialsError when a token does not hold at `now`."""
    if now >= held.ends:
        raise CredentialsExpiredError("the token has expired")
    if now < held.begins:
        raise CredentialsError("the token is not valid yet")


def principal(claims: Mapping[str, object], names: ClaimNames, expires: int) -> Principal:
    """Return who the claims speak of; CredentialsError when one is missing or of a wrong type.

    A token's key is written 'jwt:…', so that no subject can pass for the id of an opaque key.
    """
    account = _name(claims, names.account, "account", needed=True)
    verified = claims.get(names.verified, False) if names.verified else False
    if not isinstance(verified, bool):
        raise CredentialsError("the token's claim for 'verified' is not true or false")
    return Principal(
        key="jwt:" + _name(claims, names.key, "key", needed=True),
        account=account,
        org=_name(claims, names.org, "org") or account,
        plan=_name(claims, names.plan, "plan"),
        verified=verified,
        purpose=_name(claims, names.purpose, "purpose"),
        attributes=MappingProxyType(
            {
                name: _attribute(name, claims[claim])
                for name, claim in names.attributes.items()
                if claims.get(claim) is not None
            }
        ),
        expires=expires,
    )


def _moment(value: object) -> int:
    """Return a NumericDate (RFC 7519, 2) as microseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CredentialsError("the token has a time that is no number")
    if not math.isfinite(value) or abs(value) > LAST_MOMENT:
        raise CredentialsError("the token has a time that is out of range")
    return int(value * SECOND)


def _name(claims: Mapping[str, object], claim: str, part: str, *, needed: bool = False) -> str:
    value = claims.get(claim) if claim else None
    if value is None and not needed:
        return ""
    if not isinstance(value, str) or not is_name(value):
        raise CredentialsError(f"the token's claim for '{part}' is missing or no usable name")
    return value


def _attribute(name: str, value: object) -> str:
    match value:
        case bool():
            text = "true" if value else "false"
        case int() if abs(value) <= LAST_MOMENT:
            text = str(value)
        case str():
            text = value
        case _:
            text = ""
    if not is_attribute(name, text):
        raise CredentialsError(f"the token's claim for attribute '{name}' is no usable value")
    return text
