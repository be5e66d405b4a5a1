"""By what accounts are assessed: the policies and the calibration in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy import engine
from proxy.watch.detectors import DETECTORS
from proxy.watch.profile import HALF_LIVES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.engine import Assessment
    from proxy.policy.compiled import PolicySet
    from proxy.policy.loader import Loaded
    from proxy.watch.calibration import Calibration
    from proxy.watch.detectors.measuring import Detector
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is in force; a reload puts others in their place.

    tables:     digest of the calibration, '' for an empty one: then only invariants are evidence
    half_lives: how fast profiles forget, by family, microseconds
    detectors:  those for the key of the profiles' vectors
    """

    policies: PolicySet
    calibration: Calibration
    tables: str
    half_lives: Mapping[str, int]
    detectors: Sequence[Detector] = DETECTORS

    def assess(self, profile: Profile, now: int, account: str) -> Assessment:
        """Return what an account's profile means at a moment, microseconds since the epoch."""
        return engine.assess(
            profile, self.policies, self.calibration, now, account, detectors=self.detectors
        )


def grounds_of(loaded: Loaded, detectors: Sequence[Detector] = DETECTORS) -> Grounds:
    """Return the grounds that a directory of policies gives.

    detectors: those for the key of the profiles' vectors
    """
    policies, calibration = loaded.policies, loaded.calibration
    return Grounds(
        policies,
        calibration,
        calibration.digest if calibration.curves else "",
        {**HALF_LIVES, **policies.half_lives},
        detectors,
    )
