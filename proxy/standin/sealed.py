"""Reasoning that a client carries and cannot read: sealed here, and known again when it returns.

A seal is the same for the same text. It is a toy cipher with a key that anybody can read here: it
shows whether a seal passes unharmed, and keeps the words out of it; it protects nothing.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b, shake_128

_KEY = b"the stand-in's seal"
_MAC = 16


def sealed(text: str) -> str:
    """Return the seal of a text: url-safe base64, four thirds its length."""
    plain = text.encode()
    mac = _mac(plain)
    return urlsafe_b64encode(mac + _ciphered(plain, mac)).decode()


def opened(seal: str) -> str | None:
    """Return what was sealed, None where it was not sealed here or has changed since."""
    try:
        read = urlsafe_b64decode(seal.encode())
    except (binascii.Error, ValueError):
        return None
    # Base64 lets characters in that are none of its own, and a last one that means less than it
    # can say.
    if len(read) < _MAC or urlsafe_b64encode(read).decode() != seal:
        return None
    mac = read[:_MAC]
    plain = _ciphered(read[_MAC:], mac)
    return plain.decode() if hmac.compare_digest(_mac(plain), mac) else None


def _mac(plain: bytes) -> bytes:
    return blake2b(plain, key=_KEY, digest_size=_MAC).digest()


def _ciphered(text: bytes, mac: bytes) -> bytes:
    stream = shake_128(_KEY + mac).digest(len(text))
    whole = int.from_bytes(text) ^ int.from_bytes(stream)
    return whole.to_bytes(len(text))
