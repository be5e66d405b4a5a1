"""What a directory of files means, and which files are in it."""

import os
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from proxy.core.decision import Mode, OnStoreError
from proxy.core.errors import PolicyError
from proxy.limits.buckets import DAY, HOUR, Budget, Distinct, Exposure, Lease, Rate, Rolling, Window
from proxy.policy.compiled import Scope, Unit
from proxy.policy.loader import check, load

MINUTE = 60_000_000
GOOD = "policy: good\nlimits:\n  - {limit: r, allow: 6 requests, per: 1m}\n"
PRICED = 'models: [{model: "*", prices: {input: 1}}]\n'

# what a limit says                                        how it counts
KINDS = {
    "allow: 60 requests, per: 1m":                          Rate(60, MINUTE, 60),
    "allow: 60 requests, per: 1m, burst: 20":               Rate(60, MINUTE, 20),
    "allow: 60 requests, per: 60m":                         Rate(60, HOUR, 60),
    "allow: 60 requests, per: 61m":                         Rolling(60, 61 * MINUTE),
    "allow: 60 requests, per: 24h":                         Rolling(60, DAY),
    "allow: 60 requests, per: hour":                        Budget(60, Window.HOUR),
    "allow: 200_000 output_tokens, per: day":               Budget(200_000, Window.DAY),
    "allow: 2.50 usd, per: month":                          Budget(2_500_000, Window.MONTH),
    "allow: 9 tokens, half_life: 30d":                      Exposure(9, 30 * DAY),
    "allow: 8 concurrent":                                  Lease(8, MINUTE),
    "allow: 8 concurrent, hold: 2m":                        Lease(8, 2 * MINUTE),
    "allow: 400 distinct prompts, per: 24h":                Distinct(400, DAY),
    "allow: 400 distinct   models, per: 10m":               Distinct(400, 10 * MINUTE),
    "allow: 60 requests, per: 24h, as: rate":               Rate(60, DAY, 60),
    "allow: 60 requests, per: day, as: rate, burst: 5":     Rate(60, DAY, 5),
    "allow: 60 requests, per: 1m, as: rolling":             Rolling(60, MINUTE),
    "allow: 60 requests, per: week, as: rolling":           Rolling(60, 7 * DAY),
    "allow: 60 requests, per: 24h, as: budget":             Budget(60, Window.DAY),
    "allow: 60 requests, per: 7d, as: budget":              Budget(60, Window.WEEK),
}  # fmt: skip


@pytest.mark.parametrize(("says", "counts"), KINDS.items())
def test_how_a_limit_counts_follows_from_its_words(write, says, counts):
    directory = write(p=f"policy: p\nlimits:\n  - {{limit: a, {says}}}\n", models=PRICED)
    (policy,) = load(directory).policies.policies
    assert [limit.bucket for limit in policy.limits] == [counts]


def test_a_limit_is_told_as_a_sentence(write):
    directory = write(
        p="policy: p\nlimits:\n  - {limit: a, allow: 6 tokens, per: 1m, by: [org, model],"
        " mode: shadow, on_store_error: local}\n"
    )
    (limit,) = load(directory).policies.policies[0].limits
    assert limit.sentence == "6 tokens per 1m by org, model"
    assert (limit.policy, limit.name, limit.unit) == ("p", "a", Unit.TOKENS)
    assert limit.by == (Scope.ORG, Scope.MODEL)
    assert (limit.mode, limit.on_store_error) == (Mode.SHADOW, OnStoreError.LOCAL)


def test_a_limit_counts_by_key_and_refuses_unless_told_otherwise(write):
    (limit,) = load(write(p=GOOD)).policies.policies[0].limits
    assert limit.by == (Scope.KEY,)
    assert (limit.mode, limit.on_store_error) == (Mode.ENFORCE, OnStoreError.DENY)


def test_no_is_a_word(write):
    directory = write(p=GOOD.replace("limits", "when: {plan: NO, account: [on, y]}\nlimits"))
    assert load(directory).policies.policies[0].name == "good"


def test_a_directory_without_policies_says_that_nothing_would_be_limited(tmp_path, write):
    with pytest.raises(PolicyError, match="holds no policy, so nothing would be limited"):
        load(tmp_path)
    with pytest.raises(PolicyError, match="holds no policy"):
        load(write(models=PRICED))


def test_a_directory_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(PolicyError, match="nowhere: cannot be read"):
        load(tmp_path / "nowhere")
    assert [str(told) for told in check([tmp_path / "nowhere"])] == [
        f"{tmp_path / 'nowhere'}: is not there"
    ]


def test_two_files_may_not_be_one_policy(write):
    with pytest.raises(PolicyError, match=r"b.yaml:1:1: policy: 'good' is the policy of .*a.yaml"):
        load(write(a=GOOD, b=GOOD))


def test_editors_copies_and_other_files_are_left_alone(write):
    directory = write(a=GOOD)
    before = load(directory)
    for name in (
        ".a.yaml.swp",
        ".#a.yaml",
        "#a.yaml#",
        "a.yaml~",
        "a.yaml.bak",
        "README.md",
        ".b.yaml",
    ):
        (directory / name).write_text("policy: [")
    (directory / "folder.yaml").mkdir()
    (directory / "tests").mkdir()
    os.mkfifo(directory / "pipe.yaml")
    assert load(directory).policies.digest == before.policies.digest


