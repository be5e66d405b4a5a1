"""Giving back, and reservations that somebody else settles."""

import orjson
import pytest

from proxy.core.decision import OnStoreError
from proxy.engine import debits, reservation, settle, settle_reservation, undo
from proxy.limits.buckets import Budget, Distinct, Exposure, Lease, Rate, Rolling, Window
from proxy.limits.charges import Settlement
from proxy.policy.compiled import Model, Otherwise, Unit
from proxy.store.memory import MemoryStore

NOW = 1_768_392_000_000_000
MODEL = Model("m", input_price=2_000_000, cached_price=1_000_000, output_price=8_000_000)
CORRECTED = {
    "rate": (Unit.TOKENS, Rate(1_000, 60_000_000, 500)),
    "budget": (Unit.USD, Budget(1_000_000, Window.MONTH)),
    "rolling": (Unit.OUTPUT_TOKENS, Rolling(9_000, 90_000_000_000)),
    "exposure": (Unit.INPUT_TOKENS, Exposure(9_000, 2_592_000_000_000)),
}
KEPT = {
    "lease": (Unit.CONCURRENT, Lease(8, 60_000_000)),
    "distinct": (Unit.DISTINCT_PROMPTS, Distinct(400, 86_400_000_000)),
}


@pytest.fixture
def everything(limit, planned):
    """Plan for a limit of each kind of bucket."""
    return planned(
        *(limit(name, unit=unit, bucket=bucket) for name, (unit, bucket) in (CORRECTED | KEPT).items()),
        limit("requests"),
        limit("noted", Otherwise.FLAG, unit=Unit.OUTPUT_TOKENS, error=OnStoreError.ALLOW),
        model=MODEL,
    )  # fmt: skip


def test_undo_gives_everything_back_but_what_was_asked(everything, charged):
    back = undo(everything, charged(everything, *[True] * 8))
    assert {each.charge.key: (each.delta, each.mark) for each in back} == {
        charge.key: (0 if limit.name == "lease" else -charge.cost, 7)
        for limit, charge in zip(everything.limits, everything.charges, strict=True)
        if limit.name != "distinct"
    }


def test_undo_leaves_a_store_as_it_was(everything):
    store = MemoryStore()
    before = store.charge_now(everything.charges, NOW)
    store.settle_now(undo(everything, before), NOW)
    for _ in range(20):
        again = store.charge_now(everything.charges, NOW)
        assert [each.remaining for each in again.receipts] == [
            each.remaining for each in before.receipts
        ]
        store.settle_now(undo(everything, again), NOW)


def test_undo_gives_back_only_what_was_taken(everything, charged):
    refused = charged(everything, *[False] + [True] * 7)
    assert [each.charge.key for each in undo(everything, refused)] == [everything.charges[7].key]


@pytest.mark.parametrize("used", [(100, 50, 0), (90, 10, 30), (0, 0, 0), (500, 900, 0)])
def test_a_reservation_is_settled_as_the_plan_would_be(everything, charged, used):
    answer = charged(everything, *[True] * 8)
    kept = reservation(everything, answer)
    assert told(settle_reservation(kept, MODEL, *used)) == told(settle(everything, answer, *used))


def test_a_slot_is_held_while_the_answer_is_being_made_and_ends_with_the_reservation(
    limit, planned, charged
):
    unit, bucket = KEPT["lease"]
    plan = planned(limit(unit=unit, bucket=bucket))
    answer = charged(plan, True)
    assert settle(plan, answer, 1, 1, going_on=True) == []
    (back,) = settle_reservation(reservation(plan, answer), MODEL, 7, 9)
    assert (back.charge, back.charge.token != "") == (plan.charges[0], True)


@pytest.mark.parametrize("kind", CORRECTED)
def test_a_reservation_keeps_a_bucket_to_the_last_number(limit, planned, charged, kind):
    unit, bucket = CORRECTED[kind]
    plan = planned(limit(unit=unit, bucket=bucket), model=MODEL)
    (settled,) = settle_reservation(reservation(plan, charged(plan, True)), MODEL, 7, 9)
    assert (settled.charge, settled.mark) == (plan.charges[0], 7)


def test_asked_values_are_in_no_reservation(limit, planned, charged):
    unit, bucket = KEPT["distinct"]
    plan = planned(limit(unit=unit, bucket=bucket))
    assert settle_reservation(reservation(plan, charged(plan, True)), MODEL, 7, 9) == []


def test_what_was_not_taken_is_in_no_reservation(limit, planned, charged):
    plan = planned(limit("a", unit=Unit.TOKENS))
    assert settle_reservation(reservation(plan, charged(plan, False)), MODEL, 7, 9) == []


def test_a_reservation_holds_no_prompt(everything, charged):
    kept = orjson.loads(reservation(everything, charged(everything, *[True] * 8)))
    assert set(kept["charges"][0]) == {
        "tag",
        "key",
        "kind",
        "bucket",
        "unit",
        "cost",
        "mark",
        "token",
    }


GOOD = {
    "tag": "key:2:k1", "key": "k", "kind": "rate", "bucket": {"amount": 1, "period": 2, "burst": 3},
    "unit": "tokens", "cost": 4, "mark": 5, "token": "",
}  # fmt: skip


def test_a_reservation_may_be_read_from_what_is_written_here():
    kept = orjson.dumps({"v": 1, "charges": [GOOD]})
    (settled,) = settle_reservation(kept, MODEL, 1, 1)
    assert (settled.charge.bucket, settled.delta, settled.mark) == (Rate(1, 2, 3), -2, 5)


@pytest.mark.parametrize(
    "bad",
    [
        orjson.dumps({"v": 1, "charges": [{**GOOD, "bucket": {"amount": 1, "period": 0, "burst": 1}}]}),
        orjson.dumps({"v": 1, "charges": [{**GOOD, "bucket": {"amount": 1, "period": 1, "burst": 0}}]}),
        b"",
        b"{",
        b"7",
        b"[]",
        b"{}",
        b'{"v": 2, "charges": []}',
        b'{"v": 1, "charges": 7}',
        b'{"v": 1, "charges": "x"}',
        *(
            orjson.dumps({"v": 1, "charges": [GOOD | wrong]})
            for wrong in (
                {"unit": "apples"}, {"cost": "4"}, {"cost": True}, {"mark": None}, {"tag": 1}, {"token": 7},
                {"kind": "lease"}, {"bucket": 7}, {"bucket": {"amount": 1}},
                {"kind": "budget", "bucket": {"amount": 1, "window": "year"}},
            )
        ),
    ],
)  # fmt: skip
def test_bytes_that_are_no_reservation_are_a_value_error(bad):
    with pytest.raises(ValueError):  # noqa: PT011 - the type is the contract
        settle_reservation(bad, MODEL, 1, 1)


def test_debits_bind_nobody(everything):
    found = debits(everything, 7, 9)
    assert all(not charge.binding for charge in found)
    assert len(found) == len(everything.charges) - 1


def told(settlements) -> list[tuple[str, int, int]]:
    return [(each.charge.key, each.delta, each.mark) for each in settlements]


def test_a_settlement_of_nothing_is_left_out(everything, charged):
    answer = charged(everything, *[True] * 8)
    assert all(isinstance(each, Settlement) for each in settle(everything, answer, 100, 50))
    assert [each.charge.key for each in settle(everything, answer, 100, 50)] == [
        everything.charges[4].key
    ]
