"""What a count proves about a share."""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole with its Clopper-Pearson bounds, all from 0 to 1; 0 to 1 of nothing."""

    found: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share itself; 0 of nothing."""
        return self.found / self.of if self.of else 0.0


def share(found: int, of: int) -> Share:
    """Return a share with its bounds."""
    return Share(found, of, *clopper_pearson(found, of))


def clopper_pearson(found: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact two-sided bounds of a share of which `found` in `of` were seen.

    Clopper and Pearson, Biometrika 26 (1934): quantiles of Beta(k, n - k + 1) and
    Beta(k + 1, n - k), each at half of what the confidence leaves. They hold for independent
    trials; days of one account are not, so that the true bounds are wider.

    >>> low, high = clopper_pearson(0, 3000)
    >>> low, round(100 * high, 4)
    (0.0, 0.1229)
    """
    from scipy.special import betaincinv  # type: ignore[import-untyped] # noqa: PLC0415 - slow to load

    if not 0 <= found <= of:
        raise ValueError(f"{found} of {of} is no share")
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if found == 0 else float(betaincinv(found, of - found + 1, tail))
    high = 1.0 if found == of else float(betaincinv(found + 1, of - found, 1.0 - tail))
    return low, high
