"""Making a calibration of traffic: what honest accounts' scores come to, each at its highest."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from itertools import compress
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from proxy.watch.calibration import REACHED, REACHED_VOLUME, Calibration, curve_of
from proxy.watch.detectors import DETECTORS, INVARIANT, VOLUME
from proxy.watch.evidence import EASED, MOST_EASED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from proxy.engine import Assessment
    from proxy.replay.played import Played
    from proxy.watch.curve import Curve
    from proxy.watch.profile import Profile

EXTRACTION = "extraction"
MOST_NATS = 50.0
LEAST_SUM = 0.5
_PLACES: Mapping[str, int] = MappingProxyType({
    each.name: place for place, each in enumerate(DETECTORS)
})  # fmt: skip


@dataclass(slots=True)
class _Account:
    """scores: those of each assessment in turn, in the order of DETECTORS."""

    archetype: str
    purpose: str
    scores: array[float] = field(default_factory=lambda: array("f"))


@dataclass(slots=True)
class Scores:
    """Keeps every assessment's scores by account; fills `watching.Hears`.

    left_out: accounts that are labelled as extraction: nothing is learnt of them
    """

    accounts: dict[str, _Account] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    first: int | None = None
    last: int = 0

    def assessed(self, played: Played, profile: Profile, assessment: Assessment) -> None:  # noqa: ARG002 - as all are told
        """Keep the scores of an assessment."""
        entry = played.entry
        label = entry.label
        if label is not None and label.kind == EXTRACTION:
            self.left_out.add(entry.account)
            return
        account = self.accounts.get(entry.account)
        if account is None:
            archetype = label.archetype if label is not None else ""
            account = self.accounts[entry.account] = _Account(archetype, entry.purpose)
        row = array("f", bytes(4 * len(DETECTORS)))
        for found in assessment.findings:
            row[_PLACES[found.detector]] = found.score
        account.scores.extend(row)
        self.first = played.at if self.first is None else min(self.first, played.at)
        self.last = max(self.last, played.at)

    def calibration(self) -> Calibration:
        """Return the tables that these accounts make."""
        accounts = [self.accounts[name] for name in sorted(self.accounts)]
        tables = [_table(each) for each in accounts]
        archetypes = [each.archetype for each in accounts]
        curves = {}
        for place, each in enumerate(DETECTORS):
            if each.family == INVARIANT:
                continue
            # Who has declared a purpose that explains it says nothing of who has not.
            plain = [each.name not in EASED.get(account.purpose, {}) for account in accounts]
            highest = [float(table[:, place].max()) for table in compress(tables, plain)]
            curves[each.name] = curve_of(
                highest,
                list(compress(archetypes, plain)),
                each.cap,
                REACHED_VOLUME if each.family == VOLUME else REACHED,
            )
        sums = [
            float(sums_of(table, curves, each.purpose).max())
            for table, each in zip(tables, accounts, strict=True)
        ]
        return Calibration(
            curves,
            curve_of(sums, archetypes, MOST_NATS, reached=1.0, least=LEAST_SUM),
            len(accounts),
            {name: archetypes.count(name) for name in sorted(set(archetypes))},
            self.last - (self.first or 0),
        )


def sums_of(
    table: NDArray[np.float32], curves: Mapping[str, Curve], purpose: str
) -> NDArray[np.float64]:
    """Return the sum over families of each assessment, as `evidence.weigh` sums them.

    table: a row of scores for each assessment, in the order of DETECTORS
    """
    eased = EASED.get(purpose, {})
    families: dict[str, NDArray[np.float64]] = {}
    for place, detector in enumerate(DETECTORS):
        curve = curves.get(detector.name)
        if curve is None or detector.family == INVARIANT:
            continue
        steps = np.concatenate(([0.0], np.asarray(curve.nats, np.float64)))
        llr = steps[np.searchsorted(np.asarray(curve.scores), table[:, place], side="right")]
        llr = np.minimum(llr, detector.cap) - min(MOST_EASED, eased.get(detector.name, 0.0))
        most = families.setdefault(detector.family, np.zeros(len(table)))
        np.maximum(most, llr, out=most)
    none = np.zeros(len(table))
    said = sum((each for name, each in families.items() if name != VOLUME), none)
    return said + np.minimum(said, families.get(VOLUME, none))


def _table(account: _Account) -> NDArray[np.float32]:
    return np.frombuffer(account.scores, np.float32).reshape(-1, len(DETECTORS))
