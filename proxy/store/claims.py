"""A claim as a store keeps it: a line of JSON, then the bytes of its reservation, if any."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import orjson

from proxy.core.sealing import ANCHOR
from proxy.core.shape import NO_SHAPE, Shape
from proxy.core.stored import Claim

WHOLE = frozenset({"n", "best_of", "output_tokens", "top_logprobs", "truncate", "delay"})
DECIMAL = frozenset({"temperature_min", "temperature_max"})
SEVERAL = {"names": tuple, "strip": frozenset}


def claim_bytes(claim: Claim) -> bytes:
    """Return what stores keep of a claim."""
    told: dict[str, object] = {
        "account": claim.account, "model": claim.model, "shape": _told(claim.shape),
    }  # fmt: skip
    if claim.anchor:
        told["anchor"] = claim.anchor.hex()
    line = orjson.dumps(told)
    return line + b"\n" + claim.reservation


def claim_of(kept: bytes) -> Claim:
    r"""Return what `claim_bytes` wrote; ValueError for anything else.

    >>> claim_of(claim_bytes(Claim("acme", "m", Shape(n=1), b"\n\x00"))).shape.n
    1
    """
    line, _, reservation = kept.partition(b"\n")
    match told := orjson.loads(line):
        case {"account": str(account), "model": str(model), "shape": dict(shape)}:
            anchor = bytes.fromhex(str(told.get("anchor", "")))
            if len(anchor) not in {0, ANCHOR}:
                raise ValueError("no anchor")
            return Claim(account, model, _shape_of(shape), reservation, anchor)
    raise ValueError("no claim")


def _told(shape: Shape) -> dict[str, object]:
    """Return what a shape changes, by name."""
    told: dict[str, object] = {}
    for each in fields(Shape):
        value = getattr(shape, each.name)
        if value != getattr(NO_SHAPE, each.name):
            told[each.name] = sorted(value) if each.name in SEVERAL else value
    return told


def _shape_of(told: dict[str, Any]) -> Shape:
    """Return a shape; ValueError for changes that this version does not know, not less of them."""
    if not told:
        return NO_SHAPE
    if not all(_sound(name, value) for name, value in told.items()):
        raise ValueError("no shape")
    several = {name: SEVERAL[name](told[name]) for name in told.keys() & SEVERAL.keys()}
    return Shape(**{**told, **several})


def _sound(name: str, value: object) -> bool:
    if name in SEVERAL:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if name in WHOLE:
        return type(value) is int
    if name in DECIMAL:
        return type(value) in {int, float}
    return (name == "hide_reasoning" and value is True) or (
        name == "effort" and isinstance(value, str)
    )