def test_a_link_that_leads_nowhere_is_a_policy_that_is_missing(write):
    directory = write(a=GOOD)
    (directory / "b.yaml").symlink_to("gone.yaml")
    with pytest.raises(PolicyError, match=r"b.yaml: cannot be read \(No such file"):
        load(directory)


def test_a_file_may_not_be_larger_than_a_megabyte(write):
    directory = write(a=GOOD + "#" * 1_000_000)
    with pytest.raises(PolicyError, match=r"a.yaml:1:1: is larger than 1000000 bytes"):
        load(directory)


def test_thousands_of_mistakes_do_not_fill_the_log(write):
    told = check([write(a="policy: p\n" * 1000)])
    assert len(told) == 501
    assert told[-1].sentence == "and 499 more mistakes"


def test_a_directory_is_read_again_until_nothing_changes_meanwhile(write, monkeypatch):
    directory = write(a=GOOD)
    states = iter(["one", "two", "two", "two"])
    monkeypatch.setattr("proxy.policy.loader.digest", lambda _directory: next(states))
    assert load(directory).policies.digest == "two"
    counting = iter(range(100))
    monkeypatch.setattr("proxy.policy.loader.digest", lambda _directory: str(next(counting)))
    with pytest.raises(PolicyError, match="changes while it is read"):
        load(directory)


def test_a_directory_of_thousands_of_files_is_a_mistake(tmp_path):
    for number in range(1001):
        (tmp_path / f"{number}.yaml").touch()
    (told,) = check([tmp_path])
    assert told.sentence == "holds 1001 policy files (at most 1000)"


def test_there_is_one_models_file(write, tmp_path):
    write(a=GOOD, models=PRICED)
    (tmp_path / "models.yml").write_text(PRICED)
    (told,) = check([tmp_path])
    assert str(told) == f"{tmp_path}/models.yml:1:1: there is models.yaml already"


def test_a_file_that_is_no_yaml_is_no_policy(tmp_path):
    (tmp_path / "a.txt").write_text(GOOD)
    (told,) = check([tmp_path / "a.txt"])
    assert told.sentence == "is no policy file (its name ends in .yaml)"


def test_the_digest_knows_names_and_contents(tmp_path):
    digests = set()
    for name, text in (("a", GOOD), ("b", GOOD), ("a", GOOD + "#"), ("ab", GOOD)):
        for old in tmp_path.iterdir():
            old.unlink()
        (tmp_path / f"{name}.yaml").write_text(text)
        digests.add(load(tmp_path).policies.digest)
    assert len(digests) == 4
    assert all(len(digest) == 16 for digest in digests)


def test_cases_are_not_taken_for_policies(write, tmp_path):
    write(a=GOOD)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a.yaml").write_text("cases: []")
    assert check([tmp_path]) == []
    (told,) = check([tmp_path / "tests" / "a.yaml"])
    assert told.sentence == "holds cases (weir test)"


SNIPPETS = st.sampled_from(
    ["policy: p\n", "limits:\n", "  - limit: a\n", "    allow: 6 requests\n", "    per: 1m\n", "when: ",
     "shapes:\n", "  a: {extends: a}\n", "otherwise: {shape: a}\n", "ladder:\n", "  - {level: watch, shape: a}\n",
     "capabilities: [{forbid: n, for: {model: [", "  ? [key]\n", "{plan: [free]}\n", "&a ", "*a\n", "!!binary x\n", "? x\n", "<<: ", "- ", "|\n", ">\n", "'", '"', "%YAML 1.1\n",
     "---\n", "...\n", "\t", "\x00", "\ud7ff", "0x_", "1_000\n", "1e999\n", ".nan\n", "~\n", "[", "{", "}", "]", ":",
     "2026-01-31\n", "!!set {a}\n", "!!float x\n", "!!int 9e\n", "=\n", "0o8\n", "0b_\n", "\u2028"]
)  # fmt: skip


@given(
    st.one_of(
        st.binary(max_size=60), st.lists(SNIPPETS, max_size=12).map(lambda t: "".join(t).encode())
    )
)
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(b"[" * 400)
@example(b"limits: " + b"[{a: " * 100)
@example(b"policy: p\nlimits: [{limit: a, allow: " + b"9" * 5000 + b" requests}]")
@example(b"policy: " + b"9" * 5000)
@example(b"policy: p\nshapes: {'[key]': 7, a: {extends: '[key]'}, '': {extends: a}}")
@example(b"policy: p\nladder: {level: watch}\nshapes: [a]\ncapabilities: a")
@example(b"policy: p\ncapabilities: [{forbid: [[n]], for: {model: ['[z-a]']}, require: {}}]")
@example(b"when: {prompt_tokens: {above: 0x" + b"f" * 5000 + b"}}")
def test_no_file_lets_out_anything_but_a_policy_error(tmp_path, raw):
    (tmp_path / "a.yaml").write_bytes(raw)
    with suppress(PolicyError):
        load(tmp_path)
