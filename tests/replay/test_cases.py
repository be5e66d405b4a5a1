"""Policy cases: stories that hold, and what is told of those that do not."""

import pytest

from proxy.core.errors import PolicyError
from proxy.replay.cases import run_cases

POLICY = """\
policy: free
when: {plan: free}
capabilities:
  - {forbid: [logit_bias+logprobs]}
  - {forbid: seed, mode: shadow}
  - {forbid: any, for: {reasoning: [high, max]}}
shapes:
  small: {truncate: {output_tokens: 10}}
  one: {clamp: {n: 1, output_tokens: 300}}
  slow: {delay: 1s}
ladder:
  - {level: guarded, shape: small}
  - {level: restricted, refuse: ask_us}
limits:
  - {limit: requests, allow: 3 requests, per: 1m, by: [key]}
  - {limit: output, allow: 1_000 output_tokens, per: day, by: [account]}
  - {limit: streams, allow: 2 concurrent, by: [account]}
  - {limit: watched, allow: 1 requests, per: 1m, mode: shadow}
  - {limit: prompts, allow: 1 distinct prompts, per: 24h, otherwise: flag}
  - {limit: models, allow: 1 distinct models, per: 24h, otherwise: {shape: slow}}
  - {limit: addresses, allow: 1 distinct addresses, per: 24h, otherwise: {shape: one}}
"""
GIVEN = "given: {plan: free, output_tokens: 100}\ncases:\n"


@pytest.fixture
def run(tmp_path):
    """Run one file of cases against the policy."""

    def run(cases: str, given: str = GIVEN):
        (tmp_path / "free.yaml").write_text(POLICY)
        (tmp_path / "tests").mkdir(exist_ok=True)
        (tmp_path / "tests" / "free.yaml").write_text(given + cases)
        return run_cases(tmp_path)

    return run


HOLDS = {
    "the first": "expect: {effect: allow, remaining: {requests: {above: 1, below: 3}}}",
    "the fourth": "after: [{requests: 3}], expect: {effect: refuse, limit: requests, code: limit.exceeded}",
    "by its whole name": "after: [{requests: 3}], expect: {effect: refuse, limit: free/requests}",
    "after a wait": "after: [{requests: 3}, {wait: 20s}], expect: {effect: allow}",
    "just before": "after: [{requests: 3}, {wait: 19s}], expect: {effect: refuse, retry_after: {above: 900ms, below: 1100ms}}",
    "spread": "after: [{requests: 30, within: 15m, used: {output_tokens: 1}}], expect: {effect: allow}",
    "other keys": "after: [{requests: 6, differing: [keys]}], expect: {effect: allow}",
    "somebody else": "after: [{requests: 3, given: {key: key_2}}], expect: {effect: allow}",
    "too large": "given: {output_tokens: 1_001}, expect: {effect: refuse, limit: output, retry_after: never}",
    "not used": "given: {output_tokens: 900}, after: [{requests: 2, used: {output_tokens: 5}}], expect: {effect: allow}",
    "used": "given: {output_tokens: 900}, after: [{requests: 1}], expect: {effect: refuse, limit: output}",
    "used more": "after: [{requests: 1, used: {output_tokens: 1_000}}], expect: {effect: refuse, limit: output}",
    "midnight": "at: '2026-01-31T23:59:30Z', given: {output_tokens: 900}, after: [{requests: 1}, {wait: 31s}], expect: {effect: allow}",
    "held": "after: [{requests: 2, hold: true}], expect: {effect: refuse, limit: streams}",
    "held and gone": "after: [{requests: 2, hold: true}, {wait: 61s}], expect: {effect: allow}",
    "shadow": "after: [{requests: 1}], expect: {effect: allow, shadow: watched}",
    "forbidden": "given: {features: [logprobs, logit_bias]}, expect: {effect: refuse, limit: forbid logit_bias+logprobs, code: capability.forbidden, retry_after: never}",
    "forbidden by effort": "given: {reasoning: high}, expect: {effect: refuse, code: capability.forbidden}",
    "another effort": "given: {reasoning: low}, expect: {effect: allow}",
    "one feature alone": "given: {features: logprobs}, expect: {effect: allow}",
    "a capability in shadow": "given: {features: [seed]}, expect: {effect: allow, shadow: forbid seed}",
    "what is forbidden is not counted": "after: [{requests: 9, given: {features: [logprobs, logit_bias]}, effect: refuse}], expect: {effect: allow}",
    "guarded": "given: {level: guarded}, expect: {effect: shape, code: standing.guarded, shape: small, limit: small}",
    "restricted": "given: {level: restricted}, expect: {effect: refuse, code: standing.restricted, retry_after: never}",
    "contained": "given: {level: contained}, expect: {effect: refuse, code: standing.contained}",
    "contained costs nothing": "after: [{requests: 9, given: {level: contained}, effect: refuse}], expect: {effect: allow}",
    "watch": "given: {level: watch}, expect: {effect: allow}",
    "shaped costs less": "given: {level: guarded}, after: [{requests: 2, effect: shape}], expect: {effect: shape, remaining: {output: {above: 850}}}",
    "shaped by a limit": "after: [{requests: 1, given: {ip: 192.0.2.1}}], expect: {effect: shape, limit: addresses, code: limit.shaped, shape: free/one}",
    "clamped costs less": "given: {output_tokens: 400, choices: 2, ip: 192.0.2.2}, after: [{requests: 1, given: {ip: 192.0.2.1, output_tokens: 1, choices: 1}}, {requests: 1, effect: shape}], expect: {effect: refuse, limit: output, remaining: {output: {above: 695, below: 700}}}",
    "delayed": "after: [{requests: 1, given: {model: other}}], expect: {effect: delay, shape: slow}",
    "flagged": "after: [{requests: 1, given: {prompt: other}}], expect: {effect: allow, flag: prompts}",
    "refused before": "after: [{requests: 3}, {requests: 2, effect: refuse}], expect: {effect: refuse}",
}


