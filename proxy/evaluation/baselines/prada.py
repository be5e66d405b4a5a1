"""PRADA: distances between natural prompts are normally distributed; those of a sweep are not.

Juuti, Szyller, Marchal and Asokan, "PRADA: Protecting against DNN Model Stealing Attacks", IEEE
EuroS&P 2019, algorithm 1, with one class (an answer of a language model has none) and a window in
place of a set that grows for ever. The paper tests after each request from the hundredth distance
on; here a window is tested once, when it is full.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from proxy.evaluation.baselines.embedding import squared_distances
from proxy.evaluation.baselines.judging import Judge, Rule, outside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from proxy.evaluation.baselines.embedding import Floats

DELTA = 0.95  # the paper chooses it by data set; this is what others who run it take
OUTLIERS = 3.0  # standard deviations
FEWEST_DISTANCES, EVEN = 20, 1e-6


def judge(size: int, honest: Sequence[Floats]) -> tuple[Judge, bool]:
    """Return PRADA for windows of a size, one-sided by its fixed delta, two-sided by honest ones.

    The second value says whether there were enough honest windows for the two-sided rule.
    """
    two_sided = outside(f"prada-{size}-two-sided", [normality(each) for each in honest])
    rules = (Rule(f"prada-{size}", low=DELTA), *((two_sided,) if two_sided else ()))
    return Judge(size, normality, rules), two_sided is not None


def normality(window: Floats) -> float:
    """Return the Shapiro-Wilk W, 0 to 1, of a window's smallest distances; NaN of too few.

    The distances of a window of equal prompts are all alike: no spread, no normal one, W is 0.
    """
    # Slow to load, and replay needs none of it.
    from scipy.stats import shapiro  # type: ignore[import-untyped] # noqa: PLC0415

    distances = smallest_distances(window)
    if len(distances) > 1:
        away = np.abs(distances - distances.mean())
        distances = distances[away <= OUTLIERS * distances.std()]
    if len(distances) < FEWEST_DISTANCES:
        return math.nan
    if np.ptp(distances) < EVEN:
        return 0.0
    return float(shapiro(distances).statistic)


def smallest_distances(window: Floats) -> NDArray[np.float64]:
    """Return of each prompt but the first the distance to the nearest of the growing set.

    A prompt joins the set when that is more than a threshold, which is the largest that mean less
    standard deviation of the set's own distances has been.
    """
    between = np.sqrt(squared_distances(window, window))
    # The distance of each prompt to the nearest in the set: one row is taken in when one joins.
    nearest = between[0].copy()
    found = np.empty(len(window) - 1)
    count, total, squares, threshold = 0, 0.0, 0.0, 0.0
    for index in range(1, len(window)):
        distance = float(nearest[index])
        found[index - 1] = distance
        if distance > threshold:
            np.minimum(nearest, between[index], out=nearest)
            count, total, squares = count + 1, total + distance, squares + distance * distance
            mean = total / count
            deviation = math.sqrt(max(squares / count - mean * mean, 0.0))
            threshold = max(threshold, mean - deviation)
    return found
