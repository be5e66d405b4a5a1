"""The walk of a request through the house, in the order of the design and nothing else."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp.web import Response

from proxy import engine
from proxy.auth.trusted import peer_address
from proxy.core.decision import Effect
from proxy.core.errors import UpstreamError, WeirError
from proxy.core.facts import Usage
from proxy.dialects import openai_errors, ratelimit_headers
from proxy.dialects.routes import allowed, route
from proxy.front.body import check_head, read_body
from proxy.front.exchange import Exchange, entries, note_facts, retries, views
from proxy.front.relay import EVENT_STREAM, relay_stream, relay_whole
from proxy.journal.record import Record, decision_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Network, IPv6Network

    from aiohttp.web import BaseRequest, StreamResponse

    from proxy.core.principal import Principal
    from proxy.dialects.base import AnswerReader, Refusal
    from proxy.front.admission import Admission, Rules
    from proxy.front.chores import Chores
    from proxy.metrics import Metrics
    from proxy.ports import Authenticator, Journal, UpstreamAnswer
    from proxy.upstream.routes import Upstreams

DECISION = "x-weir-decision"
RETRY_COUNT = "x-stainless-retry-count"
SERVER = {"server": "weir"}
REQUEST_ID = "x-request-id"
ERROR = 400


@dataclass(slots=True)
class Handler:
    """Answers requests. One a worker; everything that it needs is handed in.

    fingerprint: keyed hash of a text, for the journal
    body_limit, body_timeout: bytes and seconds for a request's body
    """

    authenticator: Authenticator
    admission: Admission
    rules: Rules
    upstreams: Upstreams
    journal: Journal
    metrics: Metrics
    chores: Chores
    fingerprint: Callable[[str], str]
    trusted: tuple[IPv4Network | IPv6Network, ...]
    body_limit: int
    body_timeout: float

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
            if not record.end:
                # An error, or a mistake of ours: nobody was served, nothing may stay reserved.
                if not record.code:
                    record.code, record.status = WeirError.code, WeirError.status
                self._ended(exchange, "error", None, billed=False)
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
        record.ip = self.fingerprint(address)
        body = b""
        if request.method == "POST":
            body = await read_body(request, self.body_limit, self.body_timeout)
        record.bytes_in = len(body)
        record.retry = retries(request.headers.get(RETRY_COUNT, ""))
        rules = self.rules
        (facts,) = way.dialect.read(body, rules.models.rules)
        note_facts(record, facts, self.fingerprint)
        record.timings.read = exchange.since()
        upstream = self.upstreams.choose(facts.dialect, facts.model)
        headers: dict[str, str] = {DECISION: record.id}
        if facts.metered:
            decision = await self.admission.admit(exchange, facts, principal, address, rules)
            told = views(exchange)
            headers.update(ratelimit_headers.headers(told))
            if decision.effect is Effect.REFUSE:
                # Shadow limits took their share: what was only asked for counts as asked, no more.
                self._settle(exchange)
                refusal = way.dialect.refuse(decision, facts, principal.org, record.id, told)
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
        self._settle(exchange)

    def _settle(self, exchange: Exchange) -> None:
        exchange.settling = self.chores.start(self.admission.settle(exchange))

    async def _close(self, exchange: Exchange) -> None:
        """Finish what the request left: its settlement, its record, its metrics."""
        record = exchange.record
        if exchange.settling is not None:
            # Its failure is told by the chores; the record is written all the same.
            await asyncio.wait({exchange.settling})
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
        """Answer an error natively."""
        record = exchange.record
        path = request.raw_path.partition("?")[0]
        refusal = openai_errors.error(error, request.method, path, allowed(path))
        record.code, record.status = error.code, refusal.status
        headers = {DECISION: record.id}
        response = _given(refusal, headers)
        if error.status in {400, 408, 413}:
            # Saying it is not doing it: what is pipelined behind must not be read on.
            response.headers["connection"] = "close"
            response.force_close()
        return response


def _given(refusal: Refusal, headers: dict[str, str]) -> Response:
    told = {**SERVER, REQUEST_ID: headers[DECISION], **headers, **dict(refusal.headers)}
    return Response(status=refusal.status, headers=told, body=refusal.body)
