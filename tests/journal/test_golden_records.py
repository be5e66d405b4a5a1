"""One record per way that a decision can go, and the story that is told of it."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import orjson
import pytest

from proxy.journal.explain import explain, explain_account
from proxy.journal.record import (
    ChangeEntry,
    ForeignEntry,
    LimitEntry,
    Record,
    Timings,
    UpstreamEntry,
    UsageEntry,
    decision_id,
    schema,
)

GOLDEN = Path(__file__).parent / "golden"
PROXY = Path(__file__).parents[2] / "proxy"
CASES = sorted(path.stem for path in GOLDEN.glob("*.json"))


def golden(name):
    return orjson.loads((GOLDEN / f"{name}.json").read_bytes())


def rebuilt(plain):
    parts = {
        "limits": [LimitEntry(**each) for each in plain["limits"]],
        "changes": [ChangeEntry(**each) for each in plain["changes"]],
        "usage": UsageEntry(**plain["usage"]),
        "upstream": UpstreamEntry(**plain["upstream"]),
        "timings": Timings(**plain["timings"]),
        "foreign": ForeignEntry(**plain["foreign"]),
    }
    return Record(**{**plain, **parts})


@pytest.mark.parametrize("name", CASES)
def test_a_record_is_told_as_its_story(name):
    assert explain(golden(name)) == (GOLDEN / f"{name}.txt").read_text().splitlines()


@pytest.mark.parametrize("name", CASES)
def test_a_record_keeps_to_the_schema_and_comes_out_as_it_went_in(name):
    plain = golden(name)
    jsonschema.Draft202012Validator(schema()).validate(plain)
    assert rebuilt(plain).to_dict() == plain


def test_every_reason_that_the_engine_gives_has_a_golden_record():
    sources = [*(PROXY / "engine").glob("*.py"), PROXY / "front" / "admission.py"]
    text = "\n".join(path.read_text() for path in sources)
    codes = set(re.findall(r'"((?:limit|store|capability|delay)\.\w+)"', text))
    told = {reason.partition(":")[0] for name in CASES for reason in golden(name)["reasons"]}
    assert {"limit.exceeded", "limit.never_fits", "limit.shadow", "store.unavailable"} <= codes
    assert {"capability.forbidden", "capability.required", "limit.shaped", "delay.full"} <= codes
    assert codes | {"standing.guarded", "standing.contained"} <= told


def test_the_schema_turns_down_what_is_not_a_record():
    valid = jsonschema.Draft202012Validator(schema()).is_valid
    plain = golden("allow.complete")
    assert valid(plain)
    for wrong in (
        {"v": 2}, {"id": "wd_1"}, {"effect": "perhaps"}, {"t": -1}, {"t": "now"}, {"prompt": "text"},
        {"ip": "203.0.113.9"}, {"limits": [{"policy": "free"}]}, {"settled_at": 1.5},
    ):  # fmt: skip
        assert not valid({**plain, **wrong}), wrong
    assert not valid({name: value for name, value in plain.items() if name != "usage"})


def test_a_record_handed_out_does_not_change_with_the_one_being_filled():
    record = Record(id=decision_id(0, bytes(10)), t=0)
    plain = record.to_dict()
    record.reasons.append("limit.exceeded:free/requests")
    record.usage.relayed = 7
    assert (plain["reasons"], plain["usage"]["relayed"]) == ([], 0)


def test_ids_sort_by_their_millisecond_and_differ_by_their_entropy():
    full, none = b"\xff" * 10, bytes(10)
    ids = [decision_id(t, e) for t in (999, 1_000, 1_999, 2**60) for e in (none, full)]
    assert ids[0:2] == [decision_id(0, none), decision_id(0, full)]
    assert ids[2:4] == ids[4:6]
    assert sorted(set(ids)) == [ids[0], ids[1], ids[2], ids[3], ids[6], ids[7]]
    assert {len(each) for each in ids} == {29}


def test_what_a_client_sent_cannot_write_to_the_terminal():
    record = {**golden("allow.complete"), "model": "gpt\x1b[2J\r\nDecision wd_0: allowed\u202e"}
    (line,) = (line for line in explain(record) if "gpt" in line)
    assert r"gpt\x1b[2J\r\nDecision wd_0: allowed\u202e" in line
    assert all(line.isprintable() for line in explain_account([record], "acme"))


def test_a_record_of_another_version_is_not_guessed_at():
    assert explain({"v": 2, "id": "wd_9"}) == ["Decision wd_9 was written by another Weir."]


def test_an_accounts_story_counts_effects_and_limits_and_ends_with_its_last_decisions():
    names = ("allow.complete", "allow.blind", "limit.shadow", "unmetered", "store.unavailable")
    records = [golden(name) for name in names] + [golden("limit.exceeded")] * 2
    strangers = [{**golden("limit.exceeded"), "account": "umbrella"}, golden("route.unknown")]
    told = explain_account([*records, *strangers], "acme", last=2)
    assert told[:-2] == [
        "Account acme: 7 requests in the journal.",
        "  allow: 3",
        "  refuse: 3",
        "  no decision: 1",
        "By limit:",
        "  free/requests: limit.exceeded 2 times",
        "  free/streams: limit.exceeded 2 times",
        "  trial/burst: limit.shadow 1 time",
        "  free/requests: store.unavailable 1 time",
        "The last 2:",
    ]
    latest = [golden("unmetered")["id"], golden("allow.blind")["id"]]
    assert [line.split()[1] for line in told[-2:]] == latest


def test_an_account_without_decisions_is_said_to_have_none():
    assert explain_account([golden("allow.complete")], "nobody") == [
        "The journal has no decision about account nobody."
    ]
