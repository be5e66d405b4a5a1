"""The counters on a Redis Cluster: one call a hash tag, side by side.

A bucket's tag is the subject it counts by, so one request may touch several nodes. When a binding
bucket on one of them has no room, what the others took is given back: for that moment they count
too much, never too little.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from redis.exceptions import NoScriptError, RedisError

from proxy.core.errors import StoreUnavailableError
from proxy.limits.buckets import Distinct
from proxy.limits.charges import Charged, Settlement
from proxy.store import scripts
from proxy.store.memory import microseconds, once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import RedisCluster

    from proxy.limits.charges import Charge, Receipt
    from proxy.store.scripts import Script


class ClusterStore:
    """Counters on a cluster; fills `ports.CounterStore`. deadline: seconds a call may take."""

    def __init__(self, client: RedisCluster, deadline: float) -> None:
        self._client = client
        self._deadline = deadline
        self._offset = 0
        self.breaker_open = False
        self.lost = 0

    async def charge(self, charges: Sequence[Charge], now: int | None = None) -> Charged:
        """Take every charge, or only the non-binding ones."""
        once(charges)
        groups: dict[str, list[int]] = {}
        for index, charge in enumerate(charges):
            groups.setdefault(charge.tag, []).append(index)
        parts = [[charges[index] for index in group] for group in groups.values()]
        found = await asyncio.gather(
            *(self._charge(part, now) for part in parts), return_exceptions=True
        )
        good = [each for each in found if isinstance(each, Charged)]
        admitted = len(good) == len(found) and all(each.admitted for each in good)
        receipts: dict[int, Receipt] = {}
        back: list[Settlement] = []
        for group, part, each in zip(groups.values(), parts, found, strict=True):
            if not isinstance(each, Charged):
                continue
            for index, charge, receipt in zip(group, part, each.receipts, strict=True):
                kept = receipt
                undo = not admitted and charge.binding and receipt.taken
                if undo and not isinstance(charge.bucket, Distinct):
                    back.append(Settlement(charge, -charge.cost, receipt.mark))
                    kept = replace(receipt, taken=False, remaining=receipt.remaining + charge.cost)
                receipts[index] = kept
        if back:
            await self.settle(back, now)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        at = max((each.at for each in good), default=microseconds() if now is None else now)
        return Charged(admitted, tuple(receipts[index] for index in range(len(charges))), at)

    async def settle(self, settlements: Sequence[Settlement], now: int | None = None) -> int | None:
        """Correct taken charges; what cannot be said is counted as lost, leases come back alone."""
        at: int | None = None
        for settlement in settlements:
            keys, args = scripts.settle_words([settlement], now)
            try:
                if keys:
                    at = int(cast("bytes", await self._call(scripts.SETTLE, keys, args)))
            except StoreUnavailableError:
                self.lost += 1
        return at

    async def debit(self, charges: Sequence[Charge], now: int | None = None) -> None:
        """Count what was served while the cluster was away."""
        try:
            await self.charge(charges, now)
        except StoreUnavailableError:
            self.lost += len(charges)

    async def renew(self, leases: Sequence[Charge], now: int | None = None) -> None:
        """Push the deadlines of held leases on; best effort."""
        for lease in leases:
            keys, args = scripts.renew_words([lease], now)
            try:
                await self._call(scripts.SETTLE, keys, args)
            except StoreUnavailableError:
                return

    async def ping(self) -> None:
        """Return when the cluster answers."""
        try:
            async with asyncio.timeout(self._deadline):
                await self._client.ping()
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailableError("the cluster does not answer") from error

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    async def _charge(self, charges: Sequence[Charge], now: int | None) -> Charged:
        for _ in range(2):
            near = microseconds() + self._offset if now is None else now
            keys, args = scripts.charge_words(charges, now, near)
            answer = await self._call(scripts.CHARGE, keys, args)
            try:
                return scripts.charged(charges, answer)
            except scripts.ClockError as error:
                self._offset = error.at - microseconds()
        raise StoreUnavailableError("the cluster's clocks differ")

    async def _call(self, script: Script, keys: list[str], args: list[str]) -> list[bytes]:
        call = self._client.execute_command
        try:
            async with asyncio.timeout(self._deadline):
                try:
                    answer = await call("EVALSHA", script.sha, len(keys), *keys, *args)
                except NoScriptError:
                    answer = await call("EVAL", script.text, len(keys), *keys, *args)
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailableError(
                f"the cluster does not answer: {type(error).__name__}"
            ) from None
        return cast("list[bytes]", answer)
