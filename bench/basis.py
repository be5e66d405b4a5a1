"""Make proxy/watch/words.bin: the directions in which honest prompts differ, of the prompt pack.

    python bench/basis.py --data DIR --out proxy/watch/words.bin

Only benign prompts are read, each source with the same weight. The file holds hashed cells, no
words. The same data give the same bytes on the same machine's linear algebra.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING

import numpy as np
from window_sets import honest_sets

from proxy.watch.vector import CELLS, DIMENSIONS, Basis, counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

RIDGE = 0.1  # of the mean spread: below, directions are not stretched to equal spread


def moments(prompts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of counts and of their products, float64."""
    mean, products = np.zeros(CELLS), np.zeros((CELLS, CELLS))
    for start in range(0, len(prompts), 500):
        rows = np.stack([counts(each) for each in prompts[start : start + 500]])
        mean += rows.sum(axis=0, dtype=np.float64)
        products += rows.T @ rows
    return mean / len(prompts), products / len(prompts)


def basis(sources: Sequence[tuple[np.ndarray, np.ndarray]]) -> Basis:
    """Return the basis of the moments of sources: principal components, scaled."""
    mean = sum(each for each, _ in sources) / len(sources)
    spread = sum(each for _, each in sources) / len(sources) - np.outer(mean, mean)
    values, directions = np.linalg.eigh(spread)
    values, directions = values[::-1][:DIMENSIONS], directions[:, ::-1][:, :DIMENSIONS]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(DIMENSIONS)])
    scaled = directions / np.sqrt(np.maximum(values, 0.0) + RIDGE * values.mean())
    return Basis(scaled.astype(np.float32), mean.astype(np.float32))


def without(
    by_source: Mapping[str, tuple[np.ndarray, np.ndarray]], left: AbstractSet[str]
) -> Basis:
    """Return the basis of all sources but some."""
    return basis([each for name, each in by_source.items() if name not in left])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    found = basis([moments(prompts) for prompts in honest_sets(args.data).values()])
    args.out.write_bytes(found.to_bytes())
    print(f"{args.out}: {len(found.to_bytes()):,} bytes")


if __name__ == "__main__":
    main()