def test_stories_that_hold(run):
    report = run("".join(f"  - {{case: {name}, {story}}}\n" for name, story in HOLDS.items()))
    assert report.passed, "\n".join(report.lines())
    assert [result.line for result in report.results] == list(range(3, 3 + len(HOLDS)))
    assert report.lines()[-1] == f"{len(HOLDS)} cases, 0 failed"


@pytest.mark.parametrize(
    ("story", "told"),
    [
        ("expect: {effect: refuse, limit: free/requests}",
         "expected refuse by free/requests, got allow"),
        ("after: [{requests: 3}], expect: {effect: allow}",
         "expected allow, got refuse by free/requests (fits in 20s), in shadow free/watched"),
        ("after: [{requests: 3}], expect: {effect: refuse, limit: output}",
         "expected refuse by output, got refuse by free/requests (fits in 20s), in shadow free/watched"),
        ("after: [{requests: 5}], expect: {effect: refuse}",
         "after[0]: request 4 of 5: expected allow, got refuse by free/requests (fits in 20s), in shadow free/watched"),
        ("given: {plan: paid}, expect: {effect: allow}",
         "no policy speaks of this request (is `given` what its `when` asks for?)"),
        ("given: {features: [logprobs, logit_bias]}, expect: {effect: allow}",
         "expected allow, got refuse by free/forbid logit_bias+logprobs"),
        ("given: {features: [logprobs, logit_bias]}, expect: {effect: refuse, remaining: {requests: {above: 1}}}",
         "nothing is counted, got refuse by free/forbid logit_bias+logprobs"),
        ("given: {level: contained}, expect: {effect: shape}",
         "expected shape, got refuse by standing.contained"),
        ("given: {level: guarded}, expect: {effect: allow}",
         "expected allow, got shape (free/small) by standing.guarded"),
        ("given: {level: guarded}, expect: {effect: shape, shape: slow}",
         "expected the shape slow, got shape (free/small) by standing.guarded"),
        ("expect: {effect: allow, flag: prompts}",
         "expected prompts to flag, got allow"),
        ("after: [{requests: 1, given: {prompt: other, model: other}}], expect: {effect: allow}",
         "expected allow, got delay (free/slow) by free/models, flagged by free/prompts, in shadow free/watched"),
        ("given: {output_tokens: 1_001}, expect: {effect: allow}",
         "expected allow, got refuse by free/output (never fits)"),
        ("expect: {effect: allow, shadow: watched}",
         "expected watched to refuse in shadow, got allow"),
        ("expect: {effect: allow, remaining: {requests: {above: 5}}}",
         "2 are left of requests"),
        ("expect: {effect: allow, remaining: {breadth: {above: 5}}}",
         "no limit 'breadth' speaks of this request"),
        ("after: [{requests: 3}], expect: {effect: refuse, retry_after: never}",
         "expected that waiting never helps, got refuse by free/requests (fits in 20s), in shadow free/watched"),
        ("after: [{requests: 3}], expect: {effect: refuse, retry_after: {below: 20s}}",
         "expected another wait, got refuse by free/requests (fits in 20s), in shadow free/watched"),
        ("after: [{requests: 3}], expect: {effect: refuse, code: limit.never_fits}",
         "expected limit.never_fits, got refuse by free/requests (fits in 20s), in shadow free/watched"),
    ],
)  # fmt: skip
def test_what_is_told_of_a_story_that_does_not_hold(run, story, told):
    report = run(f"  - {{case: it, {story}, because: we say so}}\n")
    assert not report.passed
    assert [result.wrongs for result in report.results] == [(told,)]
    assert report.lines()[0].startswith("FAIL  ")
    assert report.lines()[1:3] == [f"      {told}", "      because: we say so"]
    assert report.as_dict()["passed"] is False


