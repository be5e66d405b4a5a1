"""Recording what was asked and answered, in full, for who has switched that on.

Lines are made when a request is over, off its path. What is replayed from them decides and charges
as it did live, so they carry the store's moments and the worker's own fingerprints.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import orjson

from proxy.core.facts import Usage
from proxy.dialects.routes import ANTHROPIC, route
from proxy.traffic.checks import LONGEST_NAME, MOST_TOKENS
from proxy.traffic.entry import NO_HEADERS, Answer, Entry, Prints
from proxy.traffic.forming import line_of
from proxy.traffic.parsing import bracketed, too_deep
from proxy.traffic.said import said
from proxy.traffic.sealed import sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.web import BaseRequest

    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.front.exchange import Exchange
    from proxy.journal.record import Record
    from proxy.ports import Recorder

KEPT_BYTES = 262_144  # of an answer
REFUSED = "refused"
STATUSES, STRANGE = range(100, 600), 599


@dataclass(slots=True)
class Heard:
    """What is kept of a request until it is over; `record` of the exchange has the rest.

    target:  the request line's, with what Weir passes on of its query
    body:    the client's own bytes
    """

    principal: Principal
    address: str
    target: str
    version: str
    body: bytes = field(repr=False)
    facts: RequestFacts


@dataclass(frozen=True, slots=True)
class Recording:
    """Turns what was heard into lines. One a worker.

    fingerprint: the worker's own keyed hash, with which its limits count differing values
    """

    recorder: Recorder
    fingerprint: Callable[[str], str]

    def heard(
        self,
        request: BaseRequest,
        body: bytes,
        facts: RequestFacts,
        principal: Principal,
        address: str,
    ) -> Heard:
        """Return what is to be kept of a request."""
        version = request.headers.get(ANTHROPIC, "")
        return Heard(principal, address, _target(request), version, body, facts)

    def note(self, exchange: Exchange) -> None:
        """Record a request that is over, if it came to a decision or was served."""
        heard, record = exchange.heard, exchange.record
        if heard is None or not (record.effect or record.upstream.name):
            return
        self.recorder.record(line_of(self._entry(heard, exchange)))

    def _entry(self, heard: Heard, exchange: Exchange) -> Entry:
        record, facts, who = exchange.record, heard.facts, heard.principal
        charged = exchange.charged if exchange.local is None else None
        standing = None if charged is None else charged.standing
        body = _body(heard.body)
        return Entry(
            t=record.t,
            key=who.key,
            account=who.account,
            org=who.org,
            plan=who.plan,
            ip=heard.address,
            method=record.method,
            path=heard.target,
            body=body,
            answer=_answer(exchange),
            id=record.id,
            verified=who.verified,
            purpose=who.purpose,
            attributes=who.attributes,
            headers=_headers(heard.version),
            retry=record.retry,
            level=record.level,
            level_by="" if standing is None else standing.by,
            level_until=None if standing is None else standing.until,
            effect=record.effect,
            policies=record.policies,
            charged_at=record.charged_at,
            settled_at=record.settled_at,
            released_at=exchange.released_at,
            fp=Prints(
                self.fingerprint(facts.prompt),
                self.fingerprint(facts.model),
                self.fingerprint(heard.address),
            ),
            # What has no body names an object, whose model only its claim knows.
            facts=_readable(facts) if body is None else None,
        )


def _target(request: BaseRequest) -> str:
    """Return a request line's target without parameters that do not pass: they may be keys."""
    target = request.raw_path
    if "?" not in target:
        return target
    call = route(request.method, target, request.headers).call
    return f"{call.path}?{urlencode(call.query)}" if call.query else call.path


def _readable(facts: RequestFacts) -> RequestFacts:
    """Return facts whose texts and numbers are no larger than those of a line may be."""
    return replace(
        facts,
        model=facts.model[:LONGEST_NAME],
        user=facts.user[:LONGEST_NAME],
        output_tokens=min(facts.output_tokens, MOST_TOKENS),
    )


def _body(body: bytes) -> object:
    """Return the client's JSON to be put into a line; None where it cannot be read back from it."""
    if not body:
        return None
    if b"\n" not in body and not bracketed(body):
        return orjson.Fragment(body)  # its dialect has read it as JSON
    value: object = orjson.loads(body)
    if too_deep(value):
        return None
    return value if b"\n" in body else orjson.Fragment(body)


def _headers(version: str) -> Mapping[str, str]:
    return {ANTHROPIC: version} if version and version.isascii() else NO_HEADERS


def _answer(exchange: Exchange) -> Answer | None:
    record, kept = exchange.record, exchange.answer
    if record.end == REFUSED:
        return None
    body, stream = (b"", False) if kept is None else (b"".join(kept.pieces), kept.stream)
    return Answer(
        status=_status(record.status),
        end=record.end,
        text=said(body, stream=stream),
        usage=_usage(record),
        lasted=record.timings.total,
        billed=exchange.billed,
        kept=exchange.kept,
        object=record.object_id if exchange.claim is None else "",
        sealed=sealed(body, stream=stream),
        code=record.code,
    )


def _status(status: int) -> int:
    """Return a status that a line may have: model APIs say 999 too; 0 where there was none."""
    return status if not status or status in STATUSES else STRANGE


def _usage(record: Record) -> Usage:
    told = record.usage
    return Usage(
        told.reported_prompt,
        told.reported_output,
        told.reported_reasoning,
        told.reported_cached,
        told.relayed,
    )
