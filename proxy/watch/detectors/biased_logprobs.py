"""Token biases together with log-probabilities: they leak the output layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.watch.detectors.measuring import Measure, largest, measure, share

if TYPE_CHECKING:
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class BiasedLogprobs:
    """Score: log2(1 + b) x c nats, b exchanges with both, the share c of them under one prompt.

    An invariant: together they give the logits of any token (arXiv 2403.06634, whose authors ask
    providers to forbid the pair), so it is not calibrated. State: a sum, and 32 cells of prompts.
    Honest twin: a classifier that biases towards its labels and reads confidences, over many
    prompts: c is small. `capabilities: forbid: [logit_bias+logprobs]` is the better answer.
    """

    name: str = "biased_logprobs"
    family: str = "invariant"
    cap: float = 5.0

    def measure(self, profile: Profile) -> Measure:
        """Measure a profile."""
        both = profile["leaks"]
        top, total = largest(profile.cells("biased_prompts"))
        repeated = share(top, total)
        return measure(math.log2(1.0 + both) * repeated, leaks=both, repeated=repeated)
