"""What evidence makes of an account: rungs, families, purposes, and who is never raised by it."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pytest

from proxy import engine
from proxy.core.standing import BY_EVIDENCE, Level, Standing
from proxy.policy.compiled import DetectorSetting, Policy, PolicySet, Rung
from proxy.watch.calibration import Calibration
from proxy.watch.curve import Curve
from proxy.watch.features import Features
from proxy.watch.layout import DIMENSIONS
from proxy.watch.observation import Observation, Subject
from proxy.watch.profile import Profile

NOON = 1_780_000_000_000_000
NOTHING = np.zeros(DIMENSIONS, np.float32)
HOUR, DAY = 3_600_000_000, 86_400_000_000
AS_SCORED = Curve(*(tuple(n / 4 for n in range(1, 80)),) * 2)
CALIBRATION = Calibration(
    dict.fromkeys(("harvest", "collected", "elicitation", "steadiness"), AS_SCORED), AS_SCORED
)
LADDER = (
    Rung(Level.WATCH, at=2.0, families=1, lasts=DAY, by=("evidence",)),
    Rung(Level.GUARDED, at=4.0, families=2, lasts=DAY, by=("evidence",)),
    Rung(Level.RESTRICTED, at=7.0, families=2, lasts=3 * DAY, by=("evidence",)),
    Rung(Level.CONTAINED, refuse="account_under_review", by=("invariant", "person")),
)


def policies(*, ladder=LADDER, detectors=None, plan=None):
    def applies(principal, _facts, _address):
        return plan is None or principal.plan == plan

    return PolicySet((Policy("p", "", applies, (), ladder=ladder, detectors=detectors or {}),), "d")


def spread(number):
    return int.from_bytes(blake2b(str(number).encode(), digest_size=8).digest())


def exchange(number, at, **more):
    features = Features(
        prompt=spread(number), template=1, topic=number % 4096, near=spread(-number),
        vector=NOTHING, elicits=more.pop("elicits", False),
    )  # fmt: skip
    subject = Subject("acme", "acme", more.pop("plan", "free"), more.pop("purpose", ""))
    return Observation(subject, at, at, features, output_tokens=more.pop("tokens", 300), **more)


def profile(many, every=30_000_000, **more):
    found = Profile()
    for number in range(many):
        found.observe(exchange(number, NOON + number * every, **more))
    return found


def assessed(found, rules=None, at=None):
    return engine.assess(found, rules or policies(), CALIBRATION, at or found.at)


def test_a_harvest_climbs_the_ladder_as_it_grows():
    levels = [assessed(profile(many)).level for many in (1, 4, 60, 600)]
    assert levels == sorted(levels, key=lambda level: level.rank)
    assert levels[0] is Level.CLEAR
    assert levels[-1] is Level.RESTRICTED


def test_an_assessment_tells_its_numbers():
    found = assessed(profile(400))
    assert found.account == "acme"
    assert found.policy == "p"
    assert found.lasts == 3 * DAY
    assert found.families[:2] == ("content", "volume")
    assert found.reason.startswith("p: evidence ")
    assert "harvest" in found.reason
    assert "restricted for 3d" in found.reason
    assert "harvest halves in 7d" in found.lowers
    assert found.as_dict()["findings"]


def test_one_family_is_never_visible():
    found = profile(600, every=DAY // 600)
    off = {name: DetectorSetting(off=True) for name in ("collected", "steadiness")}
    rules = policies(ladder=LADDER[1:3], detectors=off)
    assert assessed(found, rules).families == ("content",)
    assert assessed(found, rules).level is Level.CLEAR


def test_evidence_fades_and_so_does_the_level():
    found = profile(600)
    assert assessed(found).level is Level.RESTRICTED
    assert assessed(found, at=found.at + 60 * DAY).level is Level.CLEAR


def test_nobody_is_raised_without_a_rung_that_speaks_of_them():
    assert assessed(profile(600, plan="paid"), policies(plan="free")).level is Level.CLEAR
    by_hand = (Rung(Level.GUARDED), Rung(Level.CONTAINED, refuse="no"))
    assert assessed(profile(600), policies(ladder=by_hand)).level is Level.CLEAR


def test_statistics_contain_nobody_and_invariants_do():
    assert assessed(profile(5_000)).level is Level.RESTRICTED
    replayed = profile(5, foreign=1.0)
    assert assessed(replayed).level is Level.CONTAINED
    assert assessed(replayed).lasts == 7 * DAY
    person = (*LADDER[:3], Rung(Level.CONTAINED, refuse="no", by=("person",)))
    assert assessed(replayed, policies(ladder=person)).level is Level.RESTRICTED


def test_an_invariant_needs_no_second_family():
    off = {name: DetectorSetting(off=True) for name in ("collected", "harvest")}
    found = assessed(profile(2, foreign=1.0), policies(detectors=off))
    assert (found.families, found.total) == (("invariant",), 5.0)
    assert found.level is Level.GUARDED


def test_a_policy_tunes_detectors():
    off = {"harvest": DetectorSetting(off=True)}
    capped = {"harvest": DetectorSetting(cap=1.0)}
    assert assessed(profile(600), policies(detectors=off)).level is Level.CLEAR
    assert assessed(profile(600), policies(detectors=capped)).total <= 2.0
    long = {"harvest": DetectorSetting(half_life=DAY)}
    assert assessed(profile(600), policies(detectors=long)).level is Level.RESTRICTED


def test_the_strictest_policy_wins():
    one = policies(ladder=LADDER[:1]).policies
    other = Policy("q", "", lambda *_: True, (), ladder=LADDER[2:3])
    found = assessed(profile(600), PolicySet((*one, other), "d"))
    assert (found.policy, found.level) == ("q", Level.RESTRICTED)


def test_an_empty_profile_is_clear():
    found = engine.assess(Profile(), policies(), CALIBRATION, NOON, "nobody")
    assert (found.account, found.level, found.reason) == ("nobody", Level.CLEAR, "")


@pytest.mark.parametrize(
    ("held", "raises"),
    [
        (None, True),
        (Standing(Level.WATCH, NOON, NOON + 90 * DAY), True),
        (Standing(Level.CONTAINED, NOON, NOON + HOUR), False),
        (Standing(Level.RESTRICTED, NOON, NOON + 90 * DAY), False),
        (Standing(Level.RESTRICTED, NOON, NOON + DAY), True),
    ],
    ids=["clear", "lower", "higher", "longer", "prolonged"],
)
def test_a_standing_is_set_where_it_is_more(held, raises):
    found = assessed(profile(600))
    standing = engine.standing_for(found, held)
    assert (standing is not None) is raises
    if standing is not None:
        assert standing.by == BY_EVIDENCE
        assert standing.until - standing.since == 3 * DAY


def test_a_level_that_holds_is_not_prolonged_with_each_request():
    found = assessed(profile(600))
    first = engine.standing_for(found, None)
    assert engine.standing_for(found, first) is None
    assert engine.standing_for(assessed(profile(1)), first) is None
