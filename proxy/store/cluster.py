"""The counters on a Redis Cluster: one call a hash tag, side by side.

A bucket's tag is the subject it counts by, so one request may touch several nodes. When a binding
bucket on one of them has no room, what the others took is given back: for that moment they count
too much, never too little.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from redis.exceptions import NoScriptError

from proxy.core.errors import StoreUnavailableError
from proxy.limits.buckets import Distinct
from proxy.limits.charges import Charge, Charged, Settlement
from proxy.store import scripts
from proxy.store.backlog import Backlog
from proxy.store.client import FAILURES
from proxy.store.memory import microseconds, once
from proxy.store.wire import sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import RedisCluster

    from proxy.limits.charges import Receipt
    from proxy.store.scripts import Script

MISSES = 3
TRIAL = 0.2


class ClusterStore:
    """Counters on a cluster; fills `ports.CounterStore`.

    deadline: seconds that a call may take
    After three misses in a row the breaker opens: one call in `TRIAL` seconds is let through to
    see whether the cluster answers again, all others fail at once.
    For metrics: as `RedisStore`, but for `late`.
    """

    def __init__(self, client: RedisCluster, deadline: float) -> None:
        self._client = client
        self._deadline = deadline
        self._offset = 0
        self._misses = 0
        self._trial_at = 0.0
        self.backlog = Backlog(self._said, self._debit)
        self.breaker_open = False
        self.timeouts = 0
        self.unreadable = 0

    async def charge(
        self, charges: Sequence[Charge], now: int | None = None, standing: str = ""
    ) -> Charged:
        """Take every charge, or only the non-binding ones; a standing is told by its own node."""
        once(charges)
        tags = _by_tag(charges)
        asked = _tag_of(standing) if standing else ""
        if standing:
            tags.setdefault(asked, [])
        groups = list(tags.values())
        parts = [[charges[index] for index in group] for group in groups]
        found = await asyncio.gather(
            *(
                self._charge(part, now, standing if tag == asked else "")
                for tag, part in zip(tags, parts, strict=True)
            ),
            return_exceptions=True,
        )
        good = [each for each in found if isinstance(each, Charged)]
        admitted = len(good) == len(found) and all(each.admitted for each in good)
        receipts: dict[int, Receipt] = {}
        back: list[Settlement] = []
        for group, part, each in zip(groups, parts, found, strict=True):
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
        told = next((each.standing for each in good if each.standing is not None), None)
        taken = tuple(receipts[index] for index in range(len(charges)))
        return Charged(admitted, taken, at, told)

    async def settle(self, settlements: Sequence[Settlement], now: int | None = None) -> int | None:
        """Correct taken charges; None when some of it has to wait for the cluster."""
        said = [one for one in settlements if not isinstance(one.charge.bucket, Distinct)]
        groups = _by_tag([one.charge for one in said]).values()
        moments = await asyncio.gather(
            *(self._settle([said[index] for index in group], now) for group in groups)
        )
        known = [moment for moment in moments if moment is not None]
        return max(known) if known and len(known) == len(moments) else None

    async def debit(self, charges: Sequence[Charge], now: int | None = None) -> None:
        """Count what was served while the cluster was away."""
        parts = _by_tag(charges).values()
        plain = [replace(charge, binding=False) for charge in charges]
        await asyncio.gather(*(self._debit([plain[i] for i in part], now) for part in parts))

    async def renew(self, leases: Sequence[Charge], now: int | None = None) -> None:
        """Push the deadlines of held leases on; best effort."""
        await asyncio.gather(
            *(self._call(scripts.SETTLE, *scripts.renew_words([lease], now)) for lease in leases),
            return_exceptions=True,
        )

    async def ping(self) -> None:
        """Return when the cluster answers. StoreUnavailableError."""
        try:
            async with asyncio.timeout(self._deadline):
                await self._client.ping()
        except FAILURES as error:
            raise StoreUnavailableError(sentence(error)) from None

    async def close(self) -> None:
        """Say what is still to be said, if the cluster is there; let go of connections."""
        await self.backlog.close()
        await self._client.aclose()

    async def _charge(
        self, charges: Sequence[Charge], now: int | None, standing: str = ""
    ) -> Charged:
        for _ in range(2):
            near = microseconds() + self._offset if now is None else now
            keys, args = scripts.charge_words(charges, now, near, standing)
            answer = await self._call(scripts.CHARGE, keys, args)
            try:
                found = scripts.charged(charges, answer)
            except scripts.ClockError as error:
                self._offset = error.at - microseconds()
            else:
                return self._with_standing(found, answer) if standing else found
        raise StoreUnavailableError("the clocks of the cluster's nodes differ too much")

    def _with_standing(self, found: Charged, answer: list[bytes]) -> Charged:
        try:
            told = scripts.standing_told(answer)
        except ValueError:
            self.unreadable += 1
            return found
        return found if told is None else replace(found, standing=told)

    async def _settle(self, settlements: Sequence[Settlement], now: int | None) -> int | None:
        keys, args = scripts.settle_words(settlements, now)
        if not self._lets_through():
            self.backlog.keep(settlements)
            return None
        try:
            return int(cast("bytes", await self._call(scripts.SETTLE, keys, args, asked=True)))
        except StoreUnavailableError:
            # It may have been done all the same; the client does not say.
            self.backlog.keep_safe(settlements)
            return None

    async def _said(self, settlements: Sequence[Settlement]) -> bool:
        return await self.settle(settlements) is not None

    async def _debit(self, charges: Sequence[Charge], now: int | None = None) -> bool:
        try:
            await self._charge(charges, now)
        except StoreUnavailableError:
            self.backlog.keep(charges)
            return False
        return True

    def _lets_through(self) -> bool:
        """Return whether a call may try, and take the trial if it is one."""
        if not self.breaker_open:
            return True
        now = asyncio.get_running_loop().time()
        if now < self._trial_at:
            return False
        self._trial_at = now + TRIAL
        return True

    async def _call(
        self, script: Script, keys: list[str], args: list[str], *, asked: bool = False
    ) -> list[bytes]:
        if not asked and not self._lets_through():
            raise StoreUnavailableError("the cluster does not answer")
        call = self._client.execute_command
        try:
            async with asyncio.timeout(self._deadline):
                try:
                    answer = await call("EVALSHA", script.sha, len(keys), *keys, *args)
                except NoScriptError:
                    answer = await call("EVAL", script.text, len(keys), *keys, *args)
        except FAILURES as error:
            self.timeouts += isinstance(error, TimeoutError)
            self._misses += 1
            self.breaker_open = self.breaker_open or self._misses >= MISSES
            raise StoreUnavailableError(sentence(error)) from None
        self._misses = 0
        self.breaker_open = False
        self.backlog.resume()
        return cast("list[bytes]", answer)


def _by_tag(charges: Sequence[Charge]) -> dict[str, list[int]]:
    """Return the positions of charges by their hash tags."""
    groups: dict[str, list[int]] = {}
    for index, charge in enumerate(charges):
        groups.setdefault(charge.tag, []).append(index)
    return groups


def _tag_of(key: str) -> str:
    """Return the hash tag of a key; an account may have braces in its name, what follows has none.

    >>> _tag_of("weir1:default:{account:4:acme}:standing")
    'account:4:acme'
    """
    return key[key.index("{") + 1 : key.rindex("}")]