def test_a_policy_file_without_cases_fails(run, tmp_path):
    (tmp_path / "other.yaml").write_text(POLICY.replace("policy: free", "policy: other"))
    report = run("  - {case: a, expect: {effect: allow}}\n")
    assert not report.passed
    assert report.untested == (str(tmp_path / "other.yaml"),)
    assert f"has no cases ({tmp_path}/tests/other.yaml would do)" in report.lines()[-2]


def test_one_file_of_cases_runs_alone(run, tmp_path):
    run("  - {case: a, expect: {effect: allow}}\n")
    (tmp_path / "tests" / "more.yaml").write_text(
        GIVEN + "  - {case: b, expect: {effect: refuse}}\n"
    )
    assert [result.case for result in run_cases(tmp_path / "tests" / "free.yaml").results] == ["a"]


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("{case: a}", "3:5: cases[0].expect: is missing (expect: {effect: refuse, limit: requests})"),
        ("{case: a, expect: {effect: deny}}", "3:24: cases[0].expect.effect: must be 'allow', 'shape', 'delay' or 'refuse'"),
        ("{case: a, expect: {effect: allow, limit: r}}", "3:15: cases[0].expect: limit goes with effect: shape or delay or refuse"),
        ("{case: a, expect: {effect: refuse, shape: s}}", "3:15: cases[0].expect: shape goes with effect: shape or delay"),
        ("{case: a, given: {features: [logprob]}, expect: {effect: allow}}",
         "3:34: cases[0].given.features[0]: 'logprob' is no feature (did you mean 'logprobs'?)"),
        ("{case: a, given: {level: bad}, expect: {effect: allow}}",
         "3:23: cases[0].given.level: must be 'clear', 'watch', 'guarded', 'restricted' or 'contained'"),
        ("{case: a, afters: [], expect: {effect: allow}}",
         "3:15: cases[0].afters: is unknown (did you mean 'after'?)"),
        ("{case: a, after: [{wait: 30}], expect: {effect: allow}}",
         "3:24: cases[0].after[0].wait: cannot read '30' (400ms, 30s, 1h, 3d)"),
        ("{case: a, after: [{}], expect: {effect: allow}}",
         "3:23: cases[0].after[0]: is either requests or a wait ({requests: 60, within: 1s}, {wait: 30s})"),
        ("{case: a, after: [{wait: 1s, hold: true}], expect: {effect: allow}}",
         "3:23: cases[0].after[0]: a wait has nothing beside it"),
        ("{case: a, given: {ip: here}, expect: {effect: allow}}",
         "3:23: cases[0].given.ip: cannot read 'here' as an address (203.0.113.9)"),
        ("{case: a, at: noon, expect: {effect: allow}}",
         "3:15: cases[0].at: cannot read 'noon' as a moment (2026-01-31T23:59:00Z)"),
        ("{case: a, expect: {effect: allow}}\n  - {case: a, expect: {effect: allow}}",
         "4:6: cases[1].case: is the name of the case in line 3"),
        ("{case: a, expect: {effect: refuse, retry_after: {below: 3}}}",
         "3:54: cases[0].expect.retry_after.below: cannot read '3' (400ms, 30s, 1h, 3d)"),
    ],
)  # fmt: skip
def test_a_mistake_in_cases_has_its_sentence(run, tmp_path, case, told):
    with pytest.raises(PolicyError) as failed:
        run(f"  - {case}\n")
    assert str(failed.value) == f"{tmp_path}/tests/free.yaml:{told}"


def test_the_mistakes_of_all_files_of_cases_are_told_at_once(run, tmp_path):
    run("  - {case: a, expect: {effect: allow}}\n")
    (tmp_path / "tests" / "lost.yaml").symlink_to("nowhere")
    (tmp_path / "tests" / "tab.yaml").write_text("cases:\n\t- {}\n")
    with pytest.raises(PolicyError) as failed:
        run_cases(tmp_path)
    lost, tab = str(failed.value).splitlines()
    assert lost == f"{tmp_path}/tests/lost.yaml: cannot be read (No such file or directory)"
    assert tab.startswith(f"{tmp_path}/tests/tab.yaml:2:1: is not YAML")


