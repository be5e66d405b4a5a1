"""Assessing: what an account's profile means under the policies. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from proxy.core.facts import RequestFacts
from proxy.core.principal import Principal
from proxy.core.quantities import format_duration
from proxy.core.standing import BY_EVIDENCE, Level, Standing
from proxy.watch.detectors import DETECTORS
from proxy.watch.evidence import findings, weigh

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.policy.compiled import Policy, PolicySet, Rung
    from proxy.watch.calibration import Calibration
    from proxy.watch.detectors.measuring import Detector
    from proxy.watch.evidence import Finding, Weight
    from proxy.watch.observation import Subject
    from proxy.watch.profile import Profile

PARTS = 10  # a level is prolonged when a tenth of its time has passed
CONTAINED_FOR = 7 * 86_400_000_000  # where a rung of invariants does not say for how long
CONTAINS = 7.5  # nats of invariants from which `contained` by invariant is reached: three items
TOLD = 3  # findings that a sentence names
DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the evidence says of an account at a moment.

    at:       microseconds since the epoch
    level:    the rung that is reached, CLEAR for none; lasts: its microseconds, 0 for CLEAR
    policy:   whose rung it is, ''
    total:    nats; families: those that speak, the heaviest first
    findings: the heaviest first
    reason:   a sentence for people, with the numbers; '' for CLEAR without evidence
    lowers:   what would bring it down
    """

    account: str
    at: int
    level: Level
    lasts: int
    policy: str
    total: float
    families: tuple[str, ...]
    findings: tuple[Finding, ...]
    reason: str
    lowers: str

    def as_dict(self) -> dict[str, object]:
        """Return plain values."""
        plain = asdict(self)
        plain["findings"] = [
            {**asdict(each), "numbers": dict(each.numbers)} for each in self.findings
        ]
        return plain


def assess(
    profile: Profile,
    policies: PolicySet,
    calibration: Calibration,
    now: int,
    account: str = "",
    *,
    detectors: Sequence[Detector] = DETECTORS,
) -> Assessment:
    """Return what a profile means under the policies that speak of its account.

    account:   its name, where the profile's subject does not say it
    detectors: those for the key of its vectors (`watch.detectors.detectors_for`)
    """
    profile.advance(now)
    subject = profile.subject
    speaking = [] if subject is None else _speaking(subject, policies)
    found = tuple(
        sorted(
            findings(profile, calibration, _caps(speaking), detectors),
            key=lambda each: (-each.llr, each.detector),
        )
    )
    weight = weigh(found, calibration)
    policy, rung = _highest(speaking, weight)
    name = account or (subject.account if subject else "")
    level = Level.CLEAR if rung is None else rung.level
    return Assessment(
        account=name,
        at=now,
        level=level,
        lasts=0 if rung is None else rung.lasts or CONTAINED_FOR,
        policy=policy,
        total=weight.total,
        families=weight.families,
        findings=found,
        reason=_reason(found, weight, policy, rung),
        lowers=_lowers(found, weight, rung, profile),
    )


def standing_for(assessment: Assessment, held: Standing | None) -> Standing | None:
    """Return the standing that an assessment raises its account to; None where it is there.

    held: what the account stands at now
    """
    level, at = assessment.level, assessment.at
    if level is Level.CLEAR:
        return None
    if held is not None:
        if held.level.rank > level.rank:
            return None
        longer = at + assessment.lasts - held.until
        if held.level is level and longer * PARTS < assessment.lasts:
            return None
    return Standing(level, at, at + assessment.lasts, BY_EVIDENCE, assessment.reason)


def _speaking(subject: Subject, policies: PolicySet) -> list[Policy]:
    principal = Principal(
        key="",
        account=subject.account,
        org=subject.org,
        plan=subject.plan,
        verified=subject.verified,
        purpose=subject.purpose,
    )
    facts = RequestFacts(dialect="", model=subject.model)
    return [each for each in policies.policies if each.applies(principal, facts, "")]


def _caps(speaking: Sequence[Policy]) -> dict[str, float]:
    """Return the most nats by detector, the lowest of what the policies say."""
    found: dict[str, float] = {}
    for policy in speaking:
        for name, setting in policy.detectors.items():
            cap = 0.0 if setting.off else setting.cap
            if cap is not None:
                found[name] = min(cap, found.get(name, cap))
    return found


def _highest(speaking: Sequence[Policy], weight: Weight) -> tuple[str, Rung | None]:
    """Return the highest rung that is reached, and whose it is; of equal ones the longest."""
    reached = [
        (rung.level.rank, rung.lasts, policy.name, rung)
        for policy in speaking
        for rung in policy.ladder
        if _reached(rung, weight)
    ]
    if not reached:
        return "", None
    _, _, name, rung = max(reached, key=lambda each: each[:3])
    return name, rung


def _reached(rung: Rung, weight: Weight) -> bool:
    if rung.level is Level.CONTAINED:
        return "invariant" in rung.by and weight.certain >= CONTAINS
    if rung.at is None or weight.total < rung.at:
        return False
    # What is certain needs no second kind of evidence.
    return len(weight.families) >= rung.families or weight.certain >= rung.at


def _reason(found: Sequence[Finding], weight: Weight, policy: str, rung: Rung | None) -> str:
    if not weight.families:
        return ""
    said = "; ".join(_told(each) for each in _heaviest(found, weight))
    worth = f"evidence {weight.total:.1f} of {len(weight.families)} families"
    if rung is None:
        return f"{worth}: {said}"
    lasting = format_duration(rung.lasts or CONTAINED_FOR)
    least = "" if rung.at is None else f" (at least {rung.at:g})"
    return f"{policy}: {worth}{least}: {said}; {rung.level} for {lasting}"


def _heaviest(found: Sequence[Finding], weight: Weight) -> list[Finding]:
    """Return the heaviest finding of each family that speaks."""
    first: dict[str, Finding] = {}
    for each in found:
        if each.family in weight.families:
            first.setdefault(each.family, each)
    return list(first.values())[:TOLD]


def _told(finding: Finding) -> str:
    numbers = ", ".join(f"{name} {number:g}" for name, number in finding.numbers.items())
    return f"{finding.detector} {finding.llr:.1f} ({numbers})"


def _lowers(found: Sequence[Finding], weight: Weight, rung: Rung | None, profile: Profile) -> str:
    """Return what would bring an account down: time, and what it would have to stop."""
    if rung is None or not weight.families:
        return ""
    parts = []
    for each in _heaviest(found, weight):
        half = profile.half_lives.get(each.family, 7 * DAY)
        parts.append(f"{each.detector} halves in {format_duration(half)}")
    return f"no more of it: {', '.join(parts)}; or a pardon"


def changes(assessment: Assessment) -> Mapping[str, float]:
    """Return the nats by detector, for who keeps histories."""
    return {each.detector: each.llr for each in assessment.findings if each.llr > 0.0}
