"""Two policy sets over the same traffic, and the bounds that a pipeline puts on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.core.facts import Usage
from proxy.policy.loader import load
from proxy.replay.bounds import broken, most, unknown
from proxy.replay.results import difference_dict, summary_dict
from proxy.replay.run import Replay
from proxy.replay.telling import difference_lines, summary_lines
from proxy.traffic.entry import Answer, Entry

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.policy.loader import Loaded

NOON = 1_768_392_000_000_000
SHAPES = "shapes: {s: {clamp: {output_tokens: 40}}, t: {clamp: {output_tokens: 30}}}\n"
FIVE = "limits: [{limit: five, allow: 5 requests, per: day, by: [account]}]\n"
TWO = "limits: [{limit: two, allow: 2 requests, per: day, by: [account]}]\n"
SHAPED = SHAPES + (
    "limits: [{limit: soft, allow: 2 requests, per: day, by: [account], otherwise: {shape: s}}]\n"
)
SHAPED_MORE = SHAPED.replace("shape: s}", "shape: t}")


@pytest.fixture
def rules(tmp_path: Path):
    def make(text: str, name: str) -> Loaded:
        directory = tmp_path / name
        directory.mkdir()
        (directory / "p.yaml").write_text("policy: p\nabout: for a test\n" + text)
        return load(directory)

    return make


def traffic(requests: int = 10, accounts: str = "a") -> list[Entry]:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 99}
    answer = Answer(usage=Usage(reported_prompt=1, reported_output=60, relayed=60), lasted=1000)
    return [
        Entry(NOON + at * 10_000, name, name, f"{name}-org", "free", body=body, answer=answer)
        for at in range(requests)
        for name in accounts
    ]


def compared(rules, before: str, after: str, sent: list[Entry]) -> Replay:
    replay = Replay(rules(after, "after"), rules(before, "before"))
    replay.play(sent)
    return replay


@pytest.mark.parametrize(
    ("before", "after", "refused", "limited", "eased", "other"),
    [
        (FIVE, TWO, 3, 0, 0, 0),
        (TWO, FIVE, 0, 0, 3, 0),
        (FIVE, FIVE, 0, 0, 0, 0),
        (FIVE, SHAPED, 0, 3, 5, 0),  # the third to fifth are shaped; then what was refused is not
        (SHAPED, FIVE, 5, 0, 3, 0),
        (SHAPED, SHAPED_MORE, 0, 0, 0, 8),
    ],
)
def test_each_request_is_counted_by_what_changed(
    rules, before, after, refused, limited, eased, other
):
    replay = compared(rules, before, after, traffic())
    assert replay.difference is not None
    (changed,) = replay.difference.accounts.values() or [None]
    if changed is None:
        assert replay.difference.changed == 0
        return
    assert (changed.refused, changed.limited, changed.eased, changed.other) == (
        refused, limited, eased, other,
    )  # fmt: skip
    assert replay.difference.new_refusals == refused
    assert sum(map(sum, replay.difference.matrix)) == 10


def test_what_changed_is_told_by_the_limit_that_does_it(rules):
    replay = compared(rules, FIVE, TWO, traffic(accounts="abc"))
    assert replay.difference is not None
    assert {name: each.refused for name, each in replay.difference.limits.items()} == {"p/two": 9}
    assert {name: each.refused for name, each in replay.difference.accounts.items()} == {
        "a": 3, "b": 3, "c": 3,
    }  # fmt: skip


def test_examples_tell_both_decisions_with_their_numbers(rules):
    replay = compared(rules, FIVE, TWO, traffic())
    assert replay.difference is not None
    example = replay.difference.examples[0]
    assert (example.before, example.after, example.account) == ("allow", "refuse", "a")
    assert example.why_before == ()
    assert example.why_after == ("limit.exceeded: p/two, 0 of 2 requests left, 1 asked",)


def test_both_sets_count_for_themselves(rules):
    replay = compared(rules, FIVE, TWO, traffic())
    assert replay.summary_before.total.effects[3] == 5
    assert replay.summary.total.effects[3] == 8


@pytest.mark.parametrize(
    ("bound", "fail_on", "breaches"),
    [
        (None, (), 0),
        ("30%", (), 0),
        ("29.9%", (), 1),
        ("3", (), 0),
        ("2", (), 1),
        ("0%", (), 1),
        (None, ("two",), 1),
        (None, ("p/two",), 1),
        ("0", ("two",), 2),
    ],
)
def test_bounds_break_where_they_say(rules, bound, fail_on, breaches):
    replay = compared(rules, FIVE, TWO, traffic())
    found = broken(replay.summary, replay.difference, bound and most(bound), fail_on)
    assert len(found) == breaches


def test_a_limit_that_eases_does_not_break_a_bound_on_it(rules):
    replay = compared(rules, TWO, FIVE, traffic())
    assert broken(replay.summary, replay.difference, most("0"), ("five", "two")) == []


def test_without_another_set_a_named_limit_may_have_no_overflow_at_all(rules):
    replay = Replay(rules(TWO, "alone"))
    replay.play(traffic())
    assert broken(replay.summary, None, None, ("two",)) == ["two had no room for 8 requests"]
    assert broken(replay.summary, None, None, ("other",)) == []


def test_a_bound_on_a_limit_that_does_not_exist_is_seen():
    assert unknown(["free/money", "free/two"], ("money", "free/two", "mony")) == ["mony"]


@pytest.mark.parametrize("text", ["", "a few", "-1", "101%", "1.5", "0.1 %%", "1e3", "½%"])
def test_what_is_no_bound_says_what_would_do(text):
    with pytest.raises(ValueError, match=r"cannot read .* as a bound \(0.1%, or a count: 25\)"):
        most(text)


def test_an_interrupted_replay_keeps_what_was_played(rules):
    def cut():
        yield from traffic(3)
        raise KeyboardInterrupt

    replay = Replay(rules(TWO, "alone"))
    replay.play(cut())
    assert replay.interrupted
    assert replay.summary.total.requests == 3
    assert replay.summary.total.output == 120  # settled too


def test_results_are_plain_and_the_same_twice(rules):
    replay = compared(rules, FIVE, TWO, traffic(accounts="ab"))
    assert replay.difference is not None
    told = summary_dict(replay.summary)
    assert told["decisions"] == {
        "requests": 20, "allow": 4, "shape": 0, "delay": 0, "refuse": 16, "free": 0, "error": 0,
        "full_fidelity": 4, "prompt_tokens": 4, "output_tokens": 240, "cost_usd_micro": 0,
        "levels": {},
    }  # fmt: skip
    (limit,) = told["limits"]
    assert limit["headroom"][0] == 18  # none left: the second of each, and all refused ones
    assert limit["headroom"][10] == 2  # half left: the first of each
    assert (limit["no_room"], limit["refused"], limit["accounts"]) == (16, 16, 2)
    assert difference_dict(replay.difference)["matrix"] == {
        "allow": {"allow": 4, "refuse": 6}, "refuse": {"refuse": 10},
    }  # fmt: skip
    again = Replay(replay.rules, replay.before)
    again.play(traffic(accounts="ab"))
    assert summary_dict(again.summary) == told


def test_lines_for_people_name_who_what_and_how_often(rules):
    replay = compared(rules, FIVE, TWO, traffic(accounts="ab"))
    assert replay.difference is not None
    text = "\n".join(
        [*summary_lines(replay.summary), *difference_lines(replay.difference, "before")]
    )
    assert "20 requests of 2 accounts, 2026-01-14 12:00:00 to 2026-01-14 12:00:00" in text
    assert "refused 16 (80%)" in text
    assert "2 requests per day by account" in text
    assert "against before: 6 of 20 requests are decided otherwise" in text
    assert "newly refused 6 (30%)" in text


def test_nothing_played_is_a_sentence(rules):
    replay = Replay(rules(TWO, "alone"))
    replay.play([])
    assert list(summary_lines(replay.summary)) == ["no request: nothing was played"]
    assert summary_dict(replay.summary)["first"] is None


def test_what_a_shape_changed_is_counted_by_what_it_was(rules):
    replay = Replay(rules(SHAPED, "alone"))
    replay.play(traffic())
    assert replay.summary.changes == {"clamp.output_tokens": 8}
    assert replay.summary.accounts["a"].limits == {"p/soft": 8}


def test_what_a_capability_refuses_is_told_of_the_account(rules):
    forbids = "capabilities: [{forbid: seed}]\n"
    replay = Replay(rules(forbids, "alone"))
    sent = traffic(3)
    for each in sent[1:]:
        each.body = {**each.body, "seed": 1}
    replay.play(sent)
    assert replay.summary.total.effects[3] == 2
    assert replay.summary.accounts["a"].limits == {"p/forbid seed": 2}
