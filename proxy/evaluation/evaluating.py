"""A whole evaluation: calibrate, replay once with everything that listens, and count."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from proxy.evaluation.ablation import ablations
from proxy.evaluation.baselines import distinct, quota
from proxy.evaluation.baselines.embedding import Embedding
from proxy.evaluation.calibrating import FAMILIES, Calibration, HeldOut
from proxy.evaluation.controls import controls
from proxy.evaluation.histories import Histories
from proxy.evaluation.leaving import left_out
from proxy.evaluation.ledger import Ledger
from proxy.evaluation.marks import marks
from proxy.evaluation.measuring import LEVELS, Measures
from proxy.evaluation.trial import Trial
from proxy.replay.calibrating import Scores
from proxy.replay.player import Player
from proxy.replay.watching import watching_for
from proxy.watch.detectors import FAMILIES as DETECTORS
from proxy.watch.evidence import Finding, weigh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from proxy.evaluation.ablation import Ablated
    from proxy.evaluation.controls import Control
    from proxy.evaluation.leaving import Left
    from proxy.evaluation.marks import Mark
    from proxy.evaluation.results import Results
    from proxy.evaluation.trial import Counter
    from proxy.evaluation.tried import Trialled
    from proxy.policy.loader import Loaded
    from proxy.replay.played import Listener
    from proxy.traffic.entry import Entry
    from proxy.watch.calibration import Calibration as Tables
    from proxy.watch.evidence import Weight

WEEK = 7 * 86_400_000_000
WINDOWED = ("prada", "seat", "mmd")


@dataclass(frozen=True, slots=True)
class Asked:
    """What an evaluation is to do.

    families:  baselines, of FAMILIES
    repeats:   of each control; 0 for no controls
    calibrate: microseconds from the first request on that calibration looks at
    ablate:    families and detectors are left out one by one, and so is each source of texts
    sources:   texts that each account asks of, where the traffic is a population
    """

    families: tuple[str, ...] = FAMILIES
    repeats: int = 20
    seed: int = 1
    calibrate: int = WEEK
    ablate: bool = True
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)


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
    marks:   that detection is held to; empty where no level is set by evidence
    ablated: all detectors, then without each family and each detector
    left:    each source of texts left out; empty where nobody knows the sources
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
    marks: tuple[Mark, ...] = ()
    ablated: tuple[Ablated, ...] = ()
    left: tuple[Left, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON; times are microseconds, shares from 0 to 1."""
        plain = asdict(replace(self, asked=replace(self.asked, sources={})))
        del plain["asked"]["sources"]
        return {"v": 1, **plain}


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
            # Baselines see account, time and prompt: no policy has a part in it.
            free = replace(rules, policies=replace(rules.policies, policies=()))
            Player(free, (calibration,)).play(_to_learn(source(), held_out, asked.calibrate))
        judges, missing = calibration.judges(asked.families)
        calibrated = Calibrated(len(calibration.accounts), calibration.requests, tuple(missing))
        trial = Trial(_counters(asked.families), judges, embedding, held_out)
    measures = Measures(Ledger(LEVELS) if asked.repeats else None)
    listeners: list[Listener] = [measures] if trial is None else [measures, trial]
    watching = watching_for(rules)
    histories, scores = Histories(), Scores()
    watched = watching is not None and watching.assesses
    if watching is not None and watched and asked.ablate:
        watching.hears = (histories, scores) if asked.sources else (histories,)
        listeners.append(histories)
    player = Player(rules, listeners, watching)
    requests, first, last = 0, None, None
    for entry in source():
        player.feed(entry)
        requests, last = requests + 1, entry.t
        first = last if first is None else first
    player.finish()
    results = measures.results()
    policy_ledger, trial_ledger = measures.ledger, None if trial is None else trial.ledger
    return Evaluation(
        rules.policies.digest,
        requests,
        first,
        last,
        asked,
        results,
        controls(policy_ledger, asked.repeats, asked.seed) if policy_ledger else (),
        calibrated,
        None if trial is None else trial.results(),
        controls(trial_ledger, asked.repeats, asked.seed) if trial_ledger and asked.repeats else (),
        marks(results) if watched else (),
        *_recombined(rules, histories, scores, asked.sources),
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


def _recombined(
    rules: Loaded, histories: Histories, scores: Scores, sources: Mapping[str, Sequence[str]]
) -> tuple[tuple[Ablated, ...], tuple[Left, ...]]:
    """Return what is left without parts of the evidence, and without sources."""
    if not histories.accounts:
        return (), ()
    ladder = tuple(rung for policy in rules.policies.policies for rung in policy.ladder)
    lives = [life for life, _ in histories.lives()]
    ablated = ablations(lives, _weighing(rules.calibration), ladder, DETECTORS)
    return ablated, left_out(histories, scores, sources, ladder) if sources else ()


def _weighing(tables: Tables) -> Callable[[Mapping[str, float]], Weight]:
    """Return what weighs nats by detector."""

    def combine(said: Mapping[str, float]) -> Weight:
        found = [Finding(name, DETECTORS[name], 0.0, llr, {}) for name, llr in said.items()]
        return weigh(found, tables)

    return combine
