"""A worker ends although one of its tasks does not hear it the first time."""

from __future__ import annotations

import asyncio

from proxy.assessment.tasks import ended


async def test_a_cancellation_that_was_lost_is_said_again():
    heard = 0

    async def deaf() -> None:
        nonlocal heard
        while heard < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:  # as a library does that loses it
                heard += 1

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)
    await asyncio.wait_for(ended(tasks), 10)
    assert heard == 2
    assert all(task.done() for task in tasks)
