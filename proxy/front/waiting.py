"""Where delayed requests wait: a few at one time, so that a crowd of them cannot hold us up."""

from __future__ import annotations

import asyncio


class WaitingRoom:
    """At most `most` requests of a worker wait at one time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0

    def __len__(self) -> int:
        return self._inside

    async def wait(self, microseconds: int) -> bool:
        """Return after the wait, or at once with False where the room is full.

        A client that leaves meanwhile frees its place: cancelling ends the wait.
        """
        if self._inside >= self._most:
            return False
        self._inside += 1
        try:
            await asyncio.sleep(microseconds / 1_000_000)
        finally:
            self._inside -= 1
        return True
