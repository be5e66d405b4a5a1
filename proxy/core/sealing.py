"""Sealed reasoning bound to whom it was served to, and to what was asked: a wrapping, no state.

A wrapped blob is `weir1.` + 43 characters + `.` + the original. The 43 are url-safe base64 of 32
bytes: a keyed tag of the account (6), one of its organisation (6), a keyed digest of what the
conversation asked, the anchor (8), and 12 bytes of HMAC-SHA256 over those and the original. All
gateways that share a pepper read each other's wrappings.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK = "weir1."
TAG, ANCHOR, MAC = 6, 8, 12
LETTERS = 43
# Bound to the account alone: what a client may carry on without what was asked before it.
ANYWHERE = b"\0" * ANCHOR
# Bound to nothing that is ever asked: what is read where nobody knows what was.
NOWHERE = b"\xff" * ANCHOR
_HEAD = re.compile(r"weir1\.([A-Za-z0-9_-]{43})\.", re.ASCII)


class Kind(Enum):
    """Whose a sealed thing is that a request brings along."""

    OWN = "own"
    CONVERSATION = "conversation"
    """This account's, for something else that was asked."""
    SAME_ORG = "same_org"
    """Another account's of this organisation."""
    ACCOUNT = "account"
    """Another organisation's."""
    UNKNOWN = "unknown"
    """Nothing that was wrapped here, or changed since."""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """What a sealed thing is: whose, and what is inside our wrapping (if it has one)."""

    kind: Kind
    blob: str


class Sealing:
    """Makes the seals of accounts; one for all gateways that share a pepper."""

    __slots__ = ("_key",)

    def __init__(self, pepper: bytes) -> None:
        self._key = hmac.digest(pepper, b"weir sealed reasoning", "sha256")

    def seal(self, account: str, org: str) -> Seal:
        """Return the seal of an account."""
        return Seal(self._key, self._tag(b"account", account), self._tag(b"org", org))

    def _tag(self, of: bytes, name: str) -> bytes:
        return hmac.digest(self._key, b"%b\0%b" % (of, _bytes(name)), "sha256")[:TAG]


@dataclass(frozen=True, slots=True, repr=False)
class Seal:
    """Binds what one account is served, and tells what it brings back."""

    key: bytes
    account: bytes
    org: bytes

    def anchor(self, asked: str) -> bytes:
        """Return the keyed digest of what was asked; other accounts have others for it."""
        said = b"anchor\0%b%b" % (self.account, _bytes(asked))
        return hmac.digest(self.key, said, "sha256")[:ANCHOR]

    def wrap(self, blob: str, anchor: bytes) -> str:
        """Return a blob in our wrapping: the same for the same blob and anchor."""
        head = self.account + self.org + anchor
        return f"{MARK}{urlsafe_b64encode(head + self._mac(head, blob)).decode()[:LETTERS]}.{blob}"

    def unwrap(self, text: str, anchors: Sequence[bytes]) -> Unwrapped:
        """Return whose a text is, and its blob; never raises.

        anchors: of what it may have been served for
        """
        blob = bare(text)
        head = _head(text)
        if head is None:
            return Unwrapped(Kind.UNKNOWN, blob)
        told, mac = head[:-MAC], head[-MAC:]
        if not hmac.compare_digest(mac, self._mac(told, blob)):
            return Unwrapped(Kind.UNKNOWN, blob)
        account, org, anchor = told[:TAG], told[TAG : 2 * TAG], told[2 * TAG :]
        if account != self.account:
            return Unwrapped(Kind.SAME_ORG if org == self.org else Kind.ACCOUNT, blob)
        return Unwrapped(Kind.OWN if anchor in anchors else Kind.CONVERSATION, blob)

    def _mac(self, head: bytes, blob: str) -> bytes:
        return hmac.digest(self.key, b"blob\0%b%b" % (head, _bytes(blob)), "sha256")[:MAC]


def bare(text: str) -> str:
    """Return what is inside our wrapping; a text without one as it is.

    >>> bare("c2Vh"), bare("weir1." + 43 * "A" + ".c2Vh")
    ('c2Vh', 'c2Vh')
    """
    found = _HEAD.match(text)
    return text if found is None else text[found.end() :]


def _head(text: str) -> bytes | None:
    found = _HEAD.match(text)
    if found is None:
        return None
    try:
        head = urlsafe_b64decode(f"{found[1]}=")
    except Error:
        return None
    # The last letter can say more than its bits: one wrapping has one spelling.
    return head if urlsafe_b64encode(head).decode()[:LETTERS] == found[1] else None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
