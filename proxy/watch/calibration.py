"""Calibration: from scores to log-likelihood ratios, made of what honest accounts do.

A curve says how rare it is that an honest account's score *ever* gets so high in the time that
was looked at: what is counted is each account's highest score. So an account may be looked at with
each request and on every day, and the chance stays what it is (anytime-valid by construction).

With p that chance, the likelihood ratio is taken as 0.1 / p, of volume as 0.3 / p: a harvester gets
there with such a chance at least. It is never below 1: the absence of a sign exonerates nobody.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from proxy.watch.curve import Curve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The least chance that a harvester reaches a score, as the ratio takes it: whoever collects does so
# in quantity, so of volume it is more.
REACHED, REACHED_VOLUME = 0.1, 0.3
WEIGHT = 30.0  # accounts of the whole that an archetype's own chance is mixed with
FEWEST = 10  # accounts of an archetype that are looked at apart
LEAST = 1.5  # a score below says nothing, however rare it is
MARGIN = 1.05  # beyond the highest honest score by so much, nobody honest is known to have got
MOST_STEPS = 64
VERSION = 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curves by detector, and that of their sum.

    curves:     score -> nats of evidence, by detector
    together:   the sum over families -> nats, so that families that go together in honest
                accounts count but once
    accounts:   honest accounts that it was made of; archetypes: how many of each
    lasted:     microseconds of traffic that it was made of
    """

    curves: Mapping[str, Curve] = field(default_factory=dict)
    together: Curve = field(default_factory=Curve)
    accounts: int = 0
    archetypes: Mapping[str, int] = field(default_factory=dict)
    lasted: int = 0

    @property
    def most(self) -> float:
        """The most nats that a sum can give: no more than so many accounts can show."""
        return self.together.nats[-1] if self.together.nats else 0.0

    @property
    def digest(self) -> str:
        """Name of these very tables, 16 hex digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:16]

    def to_bytes(self) -> bytes:
        """Return the file: JSON, its keys in order."""
        plain = {
            "v": VERSION,
            "accounts": self.accounts,
            "archetypes": dict(self.archetypes),
            "lasted": self.lasted,
            "curves": {name: _steps(curve) for name, curve in self.curves.items()},
            "together": _steps(self.together),
        }
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"


def calibration_of(data: bytes) -> Calibration:
    """Return what a file says; ValueError, with a sentence, for anything else."""
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is no JSON ({error})") from None
    if not isinstance(told, dict) or told.get("v") != VERSION:
        raise ValueError(f"is no calibration of version {VERSION} (weir calibrate makes one)")
    try:
        return Calibration(
            {str(name): _curve(steps) for name, steps in told["curves"].items()},
            _curve(told["together"]),
            int(told["accounts"]),
            {str(name): int(many) for name, many in told["archetypes"].items()},
            int(told["lasted"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"lacks or misspells {error} (weir calibrate makes one)") from None


def curve_of(
    highest: Sequence[float],
    archetypes: Sequence[str],
    cap: float,
    reached: float = REACHED,
    least: float = LEAST,
) -> Curve:
    """Return the curve of a score.

    highest:    each honest account's highest score
    archetypes: what each account is like; '' for all where nobody knows
    cap:        the most nats
    reached:    1.0 for a curve of log chances as they are
    least:      a score below it gives nothing

    The chance of a score is that of the worst archetype: (k + w q) / (n + w) of its n accounts,
    with q = (K + 1) / (N + 1) of all accounts and w = WEIGHT, so that a small archetype says no
    more than it can.
    """
    order = sorted(zip(highest, archetypes, strict=True), reverse=True)
    sizes = {name: archetypes.count(name) for name in set(archetypes)}
    above = dict.fromkeys(sizes, 0)
    steps: list[tuple[float, float]] = []
    bound = max(least, order[0][0] * MARGIN) if order else 0.0
    seen = 0
    place = 0
    while bound > 0.0:
        chance = _chance(seen, len(order), above, sizes)
        steps.append((bound, min(cap, max(0.0, math.log(reached / chance)))))
        if place >= len(order) or steps[-1][1] <= 0.0 or order[place][0] < least:
            break
        bound = order[place][0]
        while place < len(order) and order[place][0] == bound:
            above[order[place][1]] += 1
            seen += 1
            place += 1
    return _thinned(steps[::-1])


def _chance(seen: int, of: int, above: Mapping[str, int], sizes: Mapping[str, int]) -> float:
    whole = (seen + 1) / (of + 1)
    worst = max(
        (
            (above[name] + WEIGHT * whole) / (size + WEIGHT)
            for name, size in sizes.items()
            if size >= FEWEST
        ),
        default=whole,
    )
    return max(whole, worst)


def _thinned(steps: Sequence[tuple[float, float]]) -> Curve:
    """Return a curve of about MOST_STEPS steps at most, each at the highest score it stands for."""
    rising: list[tuple[float, float]] = []
    for score, nats in steps:
        if nats > (rising[-1][1] if rising else 0.0):
            rising.append((score, nats))
    if len(rising) > MOST_STEPS:
        most = rising[-1][1]
        kept: list[tuple[float, float]] = []
        for score, nats in rising:
            if not kept or nats - kept[-1][1] >= most / MOST_STEPS:
                kept.append((score, nats))
        rising = kept if kept[-1] == rising[-1] else [*kept, rising[-1]]
    return Curve(
        tuple(round(score, 6) for score, _ in rising), tuple(round(nats, 4) for _, nats in rising)
    )


def _steps(curve: Curve) -> dict[str, list[float]]:
    return {"scores": list(curve.scores), "nats": list(curve.nats)}


def _curve(steps: Mapping[str, Sequence[float]]) -> Curve:
    scores = tuple(float(score) for score in steps["scores"])
    nats = tuple(float(each) for each in steps["nats"])
    rises = all(map(_below, itertools.pairwise(scores)))
    climbs = all(map(_below, itertools.pairwise(nats)))
    if len(scores) != len(nats) or not rises or not climbs:
        raise ValueError("holds a curve that does not rise (weir calibrate makes one)")
    return Curve(scores, nats)


def _below(pair: tuple[float, float]) -> bool:
    return pair[0] < pair[1]
