"""A decision, or an account's decisions in sum, told as sentences with their numbers. Pure."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Any

from proxy.journal.record import VERSION
from proxy.journal.sentences import (
    deciders,
    ending,
    foreign,
    limit,
    moment,
    printable,
    shaping,
    timings,
    verdict,
    what,
    who,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LAST = 20
# What records of before shapes did not have.
LATER: Mapping[str, Any] = {
    "shapes": [],
    "changes": [],
    "cut": False,
    "object_id": "",
    "foreign": {},
}


def explain(record: Mapping[str, Any]) -> list[str]:
    """Return the story of one decision: who, what, each limit, what decided, what it cost.

    record: as `Record.to_dict` gives it, or as read back from a journal
    """
    if record.get("v") != VERSION:
        return [f"Decision {printable(str(record.get('id')))} was written by another Weir."]
    record = {**LATER, **record}
    told = [
        f"Decision {record['id']} at {moment(record['t'])}: {verdict(record)}.",
        f"Who: {who(record)}.",
        f"What: {what(record)}.",
    ]
    if record["retry"]:
        told.append(f"The SDK says that this is its retry number {record['retry']}.")
    if record["policies"]:
        told.append(f"Policies in force: {record['policies']}.")
    if record["blind"]:
        told.append("The counters did not answer in time: each limit's on_store_error decided.")
    if record["blind"] and record["limits"]:
        told.append("The numbers below are this process's own share.")
    told += [limit(entry) for entry in record["limits"]]
    told += deciders(record)
    told += shaping(record)
    told += foreign(record)
    told += ending(record)
    told.append(timings(record))
    return [printable(line) for line in told]


def explain_account(
    records: Iterable[Mapping[str, Any]], account: str, last: int = LAST
) -> list[str]:
    """Return counts by effect, reason and limit, and the `last` decisions, the newest first.

    records: in any order (several workers write at the same time), of all accounts
    """
    effects: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    newest: list[tuple[int, str, int, Mapping[str, Any]]] = []
    for number, record in enumerate(records):
        if record.get("account") != account or record.get("v") != VERSION:
            continue
        effects[record["effect"] or "no decision"] += 1
        reasons.update(record["reasons"])
        heapq.heappush(newest, (record["t"], record["id"], number, record))
        if len(newest) > last:
            heapq.heappop(newest)
    if not newest:
        return [printable(f"The journal has no decision about account {account}.")]
    told = [f"Account {account}: {effects.total():,} requests in the journal."]
    told += [f"  {effect}: {count:,}" for effect, count in effects.most_common()]
    if reasons:
        told.append("By limit:")
    for reason, count in reasons.most_common():
        code, _, name = reason.partition(":")
        told.append(f"  {name}: {code} {count:,} {'time' if count == 1 else 'times'}")
    told.append(f"The last {len(newest)}:")
    told += [
        f"  {moment(at)} {name} {record['model'] or record['route']}: {verdict(record)}"
        for at, name, _, record in sorted(newest, reverse=True)
    ]
    return [printable(line) for line in told]
