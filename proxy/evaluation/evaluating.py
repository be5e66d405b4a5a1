"""A whole evaluation: calibrate, replay once with everything that listens, and count."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from proxy.evaluation.baselines import distinct, quota
from proxy.evaluation.baselines.embedding import Embedding
from proxy.evaluation.calibrating import FAMILIES, Calibration, HeldOut
from proxy.evaluation.controls import controls
from proxy.evaluation.ledger import Ledger
from proxy.evaluation.measuring import LEVELS, Measures
from proxy.evaluation.trial import Trial
from proxy.replay.player import Player

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from proxy.evaluation.controls import Control
    from proxy.evaluation.results import Results
    from proxy.evaluation.trial import Counter
    from proxy.evaluation.tried import Trialled
    from proxy.policy.loader import Loaded
    from proxy.replay.played import Listener
    from proxy.traffic.entry import Entry

WEEK = 7 * 86_400_000_000
WINDOWED = ("prada", "seat", "mmd")


@dataclass(frozen=True, slots=True)
class Asked:
    """What an evaluation is to do.

    families:  baselines, of FAMILIES
    repeats:   of each control; 0 for no controls
    calibrate: microseconds from the first request on that calibration looks at
    """

    families: tuple[str, ...] = FAMILIES
    repeats: int = 20
    seed: int = 1
    calibrate: int = WEEK


@dataclass(frozen=True, slots=True)
class Calibrated:
    """On what baselines were calibrated: honest accounts, their prompts; what could not be."""

    accounts: int = 0
    prompts: int = 0
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that came out.

    controls, baseline_controls: of the levels that the policies set, and of the baselines
    """

    policies: str
    requests: int
    first: int | None
    last: int | None
    asked: Asked
    results: Results
    controls: tuple[Control, ...]
    calibrated: Calibrated
    trialled: Trialled | None
    baseline_controls: tuple[Control, ...]

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON; times are microseconds, shares from 0 to 1."""
        return {"v": 1, **asdict(self)}


def evaluate(source: Callable[[], Iterable[Entry]], rules: Loaded, asked: Asked) -> Evaluation:
    """Evaluate policies and baselines on traffic.

    source: gives the traffic from its beginning, in the order of time; asked twice where there are
            baselines to calibrate
    """
    embedding, held_out = Embedding(asked.seed), HeldOut(asked.seed)
    calibrated, trial = Calibrated(), None
    if asked.families:
        calibration = Calibration(embedding, asked.seed)
        if set(asked.families) & set(WINDOWED):
            Player(rules, (calibration,)).play(_to_learn(source(), held_out, asked.calibrate))
        judges, missing = calibration.judges(asked.families)
        calibrated = Calibrated(len(calibration.accounts), calibration.requests, tuple(missing))
        trial = Trial(_counters(asked.families), judges, embedding, held_out)
    measures = Measures(Ledger(LEVELS) if asked.repeats else None)
    listeners: tuple[Listener, ...] = (measures,) if trial is None else (measures, trial)
    player = Player(rules, listeners)
    requests, first, last = 0, None, None
    for entry in source():
        player.feed(entry)
        requests, last = requests + 1, entry.t
        first = last if first is None else first
    player.finish()
    policy_ledger, trial_ledger = measures.ledger, None if trial is None else trial.ledger
    return Evaluation(
        rules.policies.digest,
        requests,
        first,
        last,
        asked,
        measures.results(),
        controls(policy_ledger, asked.repeats, asked.seed) if policy_ledger else (),
        calibrated,
        None if trial is None else trial.results(),
        controls(trial_ledger, asked.repeats, asked.seed) if trial_ledger and asked.repeats else (),
    )


def _to_learn(entries: Iterable[Entry], held_out: HeldOut, lasting: int) -> Iterator[Entry]:
    """Yield what calibration learns from; the rest of the traffic is not read."""
    until = None
    for entry in entries:
        if until is None:
            until = entry.t + lasting
        if entry.t >= until:
            return
        if entry.label is not None and held_out(entry.account, entry.label):
            yield entry


def _counters(families: Iterable[str]) -> list[Counter]:
    found: list[Counter] = []
    if "requests" in families:
        found += [quota.RequestQuota(amount) for amount in quota.AMOUNTS]
    if "distinct" in families:
        found += [distinct.DistinctQuota(amount) for amount in distinct.AMOUNTS]
    return found
