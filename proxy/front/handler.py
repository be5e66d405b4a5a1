"""The walk of a request through the house, in the order of the design and nothing else."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aiohttp.web import Response

from proxy import engine
from proxy.auth.trusted import peer_address
from proxy.core.decision import Effect, OnStoreError
from proxy.core.errors import (
    StoreUnavailableError,
    UpstreamError,
    WeirError,
)
from proxy.core.facts import Usage
from proxy.dialects import openai_errors, ratelimit_headers
from proxy.dialects.routes import allowed, route
from proxy.front.body import check_head, read_body
from proxy.front.exchange import Exchange, entries, note_facts, retries, views
from proxy.front.relay import EVENT_STREAM, relay_stream, relay_whole
from proxy.journal.record import Record, decision_id
from proxy.limits.buckets import Lease

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from aiohttp.web import BaseRequest, StreamResponse

    from proxy.core.principal import Principal
    from proxy.dialects.base import AnswerReader, Refusal
    from proxy.dialects.routes import Route
    from proxy.engine import Context, Plan
    from proxy.front.chores import Chores
    from proxy.limits.charges import Charge, Charged
    from proxy.metrics import Metrics
    from proxy.policy.compiled import PolicySet
    from proxy.policy.models import Models
    from proxy.ports import Authenticator, CounterStore, Journal, UpstreamAnswer
    from proxy.store.memory import MemoryStore
    from proxy.upstream.routes import Upstreams

DECISION = "x-weir-decision"
RETRY_COUNT = "x-stainless-retry-count"
SERVER = {"server": "weir"}
REQUEST_ID = "x-request-id"
OK, ERROR = 200, 400
RENEW_SECONDS = 20


@dataclass(slots=True)
class Rules:
    """The policies and models in force; replaced as a whole by a reload."""

    policies: PolicySet
    models: Models


@dataclass(slots=True)
class Handler:
    """Answers requests. One a worker; everything that it needs is handed in.

    body_limit, body_timeout: bytes and seconds for a request's body
    replicas: processes that share an amount while the store is away
    held:     concurrency slots of running answers, by decision id
    """

    authenticator: Authenticator
    store: CounterStore
    local: MemoryStore
    rules: Rules
    upstreams: Upstreams
    journal: Journal
    metrics: Metrics
    chores: Chores
    context: Context
    trusted: tuple[IPv4Network | IPv6Network, ...]
    body_limit: int
    body_timeout: float
    replicas: int
    held: dict[str, list[Charge]] = field(default_factory=dict)

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
                self._ended(exchange, "abandoned", Usage(), billed=sent)
            raise
        finally:
            record.timings.total = exchange.since()
            self.metrics.in_flight.dec()
            self.chores.start(self._close(exchange))
        return response

    async def _walk(self, request: BaseRequest, exchange: Exchange) -> StreamResponse:
        record = exchange.record
        check_head(request)
        way = route(request.method, request.raw_path)
        record.route, record.dialect = way.path, way.dialect.NAME
        principal = await self._who(request, record)
        record.timings.auth = exchange.since()
        address = self._address(request)
        record.ip = self.context.fingerprint(address)
        body = b""
        if request.method == "POST":
            body = await read_body(request, self.body_limit, self.body_timeout)
        record.bytes_in = len(body)
        record.retry = retries(request.headers.get(RETRY_COUNT, ""))
        rules = self.rules
        (facts,) = way.dialect.read(body, rules.models.rules)
        exchange.facts = facts
        note_facts(record, facts, self.context.fingerprint)
        record.timings.read = exchange.since()
        upstream = self.upstreams.choose(facts.dialect, facts.model)
        headers: dict[str, str] = {DECISION: record.id}
        if facts.metered:
            refusal = await self._admit(exchange, way, principal, address, rules, headers)
            if refusal is not None:
                return _given(refusal, headers)
        record.upstream.name = upstream.name
        sent = way.dialect.forward(body, facts) if request.method == "POST" else None
        rules_of_model = rules.models.rules(facts.model)
        async with upstream.open(request.method, way.path, request.headers, sent) as answer:
            record.timings.upstream_first_byte = exchange.since()
            record.upstream.status = answer.status
            record.upstream.request_id = answer.headers.get(REQUEST_ID, "")
            record.status = answer.status
            reader = way.dialect.answer(
                facts, rules_of_model, answer.headers.get("content-type", ""), answer.status
            )
            headers = {**SERVER, REQUEST_ID: record.id, **answer.headers, **headers}
            return await self._relay(request, exchange, answer, reader, headers)

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

    async def _admit(
        self,
        exchange: Exchange,
        way: Route,
        principal: Principal,
        address: str,
        rules: Rules,
        headers: dict[str, str],
    ) -> Refusal | None:
        """Charge and decide; return the refusal, or None with the rate-limit headers put in."""
        record, facts = exchange.record, exchange.facts
        assert facts is not None
        plan = exchange.plan = engine.plan(
            facts,
            principal,
            address,
            rules.policies,
            rules.models.find(facts.model),
            context=self.context,
            lease_id=record.id,
        )
        record.policies = rules.policies.digest
        before = exchange.since()
        try:
            charged = await self.store.charge(plan.charges)
            counted = plan
            decision = engine.decide(plan, charged)
        except StoreUnavailableError:
            counted, charged = self._locally(plan)
            exchange.local = counted
            decision = engine.decide_blind(plan, counted, charged)
        else:
            record.charged_at = charged.at
        exchange.charged, exchange.decision = charged, decision
        after = exchange.since()
        record.timings.store = after - before
        self.metrics.store_seconds.observe((after - before) / 1e6)
        self.metrics.admission_seconds.observe(after / 1e6)
        self.metrics.decided(decision)
        told = views(counted, charged)
        headers.update(ratelimit_headers.headers(told))
        record.effect, record.blind = decision.effect.value, decision.blind
        record.reasons = [
            f"{reason.code}:{reason.policy}/{reason.limit}"
            for reason in (*decision.reasons, *decision.shadowed)
        ]
        if decision.effect is Effect.REFUSE:
            record.end, record.code = "refused", decision.reasons[0].code
            # Shadow limits took their share: what was only asked for is counted as asked, no more.
            exchange.settling = self.chores.start(self._settle(exchange))
            return way.dialect.refuse(decision, facts, principal.org, record.id, told)
        leases = [charge for charge in plan.charges if isinstance(charge.bucket, Lease)]
        if leases and not decision.blind:
            self.held[record.id] = leases
        return None

    def _locally(self, plan: Plan) -> tuple[Plan, Charged]:
        """Count in the process what says so; nothing where another limit refuses anyway."""
        denied = any(
            charge.binding and limit.on_store_error is OnStoreError.DENY
            for limit, charge in zip(plan.limits, plan.charges, strict=True)
        )
        local = engine.local_plan(plan, self.replicas)
        if denied:
            local = replace(local, limits=(), charges=())
        return local, self.local.charge_now(local.charges, time.time_ns() // 1000)

    async def _relay(
        self,
        request: BaseRequest,
        exchange: Exchange,
        answer: UpstreamAnswer,
        reader: AnswerReader,
        headers: dict[str, str],
    ) -> StreamResponse:
        refused = answer.status >= ERROR or (
            "retry-after" in answer.headers or "retry-after-ms" in answer.headers
        )

        def ended() -> None:
            how = "error" if reader.errored else "complete"
            billed = not reader.errored or reader.usage.relayed > 0
            self._ended(exchange, how, reader.usage, billed=billed)

        try:
            before: list[bytes] = []
            if not answer.headers.get("content-type", "").startswith(EVENT_STREAM):
                whole = await relay_whole(answer, reader, headers)
                if isinstance(whole, Response):
                    how = "error" if reader.errored or refused else "complete"
                    self._ended(exchange, how, reader.usage, billed=how == "complete")
                    return whole
                before = whole
            exchange.begun = True
            response = await relay_stream(
                request, answer, reader, headers, exchange.record, ended, before
            )
        except UpstreamError as error:
            exchange.record.code = error.code
            relayed = reader.usage if exchange.begun else Usage()
            self._ended(exchange, "broken", relayed, billed=relayed.relayed > 0)
            raise
        except (asyncio.CancelledError, ConnectionError):
            # Who left before the head came was given nothing; the prompt was read all the same.
            relayed = reader.usage if exchange.begun else Usage()
            self._ended(exchange, "abandoned", relayed, billed=True)
            raise
        finally:
            exchange.record.finish_reasons = list(reader.finish_reasons)
        if not exchange.record.end:
            how = "error" if reader.errored else "broken" if not reader.complete else "complete"
            billed = reader.usage.relayed > 0 or (how != "error" and not refused)
            self._ended(exchange, how, reader.usage, billed=billed)
        return response

    def _ended(self, exchange: Exchange, how: str, usage: Usage | None, *, billed: bool) -> None:
        """Note the ending and settle at once, before the client can know of it. Only once."""
        if exchange.record.end or exchange.plan is None:
            exchange.record.end = exchange.record.end or how
            return
        exchange.end(how, usage, billed=billed)
        exchange.settling = self.chores.start(self._settle(exchange))

    async def _settle(self, exchange: Exchange) -> None:
        plan, charged = exchange.plan, exchange.charged
        assert plan is not None
        self.held.pop(exchange.record.id, None)
        if charged is None:
            return
        spent = (exchange.prompt, exchange.output, exchange.cached)
        if exchange.local is None:
            settlements = engine.settle(plan, charged, *spent)
            if settlements:
                exchange.record.settled_at = await self.store.settle(settlements)
        else:
            self.local.settle_now(
                engine.settle(exchange.local, charged, *spent), time.time_ns() // 1000
            )
            if exchange.record.end != "refused":
                await self.store.debit(engine.debits(plan, *spent))

    async def _close(self, exchange: Exchange) -> None:
        """Finish what the request left: its settlement, its record, its metrics."""
        record = exchange.record
        if exchange.settling is not None:
            await exchange.settling
        record.limits = entries(exchange)
        record.usage.charged_input, record.usage.charged_output = exchange.prompt, exchange.output
        if exchange.plan is not None:
            model = exchange.plan.model
            record.cost_usd_micro = engine.price(
                model, exchange.prompt, exchange.output, exchange.cached
            )
        self.metrics.answered(record.status, record.effect)
        self.metrics.ended(record.end, exchange.prompt, exchange.output)
        self.journal.write(record.to_dict())

    def _failed(self, request: BaseRequest, exchange: Exchange, error: WeirError) -> Response:
        """Answer an error natively; where something was reserved, it is given back."""
        record = exchange.record
        path = request.raw_path.partition("?")[0]
        refusal = openai_errors.error(error, request.method, path, allowed(path))
        record.code, record.status = error.code, refusal.status
        if not record.end:
            self._ended(exchange, "error", None, billed=False)
        headers = {DECISION: record.id}
        response = _given(refusal, headers)
        if error.status in {400, 408, 413}:
            # Saying it is not doing it: what is pipelined behind must not be read on.
            response.headers["connection"] = "close"
            response.force_close()
        return response

    async def renew(self) -> None:
        """Keep the concurrency slots of running answers; a worker runs this all its life."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            leases = [charge for held in self.held.values() for charge in held]
            if leases:
                await self.store.renew(leases)


def _given(refusal: Refusal, headers: dict[str, str]) -> Response:
    told = {**SERVER, REQUEST_ID: headers[DECISION], **headers, **dict(refusal.headers)}
    return Response(status=refusal.status, headers=told, body=refusal.body)
