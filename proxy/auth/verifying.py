"""Keys that tokens are verified with: read from PEM, from a JWK set, or a shared secret."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from proxy.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

SHARED = {"HS256": 32, "HS384": 48, "HS512": 64}
RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
ALGORITHMS = frozenset({*SHARED, *RSA, *CURVES, "EdDSA"})
RSA_BITS = 2048
MOST_KEYS = 100

_PEM = re.compile(
    rb"-----BEGIN (PUBLIC KEY|RSA PUBLIC KEY|CERTIFICATE)-----.+?-----END \1-----", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key and what it may verify, which is never nothing. kid: None where it has none."""

    kid: str | None
    algorithms: frozenset[str]
    key: PublicKey | bytes = field(repr=False)


class KeySource(Protocol):
    """Where verifying keys come from."""

    async def find(self, kid: str | None) -> Sequence[VerifyingKey]:
        """Return the keys that a token with this `kid` may be signed with, none for a stranger's.

        Raises AuthUnavailableError when the keys cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class FixedKeys:
    """Keys of a file. A key without an id stands for any `kid`."""

    keys: tuple[VerifyingKey, ...]

    async def find(self, kid: str | None) -> Sequence[VerifyingKey]:
        """Return the keys that bear this id or none; all keys for a token without one."""
        return [key for key in self.keys if kid is None or key.kid in {None, kid}]


def fits(key: PublicKey | bytes, algorithm: str) -> bool:
    """Tell whether a key is of the algorithm's kind and long enough for it.

    RSA of 2048 bits or more; shared secrets as long as the hash (RFC 7518, 3.2).
    """
    match key:
        case bytes():
            return algorithm in SHARED and len(key) >= SHARED[algorithm]
        case RSAPublicKey():
            return algorithm in RSA and key.key_size >= RSA_BITS
        case EllipticCurvePublicKey():
            return CURVES.get(algorithm) == key.curve.name
        case Ed25519PublicKey() | Ed448PublicKey():
            return algorithm == "EdDSA"


def keys_of_file(path: Path, algorithms: Sequence[str]) -> FixedKeys:
    """Read a file of PEM public keys or certificates, a JWK set, or (for HS*) a shared secret.

    SettingsError when there is no usable key for each algorithm; it never repeats the contents.
    """
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            data = file.read(1 << 20).strip()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({type(error).__name__})") from None
    shared = set(algorithms) <= set(SHARED)
    if shared and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(
            f"{path}: is a shared secret that others than its owner can read"
            f" (mode {stat.S_IMODE(mode):04o}; chmod 600 would do)"
        )
    if b"PRIVATE KEY-----" in data:
        raise SettingsError(f"{path}: holds a private key; Weir needs the public one only")
    if data.startswith(b"{"):
        try:
            keys = keys_of_set(data, algorithms, shared=shared)
        except ValueError as mistake:
            raise SettingsError(f"{path}: {mistake}") from None
    elif shared:
        keys = tuple(_usable(None, [data], algorithms))
    else:
        keys = tuple(_usable(None, _public_keys(path, data), algorithms))
    unserved = [name for name in algorithms if not any(name in key.algorithms for key in keys)]
    if unserved:
        raise SettingsError(
            f"{path}: holds no key for {', '.join(unserved)}"
            " (RSA of 2048 bits or more, the algorithm's own curve, or a secret"
            " of 32, 48 or 64 bytes for HS256, HS384 or HS512)"
        )
    return FixedKeys(keys)


def keys_of_set(
    data: bytes, algorithms: Sequence[str], *, shared: bool = False
) -> tuple[VerifyingKey, ...]:
    """Read a JWK set (RFC 7517); what cannot verify one of `algorithms` is left out.

    shared: take symmetric keys; only where the set itself is a secret.
    ValueError with the rest of a sentence when nothing is left.
    """
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise ValueError("is no JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > MOST_KEYS:
        raise ValueError(f"is no JWK set of at most {MOST_KEYS} keys")
    keys = tuple(
        key
        for entry in entries
        if isinstance(entry, dict) and (entry.get("kty") == "oct") == shared
        for key in _key_of_entry(entry, algorithms)
    )
    if not keys:
        raise ValueError(f"has no usable key for {', '.join(algorithms)}")
    return keys


def _key_of_entry(entry: dict[str, Any], algorithms: Sequence[str]) -> Iterator[VerifyingKey]:
    kid, own = entry.get("kid"), entry.get("alg")
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list):
        return
    if "verify" not in operations or "d" in entry or not isinstance(kid, str | None):
        return
    # Before PyJWT sees it, which for "none" lets out an error that is none of its own.
    if own is not None and own not in algorithms:
        return
    try:
        key = jwt.PyJWK(entry).key
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return
    yield from _usable(kid, [key], algorithms if own is None else [own])


def _usable(
    kid: str | None, keys: Sequence[object], algorithms: Sequence[str]
) -> Iterator[VerifyingKey]:
    for key in keys:
        if isinstance(key, PublicKey | bytes):
            able = frozenset(name for name in algorithms if fits(key, name))
            if able:
                yield VerifyingKey(kid, able, key)


def _public_keys(path: Path, data: bytes) -> list[object]:
    keys: list[object] = []
    for block in _PEM.finditer(data):
        try:
            if block[1] == b"CERTIFICATE":
                keys.append(load_pem_x509_certificate(block[0]).public_key())
            else:
                keys.append(load_pem_public_key(block[0]))
        except (ValueError, UnsupportedAlgorithm):
            raise SettingsError(f"{path}: holds a PEM block that cannot be read") from None
    return keys