def test_bad_policies_are_told_before_any_case_runs(run, tmp_path):
    (tmp_path / "bad.yaml").write_text("policy: [")
    with pytest.raises(PolicyError, match=r"bad\.yaml"):
        run("  - {case: a, expect: {effect: allow}}\n")


RAISING = """\
policy: free
shapes: {small: {truncate: {output_tokens: 10}}}
ladder: [{level: restricted, shape: small}]
limits:
  - {limit: watched, allow: 2 requests, per: 24h, by: [account], otherwise: {level: watch, for: 1h}}
  - {limit: campaign, allow: 3 requests, per: 24h, by: [account],
     otherwise: {level: restricted, for: 10h}}
  - {limit: shadow, allow: 1 requests, per: 24h, mode: shadow, otherwise: {level: watch, for: 1h}}
"""
RAISES = {
    "with room": "after: [{requests: 1}], expect: {effect: allow, level: clear}",
    "the third raises": "after: [{requests: 2}], expect: {effect: allow, raises: watched, level: clear}",
    "the fourth stands higher": "after: [{requests: 3}], expect: {effect: allow, raises: free/campaign, level: watch}",
    "the fifth is shaped": "after: [{requests: 4}], expect: {effect: shape, code: standing.restricted, level: restricted}",
    "until it ends": "after: [{requests: 4}, {wait: 9h}], expect: {effect: shape, raises: campaign}",
    "and then it is clear": "after: [{requests: 4}, {wait: 10h}], expect: {effect: allow, level: clear, raises: campaign}",
    "and prolonged before": "after: [{requests: 4}, {wait: 9h}, {requests: 1, effect: shape}, {wait: 9h}], expect: {effect: shape}",
    "one account is not another": "after: [{requests: 5, given: {account: other}, effect: any}], expect: {effect: allow, level: clear}",
    "shadow raises nothing": "after: [{requests: 1}], expect: {effect: allow, shadow: shadow, level: clear}",
    "what is given counts where it is higher": "given: {level: contained}, after: [{requests: 4, effect: refuse}], expect: {effect: refuse, level: contained}",
}  # fmt: skip


def test_the_next_request_of_a_case_stands_where_a_limit_has_raised_it(run, tmp_path):
    cases = "".join(f"  - {{case: {name}, {story}}}\n" for name, story in RAISES.items())
    run("  - {case: a, expect: {effect: allow}}\n")
    (tmp_path / "free.yaml").write_text(RAISING)
    (tmp_path / "tests" / "free.yaml").write_text(f"cases:\n{cases}")
    report = run_cases(tmp_path)
    assert report.passed, "\n".join(report.lines())


@pytest.mark.parametrize(
    ("story", "told"),
    [
        ("expect: {effect: allow, raises: watched}", "expected watched to raise the level, got allow"),
        ("after: [{requests: 2}], expect: {effect: allow, raises: campaign}",
         "expected campaign to raise the level, got allow, level raised by free/watched, in shadow free/shadow"),
        ("after: [{requests: 3}], expect: {effect: allow, level: restricted}",
         "expected the level restricted, got watch"),
    ],
)  # fmt: skip
def test_what_is_told_where_no_level_was_raised(run, tmp_path, story, told):
    run("  - {case: a, expect: {effect: allow}}\n")
    (tmp_path / "free.yaml").write_text(RAISING)
    (tmp_path / "tests" / "free.yaml").write_text(f"cases:\n  - {{case: it, {story}}}\n")
    assert [result.wrongs for result in run_cases(tmp_path).results] == [(told,)]


def test_a_limit_that_only_raises_is_not_who_refuses(run, tmp_path):
    run("  - {case: a, expect: {effect: allow}}\n")
    (tmp_path / "free.yaml").write_text(
        RAISING + "  - {limit: few, allow: 2 requests, per: 1h, by: [account]}\n"
    )
    (tmp_path / "tests" / "free.yaml").write_text(
        "cases:\n  - {case: a, after: [{requests: 2}], expect: {effect: refuse, limit: few, raises: watched}}\n"
        "  - {case: b, after: [{requests: 2}], expect: {effect: refuse, limit: watched}}\n"
    )
    first, second = run_cases(tmp_path).results
    assert first.wrongs == ()
    (told,) = second.wrongs
    assert told.startswith("expected refuse by watched, got refuse by free/few (fits in")
    assert "level raised by free/watched" in told
