"""Reservations: what a background answer took beforehand, written down to be settled later.

Another worker may settle it, after a reload too: all that a settlement needs is in the bytes, but
for the prices. They hold keys, kinds and numbers; no prompt and no secret.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import orjson

from proxy.engine.planning import costs
from proxy.limits.buckets import KINDS, Budget, Distinct, Exposure, Lease, Rate, Rolling, Window
from proxy.limits.charges import Charge, Charged, Settlement
from proxy.policy.compiled import Unit

if TYPE_CHECKING:
    from proxy.engine.planning import Plan
    from proxy.limits.buckets import Bucket
    from proxy.policy.compiled import Model

VERSION = 1


def reservation(plan: Plan, charged: Charged) -> bytes:
    """Return what was taken and can be corrected or given back, as JSON."""
    return orjson.dumps(
        {
            "v": VERSION,
            "charges": [
                {
                    "tag": charge.tag,
                    "key": charge.key,
                    "kind": KINDS[type(charge.bucket)],
                    "bucket": _numbers(charge.bucket),
                    "unit": limit.unit.value,
                    "cost": charge.cost,
                    "mark": receipt.mark,
                    "token": charge.token if isinstance(charge.bucket, Lease) else "",
                }
                for limit, charge, receipt in zip(
                    plan.limits, plan.charges, charged.receipts, strict=True
                )
                if receipt.taken and not isinstance(charge.bucket, Distinct)
            ],
        }
    )


def settle_reservation(
    reservation: bytes, model: Model, prompt: int, output: int, cached: int = 0
) -> list[Settlement]:
    """Return the corrections that make a reservation what the answer really took.

    Concurrency slots that are still held are given back.
    model: with the prices in force now. ValueError for bytes that are no reservation.
    """
    told = orjson.loads(reservation)
    try:
        if told["v"] != VERSION:
            raise ValueError("a reservation of another version")
        found = [_read(each) for each in told["charges"]]
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise ValueError("no reservation") from error
    took = costs(prompt, output, model, cached)
    settlements = []
    for unit, charge, mark in found:
        delta = took[unit] - charge.cost
        if delta or isinstance(charge.bucket, Lease):
            settlements.append(Settlement(charge, delta, mark))
    return settlements


def _numbers(bucket: Bucket) -> dict[str, int | str]:
    """Return what a bucket is made from; what follows from that is left out."""
    return {each.name: getattr(bucket, each.name) for each in fields(bucket) if each.init}


def _read(told: dict[str, object]) -> tuple[Unit, Charge, int]:
    """Return a charge as it was written; KeyError, TypeError, ValueError for anything else."""
    charge = Charge(
        _text(told["tag"]),
        _text(told["key"]),
        _bucket(told),
        _number(told["cost"]),
        token=_text(told["token"]),
    )
    return Unit(_text(told["unit"])), charge, _number(told["mark"])


def _bucket(told: dict[str, object]) -> Bucket:
    numbers = told["bucket"]
    if not isinstance(numbers, dict):
        raise TypeError("no numbers")
    amount = _number(numbers["amount"])
    match told["kind"]:
        case "rate":
            return Rate(amount, _number(numbers["period"]), _number(numbers["burst"]))
        case "budget":
            return Budget(amount, Window(_text(numbers["window"])))
        case "rolling":
            return Rolling(amount, _number(numbers["period"]))
        case "lease":
            return Lease(amount, _number(numbers["hold"]))
        case "exposure":
            return Exposure(amount, _number(numbers["half_life"]))
    raise ValueError("no kind of bucket that can be corrected")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("no text")


def _number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError("no whole number")
