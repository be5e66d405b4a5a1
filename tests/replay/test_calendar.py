"""A week of composed traffic over a month's end, counted a second time by a calendar and a loop."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.core.decision import Effect
from proxy.policy.loader import load
from proxy.population.compose import compose
from proxy.population.spec import load as load_spec
from proxy.replay.player import Player

if TYPE_CHECKING:
    from proxy.replay.played import Played
    from proxy.traffic.entry import Entry

SPEC = Path(__file__).parents[2] / "bench" / "populations" / "small.yaml"
DAY = 86_400_000_000
HOUR = DAY // 24
AMOUNT = 25


@dataclass
class Heard:
    decided_: list[Played] = field(default_factory=list)

    def decided(self, played: Played) -> None:
        self.decided_.append(played)

    def settled(self, played: Played) -> None:
        pass

    def refused(self) -> Counter[tuple[str, str]]:
        """Requests that were refused, by account and day."""
        return Counter(
            (each.entry.account, date(each.at, "%Y-%m-%d"))
            for each in self.decided_
            if each.decision is not None and each.decision.effect is Effect.REFUSE
        )


@pytest.fixture(scope="module")
def week() -> list[Entry]:
    """Seven days from the 28th of June on."""
    return [replace(entry, t=entry.t + 27 * DAY) for entry in compose(load_spec(SPEC))]


def played(tmp_path: Path, text: str, week: list[Entry]) -> Heard:
    (tmp_path / "p.yaml").write_text("policy: p\nabout: for a test\n" + text)
    heard = Heard()
    Player(load(tmp_path), [heard]).play(week)
    return heard


def date(at: int, form: str) -> str:
    return datetime.fromtimestamp(at / 1e6, UTC).strftime(form)


def metered(heard: Heard) -> list[Played]:
    return [each for each in heard.decided_ if each.decision is not None]


@pytest.mark.parametrize(("word", "form"), [("day", "%Y-%m-%d"), ("month", "%Y-%m")])
def test_a_budget_refuses_what_a_calendar_says_that_it_refuses(tmp_path, week, word, form):
    heard = played(
        tmp_path,
        f"limits: [{{limit: b, allow: {AMOUNT} requests, per: {word}, by: [account]}}]",
        week,
    )
    asked: Counter[tuple[str, str]] = Counter()
    expected: Counter[tuple[str, str]] = Counter()
    for each in metered(heard):
        window = each.entry.account, date(each.at, form)
        asked[window] += 1
        if asked[window] > AMOUNT:
            expected[each.entry.account, date(each.at, "%Y-%m-%d")] += 1
    assert heard.refused() == expected
    assert sum(expected.values()) > 1000
    assert {day for _, day in expected} >= {"2026-06-30", "2026-07-04"}


def test_a_raised_level_holds_for_its_hours_and_no_longer(tmp_path, week):
    heard = played(
        tmp_path,
        "limits:\n"
        f"  - {{limit: b, allow: {AMOUNT} requests, per: day, by: [account],\n"
        "     otherwise: {level: restricted, for: 6h}}\n"
        "ladder: [{level: restricted, refuse: slow_down}]\n",
        week,
    )
    taken: Counter[tuple[str, str]] = Counter()
    until: dict[str, int] = defaultdict(int)
    expected: Counter[tuple[str, str]] = Counter()
    for each in metered(heard):
        account, day = each.entry.account, date(each.at, "%Y-%m-%d")
        if each.at < until[account]:
            expected[account, day] += 1  # refused by its level: what it would take is given back
            continue
        taken[account, day] += 1
        if taken[account, day] > AMOUNT:
            until[account] = each.at + 6 * HOUR
    assert heard.refused() == expected
    assert sum(expected.values()) > 1000
