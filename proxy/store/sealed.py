"""Profiles as they are stored: sealed, and of a few sizes only.

A profile is sealed with AES-GCM under a key of its own, made of the pepper and of the profile's key
in the store, so that a dump tells nothing of what was asked and no profile passes for another's. A
key of its own also keeps random nonces far from the 2^32 uses that they are good for (NIST SP
800-38D, 8.3). Beside the profile stand the newest batch numbers of those who wrote it last.

Stored: the version (1 byte), the nonce (12), the sealed bytes and their tag (16). Sealed: length
(2 bytes, little), how many writers (1), those (14 each), the profile, zeros.
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.watch.profile import HALF_LIVES, Profile, profile_of

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = b"\x02"
NONCE, TAG = 12, 16
STAMP = len(VERSION) + NONCE  # bytes at the beginning, which no two stored profiles share
NAME, NUMBER = 8, 6  # bytes of a writer's name and of a batch's number
MOST_WRITERS = 8
# What a server's allocator gives (jemalloc's size classes), less the string's own head: the steps
# cost no memory, and so many different lengths are all that a dump shows.
CLASSES = (512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096)
STRING_HEAD = 6

Writers = dict[bytes, int]


class Seal:
    """Seals profiles; only who has the pepper can read or make one."""

    __slots__ = ("_secret",)

    def __init__(self, pepper: bytes) -> None:
        self._secret = hmac.digest(pepper, b"weir profiles", "sha256")

    def sealed(self, key: str, writers: Writers, profile: Profile) -> bytes:
        """Return what is stored under a key."""
        plain = b"".join(
            (
                bytes([len(writers)]),
                *(name + number.to_bytes(NUMBER, "little") for name, number in writers.items()),
                profile.to_bytes(),
            )
        )
        framed = len(plain).to_bytes(2, "little") + plain
        framed = framed.ljust(_room(len(framed)), b"\0")
        nonce = os.urandom(NONCE)
        return VERSION + nonce + self._cipher(key).encrypt(nonce, framed, VERSION)

    def opened(
        self, key: str, stored: bytes, half_lives: Mapping[str, int] = HALF_LIVES
    ) -> tuple[Writers, Profile]:
        """Return what was sealed; ValueError for anything else."""
        if stored[:1] != VERSION:
            raise ValueError("no profile")
        try:
            framed = self._cipher(key).decrypt(stored[1:STAMP], stored[STAMP:], VERSION)
        except InvalidTag:
            raise ValueError("no profile") from None
        plain = framed[2 : 2 + int.from_bytes(framed[:2], "little")]
        end = 1 + (NAME + NUMBER) * plain[0]
        writers = {
            plain[at : at + NAME]: int.from_bytes(plain[at + NAME : at + NAME + NUMBER], "little")
            for at in range(1, end, NAME + NUMBER)
        }
        return writers, profile_of(plain[end:], half_lives)

    def _cipher(self, key: str) -> AESGCM:
        return AESGCM(hmac.digest(self._secret, key.encode(), "sha256"))


def noted(writers: Writers, name: bytes, number: int) -> Writers:
    """Return the writers with one batch more, the newest last; the oldest is forgotten.

    >>> noted({b"a": 1, b"b": 7}, b"a", 2)
    {b'b': 7, b'a': 2}
    """
    others = [(each, newest) for each, newest in writers.items() if each != name]
    return dict([*others[-(MOST_WRITERS - 1) :], (name, number)])


def _room(length: int) -> int:
    """Return how long so many bytes become."""
    around = STAMP + TAG + STRING_HEAD
    for whole in CLASSES:
        if length + around <= whole:
            return whole - around
    return length
