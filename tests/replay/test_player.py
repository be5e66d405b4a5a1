"""Traffic played on its own clock: every number here is calculated by hand."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.core.decision import Effect
from proxy.core.facts import RequestFacts, Usage
from proxy.core.quantities import parse_duration
from proxy.policy.loader import load
from proxy.replay.player import Player
from proxy.traffic.entry import Answer, Entry, Prints
from proxy.traffic.parsing import line_of
from proxy.traffic.reading import Tally, entries

if TYPE_CHECKING:
    from proxy.policy.loader import Loaded
    from proxy.replay.played import Played

SECOND = 1_000_000
NOON = 1_768_392_000 * SECOND  # 2026-01-14T12:00:00Z, a Wednesday
MIDNIGHT = NOON + 12 * 3600 * SECOND

MODELS = """
models:
  - model: "*"
    counter: words
    max_output_tokens: 1000
    prices: {input: 1, output: 2}
"""


@dataclass
class Heard:
    """Keeps what a player tells."""

    decided_: list[Played] = field(default_factory=list)
    settled_: list[Played] = field(default_factory=list)

    def decided(self, played: Played) -> None:
        self.decided_.append(played)

    def settled(self, played: Played) -> None:
        self.settled_.append(played)

    @property
    def effects(self) -> str:
        """A letter a request: a, s, d, r."""
        return "".join(
            "-" if each.decision is None else each.decision.effect.value[0]
            for each in self.decided_
        )

    def left(self, limit: int = 0) -> list[int]:
        return [
            each.charged.receipts[limit].remaining for each in self.decided_ if each.plan.limits
        ]


@pytest.fixture
def rules(tmp_path: Path):
    def make(text: str, name: str = "p") -> Loaded:
        directory = tmp_path / name
        directory.mkdir()
        (directory / "models.yaml").write_text(MODELS)
        (directory / "p.yaml").write_text("policy: p\nabout: for a test\n" + text)
        return load(directory)

    return make


def entry(at: int, account: str = "a", output: int = 100, lasted: int = SECOND, **more) -> Entry:
    body = {"model": "m", "messages": [{"role": "user", "content": more.pop("text", "one two")}]}
    body |= more.pop("knobs", {"max_tokens": 500})
    answer = Answer(
        usage=Usage(reported_prompt=10, reported_output=output, relayed=output), lasted=lasted
    )
    return Entry(at, account, account, account, body=body, **{"answer": answer, **more})


def played(rules: Loaded, entries: list[Entry]) -> Heard:
    heard = Heard()
    Player(rules, [heard]).play(entries)
    return heard


def test_a_rate_refills_by_the_clock_of_the_traffic(rules):
    two = rules("limits: [{limit: r, allow: 2 requests, per: 1m, by: [account]}]")
    # Two at once, the third waits 30 s for its share of a minute.
    at = [0, 1, 2, 29.9, 30.0, 59.9, 60.0]
    heard = played(two, [entry(NOON + int(each * SECOND)) for each in at])
    assert heard.effects == "aarrara"


def test_a_daily_budget_turns_at_midnight_utc_and_not_before(rules):
    day = rules("limits: [{limit: b, allow: 1 requests, per: day, by: [account]}]")
    at = [NOON, MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1]
    assert played(day, [entry(each) for each in at]).effects == "arar"


def test_a_monthly_budget_turns_on_the_first(rules):
    month = rules("limits: [{limit: b, allow: 1 requests, per: month, by: [account]}]")
    february = 1_769_904_000 * SECOND  # 2026-02-01T00:00:00Z
    at = [NOON, february - 1, february, february + 1]
    assert played(month, [entry(each) for each in at]).effects == "arar"


def test_a_reservation_is_settled_when_the_recorded_answer_ended(rules):
    tokens = rules("limits: [{limit: t, allow: 1000 output_tokens, per: day, by: [account]}]")
    # Each reserves 500 and takes 100 in the end, after ten seconds.
    at = [0, 1, 2, 10, 11]
    heard = played(tokens, [entry(NOON + each * SECOND, lasted=10 * SECOND) for each in at])
    # 500 and 500 are reserved: the third finds none. At 10 s the first gives 400 back, which is
    # not enough for 500; at 11 s the second has too: 1000 - 200 are left, and 500 are taken.
    assert heard.effects == "aarra"
    assert heard.left() == [500, 0, 0, 400, 300]
    assert [each.ended_at - NOON for each in heard.settled_] == [
        2 * SECOND, 10 * SECOND, 10 * SECOND, 11 * SECOND, 21 * SECOND,
    ]  # fmt: skip


def test_what_ends_at_a_moment_makes_room_for_what_comes_at_it(rules):
    one = rules("limits: [{limit: c, allow: 1 concurrent, by: [account]}]")
    at = [0, 3, 4, 7]
    heard = played(one, [entry(NOON + each * SECOND, lasted=4 * SECOND) for each in at])
    assert heard.effects == "arar"


def test_a_long_answer_keeps_its_slot_beyond_the_hold(rules):
    one = rules("limits: [{limit: c, allow: 1 concurrent, hold: 1m, by: [account]}]")
    minutes = 60 * SECOND
    at = [(0, 30 * minutes), (5 * minutes, SECOND), (29 * minutes, SECOND), (30 * minutes, SECOND)]
    heard = played(one, [entry(NOON + when, lasted=lasted) for when, lasted in at])
    assert heard.effects == "arra"


def test_distinct_prompts_are_forgotten_after_their_period(rules):
    breadth = rules("limits: [{limit: d, allow: 2 distinct prompts, per: 24h, by: [account]}]")
    hour = 3600 * SECOND
    asked = [(0, "x"), (1, "y"), (2, "x"), (3, "z"), (24, "z"), (27, "w")]
    heard = played(breadth, [entry(NOON + when * hour, text=text) for when, text in asked])
    # z is the third within a day, and was asked for. At 24 h x (asked at 2 h) and y are still
    # within the slices; at 27 h only z is left.
    assert heard.effects == "aaarra"


def test_an_exposure_decays_by_half_in_its_half_life(rules):
    half = rules("limits: [{limit: e, allow: 400 output_tokens, half_life: 1d, by: [account]}]")
    day = 24 * 3600 * SECOND
    knobs = {"max_tokens": 300}
    sent = [
        entry(NOON, output=300, knobs=knobs),
        entry(NOON + 10 * SECOND, output=300, knobs=knobs),  # 300 + 300 > 400
        entry(NOON + day - 3600 * SECOND, output=300, knobs=knobs),  # still more than 100 there
        entry(NOON + 2 * day, output=300, knobs=knobs),  # 75 are left: 375 fit
    ]
    assert played(half, sent).effects == "arra"


def test_two_orders_of_equal_moments_are_played_alike_when_read_in_their_order(rules, tmp_path):
    two = rules("limits: [{limit: r, allow: 2 requests, per: 1m, by: [global]}]")
    lines = [line_of(entry(NOON, account=name)) for name in "abcdefgh"]
    found = []
    for seed in range(5):
        random.Random(seed).shuffle(lines)
        file = tmp_path / "t.jsonl"
        file.write_bytes(b"".join(lines))
        heard = played(two, list(entries([file], Tally())))
        found.append([(each.entry.account, each.decision.effect) for each in heard.decided_])
    assert all(each == found[0] for each in found)
    assert [effect for _, effect in found[0]].count(Effect.REFUSE) == 6


def test_a_shape_takes_of_the_answer_what_it_would_have_taken(rules):
    shaped = rules(
        "limits: [{limit: f, allow: 1 requests, per: day, by: [account], otherwise: {shape: s}}]\n"
        "shapes: {s: {clamp: {output_tokens: 40}, delay: 2s}}"
    )
    heard = played(shaped, [entry(NOON), entry(NOON + SECOND), entry(NOON + SECOND, output=30)])
    assert heard.effects == "ass"
    assert [each.full for each in heard.decided_] == [True, False, False]
    assert [each.spent.output for each in heard.decided_] == [100, 40, 30]
    assert heard.decided_[1].ended_at == NOON + 4 * SECOND  # from 1 s: a second, and the delay


def test_a_truncation_that_the_answer_never_reaches_leaves_it_whole(rules):
    cut = rules(
        "limits: [{limit: f, allow: 1 requests, per: day, by: [account], otherwise: {shape: s}}]\n"
        "shapes: {s: {truncate: {output_tokens: 50}}}"
    )
    heard = played(cut, [entry(NOON), entry(NOON, output=50), entry(NOON, output=51)])
    assert [each.full for each in heard.decided_] == [True, True, False]
    assert [each.spent.output for each in heard.decided_] == [100, 50, 50]


def test_an_answer_that_nobody_saw_is_taken_to_be_like_the_others(rules):
    open_ = rules("limits: [{limit: r, allow: 100 requests, per: day, by: [account]}]")
    unseen = entry(NOON + 10 * SECOND, answer=None, effect="refuse")
    stranger = entry(NOON + 11 * SECOND, account="b", answer=None)
    first = entry(NOON, account="c", answer=None, knobs={"max_tokens": 70})
    heard = played(
        open_, [first, entry(NOON + 1, output=100), entry(NOON + 2, output=200), unseen, stranger]
    )
    assert [each.guessed for each in heard.decided_] == [True, False, False, True, True]
    # Nothing was seen yet: all that it reserves. Then its own mean, then the model's.
    assert [each.spent.output for each in heard.decided_] == [70, 100, 200, 150, 150]


@pytest.mark.parametrize(
    ("answer", "prompt", "output"),
    [
        (Answer(usage=Usage(reported_prompt=10, reported_output=20, relayed=20)), 10, 20),
        (Answer(text="a b c"), 2, 3),  # told by nobody: counted
        (Answer(status=503, end="error"), 0, 0),
        (Answer(end="abandoned", usage=Usage(relayed=7)), 2, 7),
        (Answer(end="broken", usage=Usage(relayed=5), billed=True), 2, 5),
        (Answer(end="complete", billed=False, usage=Usage(reported_output=9)), 0, 0),
    ],
)
def test_endings_cost_what_they_cost_the_gateway(rules, answer, prompt, output):
    open_ = rules("limits: [{limit: r, allow: 100 requests, per: day, by: [account]}]")
    (one,) = played(open_, [entry(NOON, answer=answer)]).settled_
    assert (one.spent.prompt, one.spent.output) == (prompt, output)


def test_what_is_no_request_is_told_and_costs_nothing(rules):
    open_ = rules("limits: [{limit: r, allow: 1 requests, per: day, by: [account]}]")
    heard = played(
        open_,
        [
            entry(NOON, path="/v1/nothing"),
            entry(NOON, method="PUT"),
            Entry(NOON, "a", "a", "a", body={"messages": []}),
            Entry(NOON, "a", "a", "a", method="GET", path="/v1/models"),
            entry(NOON),
        ],
    )
    assert [each.code for each in heard.decided_] == [
        "route.unknown", "route.method_unknown", "request.malformed", "", "",
    ]  # fmt: skip
    assert heard.effects == "----a"
    assert len(heard.settled_) == 5


def test_facts_do_instead_of_a_body(rules):
    breadth = rules("limits: [{limit: d, allow: 1 distinct prompts, per: 24h, by: [account]}]")
    facts = RequestFacts(
        "openai.chat", model="m", prompt_tokens=5, output_tokens=9, prompt="0" * 16
    )
    other = RequestFacts("openai.chat", model="m", prompt_tokens=5, prompt="1" * 16)
    heard = played(
        breadth,
        [
            Entry(NOON + at, "a", "a", "a", facts=each)
            for at, each in enumerate([facts, facts, other])
        ],
    )
    assert heard.effects == "aar"


def test_fingerprints_of_the_recording_stand_for_the_texts(rules):
    breadth = rules("limits: [{limit: d, allow: 1 distinct prompts, per: 24h, by: [account]}]")
    same, other = Prints(prompt="a" * 16), Prints(prompt="b" * 16)
    heard = played(
        breadth,
        [
            entry(NOON, text="x", fp=same),
            entry(NOON, text="y", fp=same),
            entry(NOON, text="x", fp=other),
        ],
    )
    assert heard.effects == "aar"


def test_a_level_that_was_told_when_it_was_recorded_holds_in_a_replay(rules):
    ladder = rules("ladder: [{level: restricted, refuse: no}]")
    heard = played(ladder, [entry(NOON), entry(NOON, level="restricted"), entry(NOON)])
    assert heard.effects == "ara"


def test_a_level_that_a_limit_of_other_policies_gave_does_not_count(rules):
    ladder = rules("ladder: [{level: restricted, refuse: no}]")
    given = entry(NOON, level="restricted", level_by="limit other/limit", policies="another")
    same = entry(NOON, level="restricted", level_by="limit p/l", policies=ladder.policies.digest)
    by_person = entry(NOON, level="restricted", level_by="ada", policies="another")
    assert played(ladder, [given, same, by_person]).effects == "arr"


def test_attributes_purpose_and_verification_are_the_traffics(rules):
    when = rules(
        "when: {attributes: {region: [eu]}, purpose: [eval], verified: true}\n"
        "limits: [{limit: r, allow: 1 requests, per: day, by: [global]}]"
    )
    speaks = {"attributes": {"region": "eu"}, "purpose": "eval", "verified": True}
    others = [
        {**speaks, "purpose": ""},
        {**speaks, "verified": False},
        {**speaks, "attributes": {}},
    ]
    heard = played(when, [entry(NOON, **speaks), *(entry(NOON, **each) for each in others)])
    assert heard.left() == [0]
    assert heard.effects == "aaaa"


def test_the_same_traffic_gives_the_same_twice(rules):
    several = rules(
        "limits:\n"
        "  - {limit: r, allow: 9 requests, per: 10s, by: [account]}\n"
        "  - {limit: c, allow: 3 concurrent, by: [account]}\n"
        "  - {limit: t, allow: 9000 tokens, per: 1h, by: [global]}\n"
    )
    chance = random.Random(7)
    sent = [
        entry(
            NOON + at,
            account=chance.choice("abc"),
            output=chance.randrange(500),
            lasted=chance.randrange(5 * SECOND),
        )
        for at in sorted(chance.randrange(parse_duration("2m")) for _ in range(400))
    ]
    first, second = played(several, sent), played(several, sent)
    assert first.effects == second.effects
    assert "r" in first.effects
    assert first.left() == second.left()
    assert [each.ended_at for each in first.settled_] == [each.ended_at for each in second.settled_]


def test_a_limit_raises_a_level_that_holds_from_the_next_request_and_ends_by_itself(rules):
    raising = rules(
        "limits:\n"
        "  - limit: l\n"
        "    allow: 2 requests\n"
        "    per: 1m\n"
        "    by: [account]\n"
        "    otherwise: {level: restricted, for: 2h}\n"
        "ladder: [{level: restricted, refuse: no}]\n"
    )
    hour = 3600 * SECOND
    at = [0, 1, 2, 3, 2 * hour + 1, 2 * hour + 2, 2 * hour + 3]
    heard = played(raising, [entry(NOON + each) for each in at])
    # The third finds no room and raises the level at 2 us; it ends 2 h later, not a moment before.
    assert heard.effects == "aaarraa"
    levels = [each.decision.level for each in heard.decided_]
    assert levels == ["clear", "clear", "clear", "restricted", "restricted", "clear", "clear"]


def test_a_raised_level_is_the_accounts_alone(rules):
    raising = rules(
        "limits: [{limit: l, allow: 1 requests, per: 1m, by: [account], "
        "otherwise: {level: restricted, for: 1h}}]\n"
        "ladder: [{level: restricted, refuse: no}]"
    )
    heard = played(raising, [entry(NOON + at, account=name) for at, name in enumerate("aaabbb")])
    assert heard.effects == "aaraar"
