"""The walk of a request through the house, in the order of the design and nothing else."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp.web import Response

from proxy.auth.trusted import peer_address
from proxy.core.decision import Effect
from proxy.core.errors import WeirError
from proxy.core.facts import Usage
from proxy.core.quantities import format_duration
from proxy.core.shape import NO_SHAPE, Change
from proxy.dialects import routes
from proxy.dialects.binding_answers import bound_reader
from proxy.front.body import check_head, read_body
from proxy.front.exchange import Exchange, entries, retries, told, views
from proxy.front.observing import KEPT_BYTES as WATCHED_BYTES
from proxy.front.observing import Kept
from proxy.front.recording import KEPT_BYTES as RECORDED_BYTES
from proxy.front.sealed import check_turned_away
from proxy.front.service import Served
from proxy.journal.entries import note_facts, note_spent
from proxy.journal.record import ChangeEntry, Record, decision_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Network, IPv6Network

    from aiohttp.web import BaseRequest, StreamResponse

    from proxy.core.decision import Decision
    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.dialects.base import Refusal
    from proxy.dialects.routes import Route
    from proxy.front.admission import Admission, Rules
    from proxy.front.observing import Watch
    from proxy.front.recording import Recording
    from proxy.front.sealed import Seals
    from proxy.front.service import Service
    from proxy.front.waiting import WaitingRoom
    from proxy.metrics import Metrics
    from proxy.ports import Authenticator, Journal, Upstream
    from proxy.upstream.routes import Upstreams

DECISION, SHAPE = "x-weir-decision", "x-weir-shape"
RETRY_COUNT = "x-stainless-retry-count"
SERVER = {"server": "weir"}
REQUEST_ID = "x-request-id"
REQUEST_IDS = (REQUEST_ID, "request-id")  # OpenAI's SDKs read the one, Anthropic's the other


@dataclass(slots=True)
class Handler:
    """Answers requests. One a worker; everything that it needs is handed in.

    fingerprint: keyed hash of a text, for the journal
    body_limit, body_timeout: bytes and seconds for a request's body
    tell:        clients are told what was done to a request, not only its decision's id
    recording:   makes traffic of what was asked and answered; None where that is not switched on
    seals:       opens the sealed reasoning that requests bring along
    watch:       reads what is asked for profiles and for limits on templates and topics
    """

    authenticator: Authenticator
    admission: Admission
    service: Service
    waiting: WaitingRoom
    rules: Rules
    upstreams: Upstreams
    journal: Journal
    metrics: Metrics
    fingerprint: Callable[[str], str]
    watch: Watch
    seals: Seals
    trusted: tuple[IPv4Network | IPv6Network, ...]
    body_limit: int
    body_timeout: float
    tell: bool = True
    recording: Recording | None = None

    async def handle(self, request: BaseRequest) -> StreamResponse:
        """Answer one request; writes exactly one record, whatever happens."""
        now = time.time_ns() // 1000
        record = Record(id=decision_id(now, os.urandom(10)), t=now, method=request.method[:16])
        exchange = Exchange(record)
        self.metrics.in_flight.inc()
        try:
            response = await self._walk(request, exchange)
            record.status = response.status
            if isinstance(response, Response):
                record.bytes_out = response.content_length or 0
        except WeirError as error:
            if exchange.begun:
                # The client was told in the stream; what is left is to close the connection.
                raise ConnectionResetError("the answer was cut off") from None
            response = self._failed(request, exchange, error)
        except (asyncio.CancelledError, ConnectionError):
            if not record.end:
                # What was sent to the model was read by it, whoever waits for the answer.
                sent = bool(record.upstream.name)
                self.service.ended(exchange, "abandoned", Usage(), billed=sent)
            raise
        finally:
            if not record.end:
                # An error, or a mistake of ours: nobody was served, nothing may stay reserved.
                if not record.code:
                    record.code, record.status = WeirError.code, WeirError.status
                self.service.ended(exchange, "error", None, billed=False)
            record.timings.total = exchange.since()
            self.metrics.in_flight.dec()
            self.service.chores.start(self._close(exchange))
        return response

    async def _walk(self, request: BaseRequest, exchange: Exchange) -> StreamResponse:
        record = exchange.record
        check_head(request)
        way = routes.route(request.method, request.raw_path, request.headers)
        call = way.call
        record.route, record.dialect = call.path, way.dialect.NAME
        principal = await self._who(request, record)
        record.timings.auth = exchange.since()
        address = self._address(request)
        record.ip = self.fingerprint(address)
        body = b""
        if request.method == "POST":
            body = await read_body(request, self.body_limit, self.body_timeout)
        record.bytes_in = len(body)
        record.retry = retries(request.headers.get(RETRY_COUNT, ""))
        rules = self.rules
        (facts,) = way.dialect.read(body, rules.models.rules, call)
        if facts.references:
            facts = await self.service.ownership.check(facts, call, principal, exchange)
        note_facts(record, facts, self.fingerprint)
        if self.recording is not None:
            exchange.heard = self.recording.heard(request, body, facts, principal, address)
            exchange.answer = Kept(RECORDED_BYTES)
        body, dropped = self.seals.opened(
            exchange, facts, body, principal, address, rules.policies.policies
        )
        record.timings.read = exchange.since()
        upstream = self.upstreams.choose(facts.dialect, facts.model)
        headers: dict[str, str] = {DECISION: record.id}
        decision = None
        shape = NO_SHAPE
        if facts.metered:
            decision = await self._decided(exchange, facts, principal, address, rules)
            # Who is turned away for who they are is told nothing of capacity.
            seen = () if record.code.startswith("standing.") else views(exchange)
            headers.update(way.dialect.headers(seen, time.time_ns() // 1000))
            if decision.effect is Effect.REFUSE:
                # Shadow limits took their share: what was only asked for counts as asked, no more.
                self.service.settle(exchange)
                self._tell(exchange, decision, (), headers)
                refusal = way.dialect.refuse(decision, facts, principal.org, record.id, seen)
                return _given(refusal, headers, record.id)
            shape = decision.shape
        check_turned_away(exchange)
        record.upstream.name = upstream.name
        forwarded = way.dialect.forward(body, facts, shape)
        sent = forwarded.body if request.method == "POST" else None
        changes = (*dropped, *forwarded.changes)
        if decision is not None and (decision.reasons or changes or shape is not NO_SHAPE):
            self._tell(exchange, decision, changes, headers)
        counting = rules.models.rules(facts.model)
        served = Served(exchange, call, facts, principal, shape, counting)
        return await self._serve(request, way, served, upstream, sent, headers)

    async def _serve(
        self,
        request: BaseRequest,
        way: Route,
        served: Served,
        upstream: Upstream,
        body: bytes | None,
        headers: dict[str, str],
    ) -> StreamResponse:
        """Ask the model API and relay what it answers."""
        record, call, facts = served.exchange.record, served.call, served.facts
        asked = served.exchange.since()
        async with upstream.open(
            call.method, call.path, request.headers, body, call.query
        ) as answer:
            first = record.timings.upstream_first_byte = served.exchange.since()
            self.metrics.upstream_seconds.observe((first - asked) / 1e6)
            record.upstream.status = record.status = answer.status
            record.upstream.request_id = answer.headers.get(REQUEST_ID, "")
            reader = way.dialect.answer(
                facts,
                served.counting,
                answer.headers.get("content-type", ""),
                answer.status,
                served.shape,
            )
            assert served.exchange.bound is not None
            reader = bound_reader(
                reader, served.exchange.bound, facts, call, answer.headers.get("content-type", "")
            )
            headers = {**SERVER, REQUEST_ID: record.id, **answer.headers, **headers}
            return await self.service.relay(request, served, answer, reader, headers)

    async def _delayed(self, exchange: Exchange, decision: Decision) -> Decision:
        """Let a request wait as its shape says; a crowd of them is turned away."""
        before = exchange.since()
        waited = await self.waiting.wait(exchange.record.account, decision.shape.delay)
        exchange.record.timings.delay = exchange.since() - before
        return decision if waited else self.admission.turn_away(exchange, decision)

    def _tell(
        self,
        exchange: Exchange,
        decision: Decision,
        changes: tuple[Change, ...],
        headers: dict[str, str],
    ) -> None:
        """Note what was changed in the record, and tell the client."""
        shape = decision.shape
        if shape.delay and decision.effect is not Effect.REFUSE:
            changes = (*changes, Change("delay", "answer", given=format_duration(shape.delay)))
        exchange.record.changes = [
            ChangeEntry(each.verb, each.what, each.asked, each.given) for each in changes
        ]
        found = told(decision, changes, codes=self.tell)
        if found:
            headers[DECISION] += f';codes="{found["codes"]}"'
            if "shape" in found:
                headers[SHAPE] = found["shape"]

    async def _decided(
        self,
        exchange: Exchange,
        facts: RequestFacts,
        principal: Principal,
        address: str,
        rules: Rules,
    ) -> Decision:
        """Charge and decide, wait where the shape says so, and keep what was asked for the profile.

        What is asked is read before the charge only where limits count by it, and of what is
        refused not at all: a flood of refusals must stay cheap, since who waits for the counters
        waits behind it.
        """
        watch = self.watch
        features = watch.features(facts) if rules.policies.reads_features else None
        made_in = NO_SHAPE if exchange.claim is None else exchange.claim.shape
        decision = await self.admission.admit(
            exchange, facts, principal, address, rules, made_in, features
        )
        if decision.effect is not Effect.REFUSE and decision.shape.delay:
            decision = await self._delayed(exchange, decision)
        if watch.observer is not None:
            if decision.effect is Effect.REFUSE:
                features = None
            elif features is None:
                features = watch.features(facts)
            exchange.asked = watch.asked(exchange.record, facts, principal, features)
            if exchange.answer is None:
                exchange.answer = Kept(WATCHED_BYTES)
        return decision

    async def _who(self, request: BaseRequest, record: Record) -> Principal:
        principal = await self.authenticator.authenticate(request.headers)
        record.key, record.account = principal.key, principal.account
        record.org, record.plan = principal.org, principal.plan
        return principal

    def _address(self, request: BaseRequest) -> str:
        remote = request.remote or ""
        if not self.trusted:
            return remote
        return peer_address(remote, request.headers.getall("x-forwarded-for", ()), self.trusted)

    async def _close(self, exchange: Exchange) -> None:
        """Finish what the request left: its settlement, its record, its metrics."""
        record = exchange.record
        if exchange.settling is not None:
            # Its failure is told by the chores; the record is written all the same.
            await asyncio.wait({exchange.settling})
        record.limits = entries(exchange)
        note_spent(record, exchange.spent, exchange.plan)
        self.metrics.answered(record.status, record.effect)
        self.metrics.ended(record.end, exchange.spent.prompt, exchange.spent.output)
        self.journal.write(record.to_dict())
        if self.recording is not None:
            if exchange.releasing is not None:
                await asyncio.wait({exchange.releasing})
            self.recording.note(exchange)
        self.watch.note(exchange)

    def _failed(self, request: BaseRequest, exchange: Exchange, error: WeirError) -> Response:
        """Answer an error natively."""
        record = exchange.record
        refusal = routes.error(error, request.method, request.raw_path, request.headers)
        record.code, record.status = error.code, refusal.status
        headers = {DECISION: record.id}
        response = _given(refusal, headers, record.id)
        if error.status in {400, 408, 413} or "upgrade" in request.headers:
            # Saying it is not doing it: what is pipelined behind must not be read on.
            response.headers["connection"] = "close"
            response.force_close()
        return response


def _given(refusal: Refusal, headers: dict[str, str], identity: str) -> Response:
    ids = dict.fromkeys(REQUEST_IDS, identity)
    given = {**SERVER, **ids, **headers, **dict(refusal.headers)}
    return Response(status=refusal.status, headers=given, body=refusal.body)
