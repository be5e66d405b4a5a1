"""One request on its walk: what is known of it so far, and how it is settled and told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy import engine
from proxy.dialects.ratelimit_headers import LimitView
from proxy.journal.entries import limit_entries, note_usage
from proxy.limits.buckets import KINDS, Budget, Exposure, Lease, Rate, Window

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence

    from proxy.core.decision import Decision
    from proxy.core.facts import Usage
    from proxy.core.sealing import Kind
    from proxy.core.shape import Change
    from proxy.core.stored import Claim
    from proxy.dialects.binding import Bound
    from proxy.engine import Plan, Spent
    from proxy.front.observing import Asked, Kept
    from proxy.front.recording import Heard
    from proxy.journal.record import LimitEntry, Record
    from proxy.limits.buckets import Bucket
    from proxy.limits.charges import Charge, Charged, Receipt
    from proxy.policy.compiled import Limit

DAY = 86_400_000_000
MOST_RETRIES = 99
WINDOWS = {
    Window.HOUR: DAY // 24,
    Window.DAY: DAY,
    Window.WEEK: 7 * DAY,
    Window.MONTH: 30 * DAY,
}


@dataclass(slots=True)
class Exchange:
    """What the house knows of one request while it walks.

    record:  the journal's line, filled on the way
    began:   monotonic nanoseconds of its arrival
    plan, charged, local: what was reserved, and where: in the store, or in the process while blind
    spent:   tokens charged in the end
    billed:  something was served
    settling: the settlement on its way, once the ending is known
    begun: the head of the answer is on its way to the client
    claim: whose the stored object is that is read, with what was reserved for it
    kept:  the answer is still being made: what was reserved stays so until somebody reads it
    releasing: the settlement on its way of what the stored object had reserved that was read
    released_at: the store's moment of that, microseconds since the epoch
    heard: what is kept for the recording; None where there is none
    answer: the beginning of the answer as the client was given it; None where nobody wants it
    asked: what the request was like, for profiles; None where none are kept
    bound: what sealed reasoning in the answer is bound to
    foreign: how much sealed reasoning in the request is not its own, by kind; none where all is
    turned_away: a policy refuses that
    """

    record: Record
    began: int = field(default_factory=time.perf_counter_ns)
    plan: Plan | None = None
    charged: Charged | None = None
    local: Plan | None = None
    spent: Spent = engine.NOTHING
    billed: bool = False
    settling: asyncio.Task[None] | None = None
    begun: bool = False
    claim: Claim | None = None
    kept: bool = False
    releasing: asyncio.Task[None] | None = None
    released_at: int | None = None
    heard: Heard | None = None
    answer: Kept | None = None
    asked: Asked | None = None
    bound: Bound | None = None
    foreign: dict[Kind, int] = field(default_factory=dict)
    turned_away: bool = False

    def counted(self) -> Iterator[tuple[Limit, Charge, Receipt]]:
        """Yield each limit that was counted, where it was, with its charge and receipt."""
        plan = self.plan if self.local is None else self.local
        if plan is not None and self.charged is not None:
            yield from zip(plan.limits, plan.charges, self.charged.receipts, strict=True)

    def since(self) -> int:
        """Return the microseconds since the request's arrival."""
        return (time.perf_counter_ns() - self.began) // 1000

    def end(self, how: str, usage: Usage | None, *, billed: bool) -> None:
        """Note how the exchange ended, and with that what it costs (`engine.spent`)."""
        self.record.end = how
        assert self.plan is not None
        if usage is not None:
            note_usage(self.record, usage)
        self.billed = billed
        self.spent = engine.spent(self.plan, how, usage, billed=billed, kept=self.kept)


def entries(exchange: Exchange) -> list[LimitEntry]:
    """Return the journal's line for each limit; `charged` is what the request took in the end."""
    charged = exchange.charged
    return limit_entries(
        exchange.plan if exchange.local is None else exchange.local,
        charged,
        exchange.spent,
        plan=exchange.plan,
        given_back=exchange.record.end == "refused" and charged is not None and charged.admitted,
    )


def views(exchange: Exchange) -> Sequence[LimitView]:
    """Return the limits as a client may see them."""
    return [
        LimitView(
            name=f"{limit.policy}/{limit.name}",
            unit=limit.unit.value,
            kind=KINDS[type(charge.bucket)],
            amount=charge.bucket.amount,
            period=period(charge.bucket),
            remaining=receipt.remaining,
            reset=receipt.reset,
            binding=charge.binding,
            largest=charge.bucket.burst if isinstance(charge.bucket, Rate) else 0,
        )
        for limit, charge, receipt in exchange.counted()
    ]


def period(bucket: Bucket) -> int:
    """Return the stretch that a bucket's amount is for, microseconds; 0 for a lease."""
    match bucket:
        case Budget(window=window):
            return WINDOWS[window]
        case Exposure(half_life=half_life):
            return half_life
        case Lease():
            return 0
        case _:
            return bucket.period


def retries(text: str) -> int:
    """Return which try an SDK says this is; what is no small number says nothing."""
    return min(int(text), MOST_RETRIES) if text.isascii() and text.isdigit() else 0


def told(decision: Decision, changes: Sequence[Change], *, codes: bool) -> dict[str, str]:
    """Return the headers that tell what was done to a request: nothing where nothing was.

    codes: whether they are told at all
    """
    if not codes or not (changes or decision.reasons):
        return {}
    found = dict.fromkeys(reason.says or reason.code for reason in decision.reasons)
    found |= dict.fromkeys(change.code for change in changes)
    headers = {"codes": " ".join(found)}
    if changes:
        headers["shape"] = ", ".join(_item(change) for change in changes)
    return headers


def _item(change: Change) -> str:
    """Return a change as an item of a structured field (RFC 9651).

    >>> from proxy.core.shape import Change
    >>> _item(Change("clamp", "n", "16", "1")), _item(Change("strip", "logprobs"))
    ('clamp;of=n;asked="16";given="1"', 'strip;of=logprobs')
    """
    parts = [f"{change.verb};of={change.what}"]
    for name in ("asked", "given"):
        value = getattr(change, name)
        if value:
            safe = "".join(each for each in value[:64] if each.isascii() and each.isprintable())
            parts.append(f'{name}="{safe.translate(_ESCAPED)}"')
    return ";".join(parts)


_ESCAPED = str.maketrans({'"': r"\"", "\\": r"\\"})
