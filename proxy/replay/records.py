"""What becomes of a request in a replay, as the record that the journal would have of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from proxy.core.decision import Effect
from proxy.core.quantities import format_duration
from proxy.dialects import openai_stored, routes
from proxy.journal.entries import (
    limit_entries,
    note_decision,
    note_facts,
    note_spent,
    note_usage,
)
from proxy.journal.record import ChangeEntry, Record, Timings, decision_id

if TYPE_CHECKING:
    from proxy.replay.played import Played
    from proxy.traffic.entry import Entry

ENTROPY = 10
_DIALECTS = {dialect.NAME: dialect for dialect in routes.dialects()}


def record_of(played: Played, digest: str) -> Record:
    """Return the record of a request whose answer has ended.

    digest: of the policies that were played
    What a replay does not have is as in a record that knows nothing of it: who answered, when what
    was waited for, why the model ended, bytes. Where the traffic has no id, one is made of what
    the request was and when: the same for the same traffic.
    """
    entry = played.entry
    record = Record(id=entry.id or _identity(played), t=entry.t, method=entry.method)
    record.route = entry.path.partition("?")[0]
    record.key, record.account, record.org, record.plan = (
        entry.key, entry.account, entry.org, entry.plan,
    )  # fmt: skip
    record.retry = entry.retry
    prompt, address = ("", "") if entry.fp is None else (entry.fp.prompt, entry.fp.ip)
    record.ip = address
    record.end = played.how
    if played.facts is not None:
        record.dialect = played.facts.dialect
        note_facts(record, played.facts, lambda _: prompt)
    _note_decision(record, played, digest)
    _note_answer(record, played)
    if played.code:
        record.code = played.code
    return record


def _note_decision(record: Record, played: Played, digest: str) -> None:
    """Note what was decided, what each limit said and what was changed."""
    decision, charged = played.decision, played.charged
    if decision is None:
        return
    record.policies = digest
    note_decision(record, decision)
    if charged is not None:
        record.charged_at, record.settled_at = played.at, played.ended_at
    refused = decision.effect is Effect.REFUSE
    record.limits = limit_entries(
        played.plan,
        charged,
        played.spent,
        plan=played.plan,
        given_back=refused and charged is not None and charged.admitted,
    )
    record.changes = [
        ChangeEntry(each.verb, each.what, each.asked, each.given) for each in played.changes
    ]
    delay = decision.shape.delay
    if delay and not refused:
        record.changes.append(ChangeEntry("delay", "answer", given=format_duration(delay)))
    if refused and played.facts is not None and played.facts.dialect in _DIALECTS:
        dialect = _DIALECTS[played.facts.dialect]
        told = dialect.refuse(decision, played.facts, played.entry.org, record.id)
        record.status = told.status


def _note_answer(record: Record, played: Played) -> None:
    """Note what was answered, and what that cost."""
    entry, answer, facts = played.entry, played.entry.answer, played.facts
    note_spent(record, played.spent, played.plan)
    if facts is not None and facts.dialect == openai_stored.NAME and facts.references:
        record.object_id = facts.references[0]
    if record.end == "refused":
        return
    note_usage(record, played.usage)
    record.timings = Timings(total=max(0, played.ended_at - entry.t))
    if answer is not None:
        record.status, record.code = answer.status, answer.code
        record.object_id = record.object_id or answer.object


def _identity(played: Played) -> str:
    entry: Entry = played.entry
    said = "\0".join((str(entry.t), str(played.at), entry.account, entry.key, entry.path))
    prompt = "" if played.facts is None else played.facts.prompt
    words = f"{said}\0{prompt}".encode("utf-8", "surrogatepass")
    return decision_id(entry.t, hashlib.blake2b(words, digest_size=ENTROPY).digest())
