"""Where delayed requests wait: a few at one time, so that a crowd of them cannot hold us up."""

from __future__ import annotations

import asyncio
from collections import Counter

SHARE = 4  # of the room's places, one account has at most one in so many


class WaitingRoom:
    """At most `most` requests of a worker wait at one time, a quarter of them of one account."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._each = -(-most // SHARE)
        self._inside: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    async def wait(self, account: str, microseconds: int) -> bool:
        """Return after the wait, or at once with False where there is no place.

        A client that leaves meanwhile frees its place: cancelling ends the wait.
        """
        if self._count >= self._most or self._inside[account] >= self._each:
            return False
        self._count += 1
        self._inside[account] += 1
        try:
            await asyncio.sleep(microseconds / 1_000_000)
        finally:
            self._count -= 1
            self._inside[account] -= 1
            if not self._inside[account]:
                del self._inside[account]
        return True
