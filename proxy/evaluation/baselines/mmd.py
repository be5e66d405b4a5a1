"""MMD: does a window of prompts come from where honest prompts come from.

The best published window test (arXiv 2606.05725): unbiased squared maximum mean discrepancy
(Gretton and others, JMLR 13, 2012, lemma 6), mean of four RBF kernels with sigma half, once, twice
and four times the median distance, mean over 20 reference draws of the window's size, threshold at
the 95th percentile of 1,000 benign windows against the reference.

Two things are cheaper here and give the same statistic but for chance: the draws come from one pool
of at most `POOL` honest prompts, so that a window meets each once, and the median is the pool's, so
that what the draws are among themselves is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from proxy.evaluation.baselines.embedding import Floats, squared_distances
from proxy.evaluation.baselines.judging import Judge, Rule, above

if TYPE_CHECKING:
    from collections.abc import Sequence

POOL = 3_000
DRAWS, NULLS, PERCENTILE = 20, 1_000, 95.0
SPANS = 3  # doublings of sigma after the first


@dataclass(frozen=True, slots=True)
class Reference:
    """Honest prompts that windows of one size are compared with.

    pool:   vectors, a row each
    sigma:  median distance of the pool's prompts
    draws:  share of each prompt in each draw, DRAWS rows
    among:  mean kernel among the prompts of the draws, mean over the draws
    """

    size: int
    pool: Floats
    sigma: float
    draws: Floats
    among: float

    def discrepancy(self, window: Floats) -> float:
        """Return the unbiased squared MMD of a window to the reference; about 0 for the same."""
        own = among(kernel(squared_distances(window, window), self.sigma))
        cross = kernel(squared_distances(window, self.pool), self.sigma).mean(axis=0)
        return own + self.among - 2.0 * float((self.draws @ cross).mean())


def kernel(squared: Floats, sigma: float) -> Floats:
    """Return the mean of the four RBF kernels; destroys its argument.

    exp is computed once, for four sigma: a kernel's fourth power is that of half its sigma.
    """
    squared *= -1.0 / (2.0 * (sigma * 4.0) ** 2)
    wide = np.exp(squared, out=squared)
    found = wide.copy()
    for _ in range(SPANS):
        wide *= wide
        wide *= wide
        found += wide
    found /= SPANS + 1
    return found


def among(kernels: Floats) -> float:
    """Return the mean of a square of kernels without its diagonal."""
    count = len(kernels)
    total = float(kernels.sum(dtype=np.float64)) - float(np.trace(kernels, dtype=np.float64))
    return total / (count * (count - 1))


def reference(size: int, pool: Floats, rng: np.random.Generator) -> Reference:
    """Return a reference of some honest prompts, at least `size` of them."""
    squared = squared_distances(pool, pool)
    sigma = float(np.sqrt(np.median(squared[np.triu_indices(len(pool), 1)])))
    sigma = sigma or 1.0  # a pool of one prompt, over and over
    chosen = _draws(DRAWS, size, len(pool), rng)
    inside = _among(chosen, kernel(squared, sigma))
    return Reference(size, pool, sigma, chosen / np.float32(size), float(inside.mean()))


def null_scores(found: Reference, honest: Floats, rng: np.random.Generator) -> list[float]:
    """Return the scores of NULLS windows that are dealt from honest prompts of all accounts."""
    chosen = _draws(NULLS, found.size, len(honest), rng)
    own = _among(chosen, kernel(squared_distances(honest, honest), found.sigma))
    to_pool = kernel(squared_distances(honest, found.pool), found.sigma)
    cross = (chosen / np.float32(found.size)) @ (to_pool @ found.draws.mean(axis=0))
    return [float(each) for each in own + found.among - 2.0 * cross]


def judge(
    size: int, prompts: Floats, honest: Sequence[Floats], rng: np.random.Generator
) -> tuple[Judge | None, bool]:
    """Return the MMD test for windows of a size; None where there are too few prompts.

    prompts: of honest accounts, all together: half are the reference, half deal the nulls
    honest:  windows of honest accounts as they are. By them the rule `-by-account` is set, which
             is not in the paper: there a benign window is dealt from everybody's prompts
    The second value says whether both rules could be calibrated.
    """
    half = len(prompts) // 2
    if half < size:
        return None, False
    found = reference(size, prompts[:half], rng)
    nulls = null_scores(found, prompts[half:], rng)
    pooled = Rule(f"mmd-{size}", high=float(np.percentile(nulls, PERCENTILE)))
    own = above(f"mmd-{size}-by-account", [found.discrepancy(each) for each in honest])
    rules = (pooled, *((own,) if own else ()))
    return Judge(size, found.discrepancy, rules), own is not None


def _draws(many: int, size: int, of: int, rng: np.random.Generator) -> Floats:
    """Return draws without replacement as rows of 0 and 1."""
    found = np.zeros((many, of), np.float32)
    for row in found:
        row[rng.choice(of, size, replace=False)] = 1.0
    return found


def _among(chosen: Floats, kernels: Floats) -> Floats:
    """Return for each draw the mean kernel among its prompts, without the diagonal."""
    size = chosen[0].sum()
    total = np.einsum("ij,ij->i", chosen @ kernels, chosen)
    return np.asarray((total - chosen @ np.diag(kernels)) / (size * (size - 1.0)), np.float32)
