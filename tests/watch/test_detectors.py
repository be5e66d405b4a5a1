"""Detectors are monotone and bounded, find what they are for, and leave their twins alone."""

from __future__ import annotations

import numpy as np
import pytest

from proxy.watch.detectors import DETECTORS, FAMILIES, detectors_for
from proxy.watch.detectors.measuring import MOST
from proxy.watch.layout import DIMENSIONS
from proxy.watch.profile import Profile
from proxy.watch.vector import Projection

PROJECTION = Projection(b"a key of this test alone")
BY_NAME = {each.name: each for each in detectors_for(PROJECTION)}
NOON = 1_780_000_000_000_000
MINUTE = 60_000_000


def asked(number, at=NOON, **more):
    """Return what an exchange is made of, for the fixture that makes it."""
    return number, at, more


def harvest(n):
    return asked(n)


def named_harvest(n):
    return asked(n, user=n % 60 + 1)


OWN_SUBJECT = np.full(DIMENSIONS, 0.5, np.float32)


def one_subject(n):
    return asked(n, vector=OWN_SUBJECT)


def as_everybody(n):
    return asked(n, vector=PROJECTION(f"how do i reset my password {n}"))


def talk(n):
    return asked(n, user=n % 9 + 1, **({"history": 2, "turns": 4} if n % 2 else {}))


def framed_talk(n):
    number, at, more = talk(n)
    return number, at, more | {"views": (77, 0, 0), "system": True}


def frame(n):
    return asked(n, views=(77, 0, 0), system=True)


def grid(n):
    return asked(n, near=5)


def known(n):
    return asked(n, known=True)


def eliciting(n):
    return asked(n, elicits=True, template=9)


def grading(n):
    return asked(n, echoed=True, grades=True)


def foreign_session(n):
    return asked(n, history=4, unserved=4)


def declined(n):
    return asked(n, declined=True, elicits=True)


def thinking(n):
    return asked(n, reasoning_tokens=900, output_tokens=1_000, knobs=frozenset({"reasoning_text"}))


def soft_labels(n):
    return asked(n, knobs=frozenset({"logprobs", "top_logprobs", "n"}), choices=8, temperature=1.0)


def sweeping(n):
    return asked(1, knobs=frozenset({"logit_bias"}))


def leaking(n):
    return asked(1, knobs=frozenset({"logit_bias", "logprobs"}))


def at_cap(n):
    return asked(n, at_cap=True, capped=True)


def day_and_night(n):
    return asked(n, NOON + n * 7 * 60 * MINUTE)


def replaying(n):
    return asked(n, foreign=1.0)


STORIES = {
    "template_concentration": frame, "breadth": harvest, "known_sets": known, "harvest": harvest,
    "training_value": named_harvest, "distribution_shift": one_subject,
    "elicitation": eliciting, "echo": grading, "foreign_history": foreign_session,
    "refusals": declined, "reasoning_share": thinking, "knobs": soft_labels,
    "logit_sweep": sweeping, "at_cap": at_cap, "collected": harvest, "steadiness": day_and_night,
    "ramp": harvest, "foreign_reasoning": replaying, "biased_logprobs": leaking,
}  # fmt: skip


def profile_of(seen, story, many):
    profile = Profile()
    for n in range(many):
        number, at, more = story(n)
        profile.observe(seen(number, at, **more))
    return profile


@pytest.fixture
def score(seen):
    def measured(name, story, many=300):
        return BY_NAME[name].measure(profile_of(seen, story, many)).score

    return measured


@pytest.mark.parametrize("name", [name for name in FAMILIES if name in STORIES])
def test_more_of_the_same_is_no_less_evidence(score, name):
    scores = [score(name, STORIES[name], many) for many in (0, 3, 30, 300)]
    assert scores[0] == 0.0
    assert scores == sorted(scores)
    assert 0.5 < scores[-1] <= MOST


@pytest.mark.parametrize("name", [name for name in FAMILIES if name in STORIES])
def test_no_amount_is_beyond_the_bound(seen, name):
    profile = profile_of(seen, STORIES[name], 40)
    profile.sums *= 1e30
    assert 0.0 <= BY_NAME[name].measure(profile).score <= MOST


def test_every_detector_has_its_story_and_its_family():
    assert len(FAMILIES) == len(DETECTORS)
    assert set(FAMILIES.values()) == {
        "content", "reasoning", "parameters", "volume", "invariant",
    }  # fmt: skip
    assert set(FAMILIES) == set(STORIES)


# The honest twin of each: like the thief in all but what tells them apart.
TWINS = {
    "batch job with short answers": (
        "template_concentration", lambda n: asked(n, views=(77, 0, 0), output_tokens=3)),
    "product whose users are named": ("template_concentration", framed_talk),
    "named users who talk": ("training_value", talk),
    "subject of its own, in conversations": (
        "distribution_shift", lambda n: asked(n, vector=OWN_SUBJECT, history=2, turns=4)),
    "subject of its own, in short answers": (
        "distribution_shift", lambda n: asked(n, vector=OWN_SUBJECT, output_tokens=9)),
    "suite that runs again": ("training_value", lambda n: asked(n % 20)),
    "product with conversations": ("breadth", lambda n: asked(n, history=2, turns=4)),
    "agent with tools": ("harvest", lambda n: asked(n, knobs=frozenset({"tools"}))),
    "evaluation that comes again": ("known_sets", lambda n: asked(n % 20, known=True)),
    "load test": ("harvest", lambda _n: asked(1)),
    "pupils who ask for steps now and then": (
        "elicitation", lambda n: asked(n, elicits=n % 10 == 0)),
    "code agent that quotes itself in its history": ("echo", lambda n: asked(n, history=3)),
    "conversation that goes on": ("foreign_history", lambda n: asked(n, history=4, unserved=0)),
    "classifier biased to its labels": (
        "logit_sweep", lambda n: asked(n, knobs=frozenset({"logit_bias"}))),
    "product that is declined now and then": ("refusals", lambda n: asked(n, declined=n % 30 == 0)),
    "somebody at work by day": ("steadiness", lambda n: asked(n, NOON + n * MINUTE // 10)),
    "account that is old": ("ramp", lambda n: asked(n, NOON + n * 3 * 1440 * MINUTE)),
}  # fmt: skip


@pytest.mark.parametrize("twin", TWINS)
def test_the_honest_twin_says_a_fraction_of_the_thief(score, twin):
    name, honest = TWINS[twin]
    own, thief = score(name, honest), score(name, STORIES[name])
    assert own < thief / 2


def test_findings_carry_numbers_only(seen):
    for name, story in STORIES.items():
        profile = profile_of(seen, story, 20)
        numbers = BY_NAME[name].measure(profile).numbers
        assert numbers
        assert all(isinstance(number, float) for number in numbers.values())


def test_without_its_references_a_distribution_says_nothing(seen):
    (plain,) = (each for each in DETECTORS if each.name == "distribution_shift")
    assert plain.measure(profile_of(seen, one_subject, 50)).score == 0.0


def test_references_of_another_key_are_of_no_use(seen):
    other = Projection(b"another key")
    (keyed,) = (each for each in detectors_for(other) if each.name == "distribution_shift")
    profile = profile_of(seen, as_everybody, 100)
    assert keyed.measure(profile).score > BY_NAME["distribution_shift"].measure(profile).score
