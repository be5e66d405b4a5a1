"""By what accounts are assessed: the policies and the calibration in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.profile import HALF_LIVES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.policy.compiled import PolicySet
    from proxy.policy.loader import Loaded
    from proxy.watch.calibration import Calibration


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is in force; a reload puts others in their place.

    tables:     digest of the calibration, '' for an empty one: then only invariants are evidence
    half_lives: how fast profiles forget, by family, microseconds
    """

    policies: PolicySet
    calibration: Calibration
    tables: str
    half_lives: Mapping[str, int]


def grounds_of(loaded: Loaded) -> Grounds:
    """Return the grounds that a directory of policies gives."""
    policies, calibration = loaded.policies, loaded.calibration
    return Grounds(
        policies,
        calibration,
        calibration.digest if calibration.curves else "",
        {**HALF_LIVES, **policies.half_lives},
    )
