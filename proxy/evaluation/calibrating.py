"""Calibration: the honest accounts that baselines learn from, and are not measured on.

A seeded 30 % of honest accounts is held out. What they ask in the first days is all that reference
sets and thresholds are made of; what they ask later is not looked at.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from proxy.evaluation.baselines import mmd, prada, seat
from proxy.evaluation.baselines.embedding import DIMENSIONS, Embedding
from proxy.evaluation.baselines.judging import FEWEST
from proxy.evaluation.baselines.windows import LARGE, SMALL, Windows

if TYPE_CHECKING:
    from collections.abc import Collection

    from proxy.evaluation.baselines.embedding import Floats, Vector
    from proxy.evaluation.baselines.judging import Judge
    from proxy.replay.played import Played
    from proxy.traffic.entry import Label

HELD_OUT = 0.3
SIZES = (SMALL, LARGE)
# Windows of one account, and of all, by size: no account is most of what is honest.
OF_ONE, OF_ALL = {SMALL: 3, LARGE: 2}, {SMALL: 600, LARGE: 100}
FAMILIES = ("requests", "distinct", "prada", "seat", "mmd")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Which honest accounts baselines are calibrated on: a share by a seeded hash of the id."""

    seed: int
    share: float = HELD_OUT

    def __call__(self, account: str, label: Label) -> bool:
        """Return whether a request is of the calibration part."""
        if label.kind != "benign":
            return False
        hashed = hashlib.blake2b(f"{self.seed}:{account}".encode(), digest_size=4).digest()
        return int.from_bytes(hashed, "big") < self.share * 2**32


@dataclass(slots=True)
class Calibration:
    """Collects the prompts of the calibration part; fills `Listener`.

    prompts: an even sample of them all (reservoir sampling, Vitter 1985)
    windows: full windows of single accounts, by size
    """

    embedding: Embedding
    seed: int
    requests: int = 0
    accounts: set[str] = field(default_factory=set)
    prompts: list[Vector] = field(default_factory=list)
    windows: dict[int, list[Vector]] = field(default_factory=lambda: {size: [] for size in SIZES})
    _open: Windows = field(default_factory=lambda: Windows(SIZES))
    _taken: dict[tuple[int, str], int] = field(default_factory=dict)
    _rng: Random = field(default_factory=Random)

    def __post_init__(self) -> None:
        self._rng = Random(f"{self.seed}:reservoir")  # noqa: S311 - no secret is made of it

    def decided(self, played: Played) -> None:
        """Take a request of an account that is held out."""
        prompt = text_of(played)
        if prompt is None:
            return
        account, vector = played.entry.account, self.embedding(prompt)
        self.requests += 1
        self.accounts.add(account)
        if len(self.prompts) < 2 * mmd.POOL:
            self.prompts.append(vector)
        else:
            place = self._rng.randrange(self.requests)
            if place < len(self.prompts):
                self.prompts[place] = vector
        for size, window in self._open.add(account, vector):
            taken = self._taken.get((size, account), 0)
            if taken < OF_ONE[size] and len(self.windows[size]) < OF_ALL[size]:
                self._taken[size, account] = taken + 1
                self.windows[size].append(window.astype(np.float16))

    def settled(self, played: Played) -> None:
        """Nothing is learnt of answers."""

    def judges(self, families: Collection[str]) -> tuple[list[Judge], list[str]]:
        """Return the window tests of some families, and what could not be calibrated and why."""
        found: list[Judge] = []
        missing = []
        rng = np.random.default_rng([self.seed, 0x33D])
        pool = np.zeros((0, DIMENSIONS), np.float32)
        if self.prompts:
            pool = np.stack(self.prompts).astype(np.float32)[rng.permutation(len(self.prompts))]
        for size in SIZES:
            honest: list[Floats] = [each.astype(np.float32) for each in self.windows[size]]
            for family in ("prada", "seat", "mmd"):
                if family not in families:
                    continue
                judge: Judge | None
                if family == "mmd":
                    judge, whole = mmd.judge(size, pool, honest, rng)
                else:
                    judge, whole = (prada if family == "prada" else seat).judge(size, honest)
                if judge is not None and judge.rules:
                    found.append(judge)
                if not whole:
                    missing.append(_missing(family, size, len(honest), len(pool)))
        return found, missing


def text_of(played: Played) -> str | None:
    """Return a request's prompt text; None where there is none (traffic made from a journal)."""
    facts = played.facts
    if facts is None or not facts.metered or played.entry.facts is not None:
        return None
    return facts.prompt


def _missing(family: str, size: int, windows: int, prompts: int) -> str:
    if family == "mmd" and prompts < 2 * size:
        return f"mmd-{size}: {prompts:,} honest prompts to calibrate on, {2 * size:,} are needed"
    which = "-by-account" if family == "mmd" else " at its calibrated thresholds"
    return (
        f"{family}-{size}{which}: {windows:,} honest windows to calibrate on, {FEWEST} are needed"
    )
