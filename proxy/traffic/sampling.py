"""A keyed sample of accounts: the same traffic and seed give the same accounts, in any order."""

from __future__ import annotations

import hashlib
import heapq
from typing import TYPE_CHECKING

from proxy.traffic.reading import loose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from proxy.traffic.reading import Tally


def accounts_of(
    files: Iterable[Path], tally: Tally, progress: Callable[[int], None] | None = None
) -> set[str]:
    """Return the accounts of some files."""
    return {entry.account for file in files for _, _, entry in loose(file, tally, progress)}


def sampled(accounts: Iterable[str], number: int, seed: int = 0) -> frozenset[str]:
    """Return so many accounts, or all where there are fewer.

    A larger sample of the same seed holds a smaller one.

    >>> sampled("abcdefgh", 2) < sampled("hgfedcba", 5)
    True
    """
    key = f"weir sample {seed}".encode()

    def place(account: str) -> tuple[bytes, str]:
        text = account.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=key, digest_size=16).digest(), account

    return frozenset(heapq.nsmallest(number, accounts, key=place))
