"""Ending tasks that never end by themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


async def ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """End tasks that never end by themselves.

    Said again until it is heard: Python 3.11's `wait_for`, which redis-py uses, loses a
    cancellation that comes in the turn in which what it waits for is there.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1)
