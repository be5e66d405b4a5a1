"""The marks of detection, and how a miss is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.evaluation.marks import marks
from proxy.evaluation.tables_watch import ablation_table, mark_tables

if TYPE_CHECKING:
    from proxy.evaluation.results import Results


def told(results: Results) -> dict[str, tuple[str, ...]]:
    table, *_ = mark_tables(results, marks(results))
    return {row[0].partition(",")[0]: row[1:] for row in table.rows}


def heavy(sent, many: int, account: str = "t", level: str = "restricted"):
    asked = [sent(n / 10, account, f"c-{account}") for n in range(many)]
    return [*asked, sent(many / 10, account, f"c-{account}", level=level)]


def test_a_single_account_has_150_answers_and_not_one_more(measured, sent):
    row = told(measured(heavy(sent, 150)))["full answers of a single account before restricted"]
    assert row[:3] == ("at most 150", "150", "c-t")
    assert row[-1] == "met"


def test_a_miss_is_told_by_how_much_and_on_whom(measured, sent):
    entries = heavy(sent, 375) + heavy(sent, 20, "u")
    found = measured(sorted(entries, key=lambda each: each.t))
    row = told(found)["full answers of a single account before restricted"]
    assert row == ("at most 150", "375", "c-t", "1 of 2", "missed, 2.5 times as much")
    _, alone = mark_tables(found, marks(found))
    assert {row[0]: row[-1] for row in alone.rows} == {"c-t": "225 over", "c-u": "met"}


def test_guarded_is_not_restricted(measured, sent):
    row = told(measured(heavy(sent, 200, level="guarded")))[
        "full answers of a single account before restricted"
    ]
    assert row[1] == "201"


def test_a_campaign_of_two_accounts_is_no_single_account(measured, sent):
    entries = [sent(n / 10, f"t{n % 2}", "c1") for n in range(400)]
    assert all("single account" not in each.name for each in marks(measured(entries)))


def test_too_few_honest_account_days_show_nothing_and_are_no_miss(measured, sent):
    found = told(measured([sent(n, f"h{n}") for n in range(20)]))
    row = found["honest account-days at guarded or above"]
    assert row[-1] == "not shown: 0 % seen, of too few account-days"
    assert found["worst archetype's account-days at guarded or above"][-1] == "met"


def test_the_worst_archetype_is_named(measured, sent):
    entries = [sent(n, f"h{n}") for n in range(20)]
    entries.append(sent(21, "r", archetype="rag", level="guarded"))
    found = told(measured(entries))
    row = found["worst archetype's account-days at guarded or above"]
    assert row == ("at most 0.5 %", "100 %", "rag", "1 of 2", "missed, 200.0 times as much")
    assert found["honest account-days at guarded or above"][-1].startswith("missed, ")
    assert found["worst archetype's account-days at restricted or above"][-1] == "met"


def test_attack_is_what_is_not_cover(measured, sent):
    entries = [sent(n / 10, "t", "c1", cover=n % 4 != 0) for n in range(80)]
    found = measured(entries)
    *_, alone = mark_tables(found, marks(found))
    assert alone.rows[0][2] == "25 %"


def test_an_ablation_of_nobody_is_a_table_without_answers():
    from proxy.evaluation.ablation import ablations  # noqa: PLC0415
    from proxy.watch.detectors import FAMILIES  # noqa: PLC0415

    table = ablation_table(ablations([], lambda _: None, (), FAMILIES))
    assert {len(row) for row in table.rows} == {len(table.head)}
    assert table.rows[0][1:3] == ("0 of 0", "0 of 0")
