"""Make proxy/watch/honest.bin of a population: what honest archetypes ask, as means of vectors.

    python bench/references.py [bench/populations/calibration.yaml] --data DIR --seed 2 \\
        --out proxy/watch/honest.bin

For each archetype, the mean of its prompts' coordinates and what whitens their spread: 33 kB, of
MOST prompts of an account at most, so that no account is an archetype. The accounts are others than
those of the shipped calibration where the seed is another; the texts are of the same sources.
Without --out nothing is written, and each archetype's distance to the nearest other is told.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from proxy.cli.source import Source
from proxy.policy.loader import load
from proxy.replay.player import Player
from proxy.replay.watching import Watching
from proxy.watch.calibration import Calibration
from proxy.watch.detectors import DETECTORS
from proxy.watch.distribution import DIMENSIONS, Reference, reference_of, references_to

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.core.standing import Standing
    from proxy.replay.played import Played
    from proxy.watch.features import Features

HERE = Path(__file__).parent
MOST = 300  # prompts of an account
FEWEST = 2_000  # prompts of an archetype
TOGETHER = 512  # rows that are added up at once


class Collecting(Watching):
    """Reads what is asked, and adds it up by archetype; assesses nobody."""

    asked: Counter[str]
    rows: dict[str, list[np.ndarray]]
    sums: dict[str, tuple[np.ndarray, np.ndarray]]
    many: Counter[str]

    def begin(self) -> None:
        """Forget all."""
        self.asked, self.many, self.rows = Counter(), Counter(), defaultdict(list)
        self.sums = defaultdict(
            lambda: (np.zeros(DIMENSIONS), np.zeros((DIMENSIONS, DIMENSIONS)))
        )  # fmt: skip

    def asks(self, played: Played, facts: RequestFacts) -> Features | None:
        """Add a prompt to those of its archetype."""
        entry = played.entry
        self.asked[entry.account] += 1
        if facts.turns and not entry.retry and self.asked[entry.account] <= MOST:
            assert entry.label is not None
            kind = entry.label.archetype
            self.rows[kind].append(self.lens(facts).vector)
            if len(self.rows[kind]) >= TOGETHER:
                self.add(kind)
        return None

    def ends(self, played: Played, held: Standing | None) -> Standing | None:  # noqa: ARG002 - as it is asked
        """Do nothing: an answer tells nothing of what was asked."""
        return None

    def add(self, kind: str) -> None:
        """Add up the rows that wait."""
        rows = np.array(self.rows.pop(kind), np.float64)
        total, products = self.sums[kind]
        total += rows.sum(axis=0)
        products += rows.T @ rows
        self.many[kind] += len(rows)

    def references(self) -> dict[str, Reference]:
        """Return the reference of each archetype that has asked enough, in coordinates."""
        for kind in list(self.rows):
            self.add(kind)
        back = np.linalg.inv(self.lens.projection.key.astype(np.float64))
        return {
            kind: reference_of(total / many @ back, back.T @ (products / many) @ back, many)
            for kind, (total, products) in sorted(self.sums.items())
            if (many := self.many[kind]) >= FEWEST
        }


def main() -> None:
    """Make the file if it is wanted, and tell how far archetypes are from each other."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    spec = HERE / "populations" / "calibration.yaml"
    options.add_argument("population", type=Path, nargs="?", default=spec, metavar="SPEC.yaml")
    options.add_argument("--data", type=Path, metavar="DIR")
    options.add_argument("--seed", type=int, default=2)
    options.add_argument("--out", type=Path, metavar="FILE")
    chosen = options.parse_args()
    shipped = load(HERE.parent / "policies")
    rules = replace(shipped, policies=replace(shipped.policies, policies=()))
    collecting = Collecting(rules.policies, Calibration(), detectors=DETECTORS)
    collecting.begin()
    source = Source((chosen.population,), chosen.data, chosen.seed)
    Player(rules, (), collecting).play(source.entries())
    found = collecting.references()
    if chosen.out:
        chosen.out.write_bytes(references_to(found))
        print(f"{chosen.out}: {chosen.out.stat().st_size:,} bytes")
    for kind, own in found.items():
        others = {
            name: other.distance(own.mean * np.float32(100), 100)
            for name, other in found.items()
            if name != kind
        }
        near = min(others, key=lambda name: others[name])
        print(f"{kind:<14} {own.of:>8,} prompts; 100 of them are {others[near]:,.0f} from {near}")


if __name__ == "__main__":
    main()
