"""Opaque keys: what one looks like, what we keep of it, and who it stands for.

A key is `weir_live_`, 27 base62 characters (160.7 random bits) and a base62 CRC-32 of all that
comes before, so that a mistyped or cut key is told without a lookup and scanners can find leaked
ones. We keep its HMAC-SHA256 under a pepper, never the key.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
import time
import zlib
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import product
from typing import TYPE_CHECKING

from proxy.core.errors import SettingsError
from proxy.core.principal import NO_ATTRIBUTES, Principal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FAMILY = "weir_"
PREFIX = "weir_live_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET_LENGTH = 27
CHECKSUM_LENGTH = 6
KEY_LENGTH = len(PREFIX) + SECRET_LENGTH + CHECKSUM_LENGTH
ID_LENGTH = 16
MOST_ATTRIBUTES = 32
MOST_VALUE = 256

_KEY = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}")
_ID = re.compile(rf"key_[0-9A-Za-z]{{{ID_LENGTH}}}")
_HASH = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9._:@/+|=~-]{1,128}")
_ATTRIBUTE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PAIRS = tuple(map("".join, product(ALPHABET, repeat=2)))
_PAIR = len(_PAIRS)


class State(StrEnum):
    """What a key is worth now."""

    ACTIVE = "active"
    REPLACED = "replaced"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as its owner gets it, once. The secret stays out of the repr."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What we keep of a key. Times are microseconds since the epoch, None for never.

    hash:        HMAC-SHA256 of the secret under the pepper, 64 hex digits
    changed:     when this record was last written; of two versions the newer holds
    expires:     when the key ends by itself
    replaced_by: id of the key that it was rotated to, '' when it was not
    grace_until: until when a replaced key goes on working
    """

    id: str
    hash: str = field(repr=False)
    account: str
    org: str
    plan: str = ""
    verified: bool = False
    purpose: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)
    created: int = 0
    changed: int = 0
    expires: int | None = None
    revoked_at: int | None = None
    replaced_by: str = ""
    grace_until: int | None = None

    @property
    def ends(self) -> int | None:
        """When the key stops working by itself: its expiry or the end of its grace."""
        ends = [moment for moment in (self.expires, self.grace_until) if moment is not None]
        return min(ends, default=None)

    def state(self, now: int) -> State:
        """Return what the key is worth at `now`; a replaced key still works."""
        if self.revoked_at is not None:
            return State.REVOKED
        if (ends := self.ends) is not None and ends <= now:
            return State.EXPIRED
        return State.REPLACED if self.replaced_by else State.ACTIVE

    def principal(self) -> Principal:
        """Return who the key stands for."""
        return Principal(
            key=self.id,
            account=self.account,
            org=self.org,
            plan=self.plan,
            verified=self.verified,
            purpose=self.purpose,
            attributes=self.attributes,
            expires=self.ends,
        )


def microseconds() -> int:
    """Return the time of this machine, in microseconds since the epoch."""
    return time.time_ns() // 1000


def new_key() -> NewKey:
    """Draw a key and its public id from the system's randomness."""
    body = PREFIX + _drawn(SECRET_LENGTH)
    return NewKey(id="key_" + _drawn(ID_LENGTH), secret=body + checksum(body))


def _drawn(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def checksum(body: str) -> str:
    """Return the CRC-32 of a key's body as six base62 digits.

    >>> checksum("weir_live_000000000000000000000000000")
    '2jo8RX'
    """
    rest, low = divmod(zlib.crc32(body.encode()), _PAIR)
    high, middle = divmod(rest, _PAIR)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def looks_like_key(text: str) -> bool:
    """Tell whether `text` has a key's form and a right checksum; no lookup is needed for that."""
    return (
        len(text) == KEY_LENGTH
        and _KEY.fullmatch(text) is not None
        and checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]
    )


def hash_key(pepper: bytes, secret: str) -> str:
    """Return the HMAC-SHA256 of a key under the pepper, 64 hex digits."""
    return hmac.digest(pepper, secret.encode(), "sha256").hex()


def is_name(text: object) -> bool:
    """Tell whether `text` can name an account, organisation, plan or purpose."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def is_attribute(name: object, value: object) -> bool:
    """Tell whether a free attribute has a name and a value that can be kept."""
    return (
        isinstance(name, str)
        and _ATTRIBUTE.fullmatch(name) is not None
        and isinstance(value, str)
        and 0 < len(value) <= MOST_VALUE
        and value.isprintable()
    )


def mistakes(record: KeyRecord) -> Iterator[str]:
    """Yield a sentence for everything in a record that cannot be."""
    if not _ID.fullmatch(record.id):
        yield f"id: {record.id!r} is no key id (key_ and {ID_LENGTH} letters or digits)"
    if not _HASH.fullmatch(record.hash):
        yield "hash: must be 64 hex digits in lower case (the hash of a key, never the key)"
    for name in ("account", "org", "plan", "purpose"):
        value = getattr(record, name)
        if not is_name(value) and (value or name in {"account", "org"}):
            yield f"{name}: {value!r} must be 1 to 128 of A-Z a-z 0-9 . _ : @ / + | = ~ -"
    if len(record.attributes) > MOST_ATTRIBUTES:
        yield f"attributes: at most {MOST_ATTRIBUTES} of them"
    for name, value in record.attributes.items():
        if not is_attribute(name, value):
            yield (
                f"attributes: {name!r} must be 1 to 64 of A-Z a-z 0-9 . _ -"
                f" with a printable value of 1 to {MOST_VALUE} characters"
            )
    yield from _mistaken_ends(record)


def _mistaken_ends(record: KeyRecord) -> Iterator[str]:
    if record.expires is not None and record.expires <= record.created:
        yield "expires: must be later than the key was created"
    if record.replaced_by and not _ID.fullmatch(record.replaced_by):
        yield f"replaced_by: {record.replaced_by!r} is no key id"
    if bool(record.replaced_by) != (record.grace_until is not None):
        yield "grace_until: goes with replaced_by, and neither without the other"


def checked(record: KeyRecord) -> KeyRecord:
    """Return the record; SettingsError with all its mistakes, one a line."""
    if found := list(mistakes(record)):
        raise SettingsError("\n".join(found))
    return record


def merged(ours: KeyRecord, theirs: KeyRecord) -> KeyRecord:
    """Return what two versions of one key come to: a revocation wins, else the newer version.

    Of equally old versions it is ours.
    """
    newer = theirs if theirs.changed > ours.changed else ours
    revocations = [at for at in (ours.revoked_at, theirs.revoked_at) if at is not None]
    return replace(newer, revoked_at=min(revocations, default=None))
