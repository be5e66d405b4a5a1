"""The detectors, a file each, by their families."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from proxy.watch.detectors.at_cap import AtCap
from proxy.watch.detectors.biased_logprobs import BiasedLogprobs
from proxy.watch.detectors.breadth import Breadth
from proxy.watch.detectors.collected import Collected
from proxy.watch.detectors.distribution_shift import DistributionShift
from proxy.watch.detectors.echo import Echo
from proxy.watch.detectors.elicitation import Elicitation
from proxy.watch.detectors.foreign_history import ForeignHistory
from proxy.watch.detectors.foreign_reasoning import ForeignReasoning
from proxy.watch.detectors.harvest import Harvest
from proxy.watch.detectors.knobs import Knobs
from proxy.watch.detectors.known_sets import KnownSets
from proxy.watch.detectors.logit_sweep import LogitSweep
from proxy.watch.detectors.ramp import Ramp
from proxy.watch.detectors.reasoning_share import ReasoningShare
from proxy.watch.detectors.refusals import Refusals
from proxy.watch.detectors.steadiness import Steadiness
from proxy.watch.detectors.template_concentration import TemplateConcentration
from proxy.watch.detectors.training_value import TrainingValue
from proxy.watch.distribution import honest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.watch.detectors.measuring import Detector
    from proxy.watch.vector import Projection

DETECTORS: tuple[Detector, ...] = (
    TemplateConcentration(), Breadth(), KnownSets(), Harvest(), TrainingValue(),
    DistributionShift(),
    Elicitation(), Echo(), ForeignHistory(), Refusals(), ReasoningShare(),
    Knobs(), LogitSweep(), AtCap(),
    Collected(), Steadiness(), Ramp(),
    ForeignReasoning(), BiasedLogprobs(),
)  # fmt: skip
FAMILIES: Mapping[str, str] = MappingProxyType({each.name: each.family for each in DETECTORS})
VOLUME, INVARIANT = "volume", "invariant"


def detectors_for(projection: Projection) -> tuple[Detector, ...]:
    """Return the detectors for profiles whose vectors are of this projection."""
    keyed = DistributionShift(tuple(each.keyed(projection) for each in honest().values()))
    return tuple(keyed if each.name == keyed.name else each for each in DETECTORS)
