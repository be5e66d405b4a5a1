"""What shapes, capabilities, `otherwise` and the ladder mean."""

from typing import get_args

import pytest

from proxy.core.decision import Mode
from proxy.core.errors import PolicyError
from proxy.core.shape import EFFORTS, NO_SHAPE, STRIPPABLE, Shape
from proxy.core.standing import Level
from proxy.policy.answers import Effort, Reasoning, Strippable
from proxy.policy.compiled import Otherwise
from proxy.policy.ladders import RungText
from proxy.policy.loader import load

HEAD = "policy: p\nlimits:\n  - {limit: r, allow: 6 requests, per: 1m, otherwise: {shape: s}}\nshapes:\n"

# what a shape says                                             what it changes
SHAPES = {
    "{strip: [logprobs, seed]}":                                Shape(strip=frozenset({"logprobs", "seed"})),
    "{strip: echo}":                                            Shape(strip=frozenset({"echo"})),
    "{hide: [reasoning]}":                                      Shape(hide_reasoning=True),
    "{hide: reasoning}":                                        Shape(hide_reasoning=True),
    "{clamp: {n: 1, best_of: 2, output_tokens: 2_048}}":        Shape(n=1, best_of=2, output_tokens=2048),
    "{clamp: {top_logprobs: 0}}":                               Shape(top_logprobs=0),
    "{clamp: {temperature: {min: 0.5, max: 1}}}":               Shape(temperature_min=0.5, temperature_max=1.0),
    "{clamp: {temperature: {max: 0}}}":                         Shape(temperature_max=0.0),
    "{clamp: {effort: none}}":                                  Shape(effort="none"),
    "{truncate: {output_tokens: 256}}":                         Shape(truncate=256),
    "{delay: 400ms}":                                           Shape(delay=400_000),
    "{delay: 60s}":                                             Shape(delay=60_000_000),
    "{extends: base}":                                          Shape(n=2, delay=1_000_000),
    "{extends: base, clamp: {n: 1}, delay: 1ms}":               Shape(n=1, delay=1_000_000),
    "{extends: base, clamp: {n: 3}}":                           Shape(n=2, delay=1_000_000),
    "{extends: more, hide: reasoning}":                         Shape(n=2, best_of=2, delay=2_000_000, hide_reasoning=True),
}  # fmt: skip
OTHERS = (
    "  base: {clamp: {n: 2}, delay: 1s}\n  more: {extends: base, clamp: {best_of: 2}, delay: 2s}\n"
)


@pytest.mark.parametrize(("says", "changes"), SHAPES.items())
def test_what_a_shape_changes_follows_from_its_words(write, says, changes):
    (policy,) = load(write(p=HEAD + f"  s: {says}\n" + OTHERS)).policies.policies
    (limit,) = policy.limits
    told = {name: getattr(limit.shape, name) for name in Shape.__slots__ if name != "names"}
    assert told == {name: getattr(changes, name) for name in told}
    assert limit.shape.names == ("p/s",)
    assert limit.otherwise is Otherwise.SHAPE
    assert not limit.binding


@pytest.mark.parametrize(
    ("says", "does", "binds"),
    [("refuse", Otherwise.REFUSE, True), ("flag", Otherwise.FLAG, False)],
)
def test_what_a_limit_does_without_room(write, says, does, binds):
    text = f"policy: p\nlimits:\n  - {{limit: r, allow: 6 requests, per: 1m, otherwise: {says}}}\n"
    (limit,) = load(write(p=text)).policies.policies[0].limits
    assert (limit.otherwise, limit.shape, limit.binding) == (does, NO_SHAPE, binds)


def test_a_ladder_is_sorted_from_low_to_high(write):
    text = (
        "policy: p\nladder:\n  - {level: contained, refuse: a.b_1}\n  - {level: watch, shape: s}\n"
        "  - {level: restricted, refuse: ask_us}\nshapes: {s: {delay: 1s}}\n"
    )
    (policy,) = load(write(p=text)).policies.policies
    assert [(rung.level, rung.shape.names, rung.refuse) for rung in policy.ladder] == [
        (Level.WATCH, ("p/s",), ""),
        (Level.RESTRICTED, (), "ask_us"),
        (Level.CONTAINED, (), "a.b_1"),
    ]


@pytest.mark.parametrize(
    "rules",
    [
        "capabilities: [{forbid: n}]",
        "ladder: [{level: contained, refuse: x}]",
        "limits: [{limit: r, allow: 6 requests, per: 1m}]",
    ],
)
def test_a_policy_may_have_one_kind_of_rule_alone(write, rules):
    (policy,) = load(write(p=f"policy: p\n{rules}\n")).policies.policies
    assert len(policy.limits) + len(policy.capabilities) + len(policy.ladder) == 1


def test_a_capability_may_be_in_shadow_and_has_a_reason(write):
    text = "policy: p\ncapabilities: [{require: verified, mode: shadow, because: we ask}]\n"
    (rule,) = load(write(p=text)).policies.policies[0].capabilities
    assert (rule.mode, rule.because, rule.policy, rule.combos) == (Mode.SHADOW, "we ask", "p", ())


def test_a_shape_belongs_to_its_file(write):
    with pytest.raises(PolicyError, match="there is no shape 's'"):
        load(
            write(
                a="policy: a\nladder: [{level: watch, shape: s}]\n",
                b="policy: b\nshapes: {s: {delay: 1s}}\ncapabilities: [{forbid: n}]\n",
            )
        )


def test_a_shape_with_mistakes_is_there_all_the_same(write):
    with pytest.raises(PolicyError) as failed:
        load(write(p=HEAD + "  s: {extends: t, delay: soon}\n  t: {delay: {}}\n"))
    assert [line.split(": ", 1)[1] for line in str(failed.value).splitlines()] == [
        "shapes.s.delay: cannot read 'soon' (400ms, 2s)",
        "shapes.t.delay: must be text",
    ]


def test_the_words_of_the_files_are_those_of_the_core():
    assert get_args(Strippable) == STRIPPABLE
    assert get_args(Effort) == EFFORTS
    assert get_args(Reasoning) == ("any", "full", *EFFORTS)
    levels = get_args(RungText.model_fields["level"].annotation)
    assert levels == tuple(level.value for level in Level if level is not Level.CLEAR)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_limit_that_raises_a_level_goes_on_measuring_and_never_refuses(write, mode):
    text = (
        "policy: p\nlimits:\n  - {limit: r, allow: 1_000 requests, per: 24h, by: [account],"
        f" otherwise: {{level: restricted, for: 72h}}, mode: {mode}}}\n"
    )
    (limit,) = load(write(p=text)).policies.policies[0].limits
    assert (limit.otherwise, limit.level) == (Otherwise.LEVEL, Level.RESTRICTED)
    assert (limit.lasts, limit.binding, limit.shape) == (72 * 3600 * 1_000_000, False, NO_SHAPE)
    assert limit.sentence == "1_000 requests per 24h by account, else restricted for 3d"


@pytest.mark.parametrize(("says", "lasts"), [("1m", 60), ("30d", 30 * 86_400)])
def test_a_level_is_raised_for_a_minute_to_thirty_days(write, says, lasts):
    otherwise = f"{{level: watch, for: {says}}}"
    text = f"policy: p\nlimits:\n  - {{limit: r, allow: 6 requests, per: 1m, otherwise: {otherwise}}}\n"
    (limit,) = load(write(p=text)).policies.policies[0].limits
    assert limit.lasts == lasts * 1_000_000
