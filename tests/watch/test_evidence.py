"""Scores become evidence by what honest accounts do, and families add up with care."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.watch.calibration import Calibration, calibration_of, curve_of
from proxy.watch.curve import Curve
from proxy.watch.evidence import EASED, MOST_EASED, Finding, findings, summed, weigh
from proxy.watch.observation import Subject
from proxy.watch.profile import Profile

STRAIGHT = Curve((0.5, 1.0, 2.0, 4.0, 8.0, 12.0), (0.5, 1.0, 2.0, 4.0, 8.0, 12.0))


def finding(family, llr):
    return Finding(f"d-{family}", family, 1.0, llr, {})


def test_a_score_that_no_honest_account_reaches_says_most():
    curve = curve_of([1.6 + n / 1000 for n in range(1000)], [""] * 1000, cap=9.0)
    assert curve(1.4) == 0.0
    assert curve(9.0) == pytest.approx(math.log(0.1 * 1001), rel=0.01)
    assert curve(2.55) == pytest.approx(math.log(0.1 / 0.05), rel=0.2)


def test_a_curve_is_capped():
    assert curve_of([2.0] * 5000, [""] * 5000, cap=2.5)(9.0) == 2.5


@given(st.lists(st.floats(0, 20), max_size=80), st.floats(0, 20), st.floats(0, 20))
def test_curves_rise(highest, one, other):
    curve = curve_of(highest, ["a", "b"] * (len(highest) // 2) + ["a"] * (len(highest) % 2), 4.0)
    low, high = sorted((one, other))
    assert 0.0 <= curve(low) <= curve(high) <= 4.0


def test_the_worst_archetype_counts_and_not_the_mean():
    plain = [1.6] * 2_000
    odd = [5.0] * 40  # of forty evaluations, every one scores high
    mixed = curve_of(plain + odd, ["chat"] * 2_000 + ["eval"] * 40, 9.0)
    unknown = curve_of(plain + odd, [""] * 2_040, 9.0)
    assert mixed(5.0) < unknown(5.0)


def test_what_nobody_honest_does_is_evidence_only_from_a_least_score_on():
    curve = curve_of([0.0] * 500, [""] * 500, 9.0)
    assert curve(1.0) == 0.0
    assert curve(2.0) > 3.0


def test_a_calibration_reads_back():
    made = Calibration({"breadth": STRAIGHT}, STRAIGHT, 12, {"chat": 12}, 99)
    assert calibration_of(made.to_bytes()) == made
    assert calibration_of(made.to_bytes()).digest == made.digest


@pytest.mark.parametrize(("data", "says"), [
    (b"{", "is no JSON"),
    (b"[]", "is no calibration of version 1"),
    (b'{"v": 2}', "is no calibration of version 1"),
    (b'{"v": 1}', "lacks or misspells 'curves'"),
    ((b'{"v":1,"accounts":1,"archetypes":{},"lasted":1,"curves":{},'
     b'"together":{"scores":[2,1],"nats":[1,2]}}'), "does not rise"),
    ((b'{"v":1,"accounts":1,"archetypes":{},"lasted":1,"curves":{},'
     b'"together":{"scores":[1,2],"nats":[1]}}'), "does not rise"),
], ids=["cut", "list", "other version", "empty", "falling", "uneven"])  # fmt: skip
def test_a_bad_calibration_says_what_is_wrong(data, says):
    with pytest.raises(ValueError, match=says):
        calibration_of(data)


def test_one_finding_a_family_counts():
    calibration = Calibration(together=STRAIGHT)
    one = weigh([finding("content", 2.0)], calibration)
    two = weigh([finding("content", 2.0), finding("content", 1.9)], calibration)
    assert one == two


def test_volume_multiplies_and_is_nothing_alone():
    assert summed({"volume": 4.0}) == 0.0
    assert summed({"volume": 4.0, "content": 1.0}) == 2.0
    assert summed({"volume": 1.0, "content": 4.0}) == 5.0


@given(st.dictionaries(st.sampled_from(["content", "reasoning", "parameters", "volume"]),
                       st.floats(0, 5)), st.sampled_from(["content", "volume", "reasoning"]))  # fmt: skip
def test_more_evidence_is_no_less_in_sum(by_family, more):
    assert summed(by_family | {more: by_family.get(more, 0.0) + 1.0}) >= summed(by_family)


def test_invariants_are_not_calibrated_away():
    assert weigh([finding("invariant", 5.0)], Calibration()).total == 5.0
    assert weigh([finding("content", 4.0)], Calibration()).total == 0.0


def test_families_that_hardly_speak_do_not_count():
    found = [finding("content", 3.0), finding("reasoning", 0.4), finding("volume", 2.0)]
    assert weigh(found, Calibration(together=STRAIGHT)).families == ("content", "volume")


def collecting(seen, purpose):
    profile = Profile()
    for number in range(200):
        profile.observe(seen(number, known=True, subject=Subject("acme", purpose=purpose)))
    return profile


def llrs(profile, **more):
    calibration = Calibration(
        dict.fromkeys(("harvest", "breadth", "known_sets", "collected"), STRAIGHT), STRAIGHT
    )
    return {each.detector: each.llr for each in findings(profile, calibration, **more)}


@pytest.mark.parametrize("purpose", EASED)
def test_a_declared_purpose_eases_within_a_cap(seen, purpose):
    plain, eased = llrs(collecting(seen, "")), llrs(collecting(seen, purpose))
    for name, most in EASED[purpose].items():
        assert most <= MOST_EASED
        if name in plain:
            assert plain[name] - eased[name] == pytest.approx(min(most, plain[name]))
    assert eased["collected"] > 0.0


def test_a_purpose_that_nobody_knows_eases_nothing(seen):
    assert llrs(collecting(seen, "world-peace")) == llrs(collecting(seen, ""))


def test_a_policy_lowers_a_cap_and_switches_off(seen):
    assert llrs(collecting(seen, ""), caps={"harvest": 1.0})["harvest"] == 1.0
    assert "harvest" not in llrs(collecting(seen, ""), caps={"harvest": 0.0})


def test_a_detector_that_was_not_calibrated_says_nothing(seen):
    found = findings(collecting(seen, ""), Calibration())
    assert all(each.llr == 0.0 for each in found if each.family != "invariant")
