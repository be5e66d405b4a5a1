"""A replay tells by a table what the gateway tells by its wrapping."""

from __future__ import annotations

from proxy.core.sealing import Kind, Sealing
from proxy.dialects.binding_places import anchor_number, anchored, asked_last
from proxy.watch.served import SealedTable, foreign_weight

MESSAGES = "anthropic.messages"


def request(question: str, *blobs: str) -> dict:
    thoughts = [{"type": "thinking", "thinking": "", "signature": blob} for blob in blobs]
    asked = [{"role": "user", "content": question}]
    if thoughts:
        asked += [{"role": "assistant", "content": thoughts}, {"role": "user", "content": "And?"}]
    return {"messages": asked}


def serve(table: SealedTable, account: str, question: str, *blobs: str) -> None:
    asked = anchor_number(asked_last(MESSAGES, request(question)))
    table.served(account, f"{account}-org", asked, blobs)


def brought(table: SealedTable, account: str, org: str, *request_of: str) -> dict[Kind, int]:
    return table.check(account, org, anchored(MESSAGES, request(*request_of)))


def test_what_was_served_comes_back_as_own_and_nobody_else_s():
    table = SealedTable()
    serve(table, "acme", "Why?", "one", "two")
    assert brought(table, "acme", "acme-org", "Why?", "one", "two") == {}
    assert brought(table, "acme", "acme-org", "How?", "one") == {Kind.CONVERSATION: 1}
    assert brought(table, "sister", "acme-org", "Why?", "one") == {Kind.SAME_ORG: 1}
    assert brought(table, "thief", "thieves", "Why?", "one", "two") == {Kind.ACCOUNT: 2}
    assert brought(table, "acme", "acme-org", "Why?", "three") == {Kind.UNKNOWN: 1}


def test_recorded_traffic_in_our_wrapping_is_compared_bare():
    table = SealedTable()
    seal = Sealing(b"pepper").seal("acme", "org")
    serve(table, "acme", "Why?", seal.wrap("one", seal.anchor("Why?")))
    assert brought(table, "acme", "acme-org", "Why?", "one") == {}


def test_one_blob_may_be_served_to_many_and_for_many_questions():
    table = SealedTable()
    for account in ("acme", "other"):
        for question in ("Why?", "How?"):
            serve(table, account, question, "one")
    assert brought(table, "acme", "acme-org", "How?", "one") == {}
    assert brought(table, "other", "other-org", "Why?", "one") == {}


def test_the_table_is_bounded_and_forgets_the_oldest():
    table = SealedTable(most=3)
    for number in range(10):
        serve(table, "acme", "Why?", f"blob {number}")
    assert len(table) == 3
    assert brought(table, "acme", "acme-org", "Why?", "blob 9", "blob 0") == {Kind.UNKNOWN: 1}


def test_what_is_an_organisation_s_own_says_nothing_against_it():
    assert foreign_weight({Kind.SAME_ORG: 9}) == 0
    assert (
        foreign_weight({Kind.ACCOUNT: 1})
        > foreign_weight({Kind.CONVERSATION: 1})
        > foreign_weight({Kind.UNKNOWN: 1})
        > 0
    )
