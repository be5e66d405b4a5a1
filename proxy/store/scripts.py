"""The Lua scripts and the words in which they are spoken to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from proxy.core.errors import StoreUnavailableError
from proxy.core.standing import standing_of
from proxy.limits import budget, distinct, exposure, lease, rate, rolling
from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling
from proxy.limits.charges import Charged, bounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.core.standing import Standing
    from proxy.limits.charges import Charge, Found, Receipt, Settlement

HEAD, EACH = 2, 4


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the digest by which a server knows it."""

    text: str
    sha: str


def script(*parts: str) -> Script:
    """Read one of the package's scripts, made of these files one after another."""
    folder = resources.files("proxy.store").joinpath("lua")
    text = "".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in parts)
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


CHARGE = script("common", "charge")
SETTLE = script("common", "settle")
STANDING = script("standing")
LIFT = script("lift")
TAKE = script("take")
PROFILE = script("profile")
DUE = script("due")


class ClockError(StoreUnavailableError):
    """Our idea of the calendar window does not hold the server's time.

    at: the server's time, microseconds
    """

    def __init__(self, at: int) -> None:
        super().__init__("the server's clock is in another calendar window than ours")
        self.at = at


def charge_words(
    charges: Sequence[Charge], now: int | None, near: int, standing: str = ""
) -> tuple[list[str], list[str]]:
    """Return KEYS and ARGV of the charge script.

    near:     about what the server's clock says, for the calendar windows
    standing: the key of a standing to be told, '' for none
    """
    keys: list[str] = []
    args = ["" if now is None else str(now), "1" if standing else "0"]
    for charge in charges:
        keys.append(charge.key)
        binding = "1" if charge.binding else "0"
        cost = bounded(charge.cost)
        match charge.bucket:
            case Rate() as bucket:
                gauge = bucket.gauge
                args += (
                    "1", binding, str(rate.scaled(gauge, cost)),
                    str(gauge.capacity), str(gauge.drain), str(gauge.scale), "", "",
                )  # fmt: skip
            case Budget() as bucket:
                starts = budget.around(bucket.window, near)
                args += ("2", binding, str(cost), str(bucket.amount), *map(str, starts))
            case Rolling() as bucket:
                width = str(bucket.slice)
                slices = str(rolling.SLICES)
                args += ("3", binding, str(cost), str(bucket.amount), width, slices, "", "")
            case Lease() as bucket:
                args += (
                    "4", binding, str(cost),
                    str(bucket.amount), str(bucket.hold), charge.token, "", "",
                )  # fmt: skip
            case Distinct() as bucket:
                keys.append(f"{charge.key}:cells")
                args += (
                    "5", binding, str(cost), str(bucket.most),
                    str(bucket.slice), str(rolling.SLICES),
                    str(distinct.cell(bucket, charge.token)) if cost else "0", "",
                )  # fmt: skip
            case Exposure() as bucket:
                step = str(bucket.step)
                args += ("6", binding, str(cost), str(bucket.amount), step, "", "", "")
    if standing:
        keys.append(standing)
    return keys, args


def charged(charges: Sequence[Charge], answer: list[bytes]) -> Charged:
    """Return what the charge script answered. Raises ClockError."""
    at = int(answer[0])
    if answer[1] == b"clock":
        raise ClockError(at)
    admitted = answer[1] == b"1"
    receipts = []
    for index, charge in enumerate(charges):
        start = HEAD + EACH * index
        fits, x, y, z = answer[start : start + EACH]
        number = float(x) if isinstance(charge.bucket, Exposure) else int(x)
        receipts.append(
            _receipt(
                charge, at, (fits == b"1", number, int(y), int(z)),
                taken=admitted or not charge.binding,
            )
        )  # fmt: skip
    return Charged(admitted, tuple(receipts), at)


def _receipt(charge: Charge, now: int, found: Found, *, taken: bool) -> Receipt:
    """Return the receipt of a charge for which the script found this: the same as in memory."""
    fits, x, y, z = found
    cost, whole = bounded(charge.cost), int(x)
    match charge.bucket:
        case Rate() as bucket:
            return rate.receipt(bucket, cost, whole, fits=fits, taken=taken)
        case Budget() as bucket:
            return budget.receipt(bucket, cost, whole, y, now, fits=fits, taken=taken)
        case Rolling() as bucket:
            return rolling.receipt(bucket, cost, whole, y, z, now, fits=fits, taken=taken)
        case Lease() as bucket:
            return lease.receipt(bucket, cost, whole, z, now, fits=fits, taken=taken)
        case Distinct() as bucket:
            return distinct.receipt(bucket, whole, y, z, now, fits=fits)
        case Exposure() as bucket:
            return exposure.receipt(bucket, cost, x, y, now, fits=fits, taken=taken)


def standing_told(answer: list[bytes]) -> Standing | None:
    """Return the standing in the answer of a charge script that was asked for one.

    None for a clear account, and for a standing that has run out at the server's moment.
    ValueError for bytes that are no standing.
    """
    kept = answer[-1]
    if not kept:
        return None
    return standing_of(kept).at(int(answer[0]))


def settle_words(settlements: Sequence[Settlement], now: int | None) -> tuple[list[str], list[str]]:
    """Return KEYS and ARGV of the settle script."""
    keys: list[str] = []
    args = ["" if now is None else str(now)]
    for settlement in settlements:
        charge, mark = settlement.charge, str(settlement.mark)
        delta = bounded(settlement.delta)
        match charge.bucket:
            case Rate() as bucket:
                gauge = bucket.gauge
                words = (
                    "1",
                    str(rate.scaled(gauge, delta)),
                    str(gauge.drain),
                    str(gauge.scale),
                    "",
                )
            case Budget():
                words = ("2", str(delta), mark, "", "")
            case Rolling() as bucket:
                width = str(bucket.slice)
                words = ("3", str(delta), width, str(rolling.SLICES), mark)
            case Lease():
                words = ("4", "0", charge.token, "", "")
            case Exposure() as bucket:
                words = ("6", str(delta), str(bucket.step), mark, "")
            case Distinct():
                continue
        keys.append(charge.key)
        args += words
    return keys, args


def renew_words(leases: Sequence[Charge], now: int | None) -> tuple[list[str], list[str]]:
    """Return KEYS and ARGV of the settle script for renewals."""
    keys: list[str] = []
    args = ["" if now is None else str(now)]
    for charge in leases:
        if isinstance(charge.bucket, Lease):
            keys.append(charge.key)
            args += ("7", "0", charge.token, str(charge.bucket.hold), "")
    return keys, args
