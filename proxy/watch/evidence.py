"""Evidence: findings of detectors, and what they are worth together."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from proxy.watch.detectors import DETECTORS, INVARIANT, VOLUME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.watch.calibration import Calibration
    from proxy.watch.detectors.measuring import Detector
    from proxy.watch.profile import Profile

SPEAKS = 0.5  # nats from which a family counts as one that speaks
# What a declared purpose explains, in nats, by detector; never more than MOST_EASED.
MOST_EASED = 4.0
EASED: Mapping[str, Mapping[str, float]] = MappingProxyType({
    "eval": {"known_sets": 3.0, "template_concentration": 2.0, "harvest": 1.5, "breadth": 1.5,
             "training_value": 1.5, "knobs": 2.0, "echo": 2.0, "elicitation": 1.0},
    "batch": {"template_concentration": 3.0, "breadth": 1.5, "training_value": 1.5,
              "steadiness": 2.0, "collected": 1.0},
    "synthetic-licensed": {"harvest": 4.0, "training_value": 4.0, "breadth": 4.0,
                           "template_concentration": 4.0,
                           "known_sets": 4.0, "collected": 2.0, "steadiness": 2.0,
                           "reasoning_share": 2.0},
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector says of an account.

    score:   as it measured
    llr:     log-likelihood ratio, nats: calibrated, capped, eased by the declared purpose
    numbers: what the score was made of
    """

    detector: str
    family: str
    score: float
    llr: float
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Weight:
    """What findings are worth together.

    total:    nats, the families' dependence in honest accounts taken off
    families: those that speak (SPEAKS nats or more), the heaviest first
    certain:  nats of it that are of an invariant
    """

    total: float
    families: tuple[str, ...]
    certain: float = 0.0


def findings(
    profile: Profile,
    calibration: Calibration,
    caps: Mapping[str, float] = MappingProxyType({}),
    detectors: Sequence[Detector] = DETECTORS,
) -> tuple[Finding, ...]:
    """Return what detectors have to say of a profile, those without anything left out.

    caps: the most nats by detector, where a policy lowers it; 0 for one that is switched off
    """
    eased = EASED.get(profile.subject.purpose if profile.subject else "", {})
    found = []
    for detector in detectors:
        cap = min(detector.cap, caps.get(detector.name, detector.cap))
        if cap <= 0.0:
            continue
        measured = detector.measure(profile)
        if measured.score <= 0.0:
            continue
        llr = nats(detector.name, detector.family, measured.score, calibration)
        llr = max(0.0, min(cap, llr) - min(MOST_EASED, eased.get(detector.name, 0.0)))
        found.append(Finding(detector.name, detector.family, measured.score, llr, measured.numbers))
    return tuple(found)


def nats(name: str, family: str, score: float, calibration: Calibration) -> float:
    """Return the nats of a detector's score: its curve's, and an invariant's are its score."""
    if family == INVARIANT:
        return score
    curve = calibration.curves.get(name)
    return 0.0 if curve is None else curve(score)


def summed(by_family: Mapping[str, float]) -> float:
    """Return the sum over families but the invariants; volume adds at most as much as the rest.

    Timing and volume multiply what others say, and are nothing alone.
    """
    said = sum(llr for family, llr in by_family.items() if family not in {VOLUME, INVARIANT})
    return said + min(said, by_family.get(VOLUME, 0.0))


def weigh(found: Sequence[Finding], calibration: Calibration) -> Weight:
    """Return what findings are worth together: the heaviest of each family, and no other."""
    by_family: dict[str, float] = {}
    for each in found:
        by_family[each.family] = max(by_family.get(each.family, 0.0), each.llr)
    certain = by_family.get(INVARIANT, 0.0)
    total = calibration.together(summed(by_family)) + certain
    speaking = sorted(
        (family for family, llr in by_family.items() if llr >= SPEAKS),
        key=lambda family: (-by_family[family], family),
    )
    return Weight(round(total, 4), tuple(speaking), certain)
