"""Serving an admitted request: the answer copied through, its ending noted, its cost settled."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp.web import Response

from proxy.core.errors import UpstreamError
from proxy.core.facts import Usage
from proxy.front.ownership import BACKGROUND
from proxy.front.relay import Passage, relay_stream, relay_whole, streams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.web import BaseRequest, StreamResponse

    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.core.shape import Shape
    from proxy.dialects.base import AnswerReader, Call
    from proxy.dialects.tokens import TokenRules
    from proxy.front.admission import Admission
    from proxy.front.chores import Chores
    from proxy.front.exchange import Exchange
    from proxy.front.ownership import Ownership
    from proxy.ports import UpstreamAnswer

ERROR = 400


@dataclass(frozen=True, slots=True)
class Served:
    """An admitted request: what is being served to whom, in which shape, and how it is counted."""

    exchange: Exchange
    call: Call
    facts: RequestFacts
    principal: Principal
    shape: Shape
    counting: TokenRules

    @property
    def reads(self) -> bool:
        """It reads what was made and paid for before."""
        return bool(self.call.object)

    @property
    def background(self) -> bool:
        """The model API goes on making the answer when this request is over."""
        return BACKGROUND in self.facts.features


@dataclass(slots=True)
class Service:
    """Relays answers and settles them. One a worker."""

    admission: Admission
    ownership: Ownership
    chores: Chores

    async def relay(
        self,
        request: BaseRequest,
        served: Served,
        answer: UpstreamAnswer,
        reader: AnswerReader,
        headers: dict[str, str],
    ) -> StreamResponse:
        """Copy the answer through and return the response; raises UpstreamError.

        ConnectionError, CancelledError: the client left. Settled in any case.
        """
        exchange = served.exchange
        record = exchange.record

        def ended() -> None:
            how = "error" if reader.errored else "complete"
            billed = not reader.errored or reader.usage.relayed > 0
            self._end(served, reader, how, reader.usage, billed=billed)

        claim = self.ownership.claiming(exchange, served.facts, served.principal, served.shape)
        passage = Passage(record, claim, ended, exchange.answer)
        stream = streams(answer.headers)
        if exchange.answer is not None:
            exchange.answer.stream = stream
        try:
            before: Sequence[bytes] = ()
            if not stream:
                whole = await relay_whole(answer, reader, headers, passage)
                if isinstance(whole, Response):
                    # What says something was served, whatever its head says.
                    refused = _refused(answer) and not reader.usage.relayed
                    how = "error" if reader.errored or refused else "complete"
                    self._end(served, reader, how, reader.usage, billed=how == "complete")
                    return whole
                before = whole
            exchange.begun = True
            response = await relay_stream(request, answer, reader, headers, passage, before)
        except UpstreamError as error:
            record.code = error.code
            relayed = reader.usage if exchange.begun else Usage()
            self._end(served, reader, "broken", relayed, billed=relayed.relayed > 0)
            raise
        except (asyncio.CancelledError, ConnectionError):
            # Who left before the head came was given nothing; the prompt was read all the same.
            relayed = reader.usage if exchange.begun else Usage()
            self._end(served, reader, "abandoned", relayed, billed=True)
            if reader.objects and not served.background and not reader.complete:
                # Paid as far as it was relayed: a model API that has made it to its end all the
                # same must not give the rest to who reads it later.
                self.chores.start(self.ownership.drop(reader.objects))
            raise
        finally:
            record.finish_reasons = list(reader.finish_reasons)
            record.cut = reader.cut
            if (served.reads or served.background) and record.object_id:
                self._settle_object(served, reader)
        if not record.end:
            how = "error" if reader.errored else "broken" if not reader.complete else "complete"
            billed = reader.usage.relayed > 0 or (how != "error" and not _refused(answer))
            self._end(served, reader, how, reader.usage, billed=billed)
        return response

    def ended(self, exchange: Exchange, how: str, usage: Usage | None, *, billed: bool) -> None:
        """Note the ending and settle at once, before the client can know of it. Only once."""
        if exchange.record.end or exchange.plan is None:
            exchange.record.end = exchange.record.end or how
            return
        exchange.end(how, usage, billed=billed)
        self.settle(exchange)

    def settle(self, exchange: Exchange) -> None:
        """Begin to make the charges what the exchange took."""
        exchange.settling = self.chores.start(self.admission.settle(exchange))

    def _end(
        self, served: Served, reader: AnswerReader, how: str, usage: Usage, *, billed: bool
    ) -> None:
        exchange = served.exchange
        if not exchange.record.end and served.background and billed and not reader.errored:
            exchange.kept = usage.reported_output is None
        # Who reads what was made before does not pay for its tokens again.
        self.ended(exchange, how, usage, billed=billed and not served.reads)

    def _settle_object(self, served: Served, reader: AnswerReader) -> None:
        """Settle what an object had reserved, once an answer tells what it took."""
        record = served.exchange.record
        if record.status < ERROR and reader.complete and not reader.pending:
            settling = self.ownership.settle(served.exchange, served.call, reader.usage)
            served.exchange.releasing = self.chores.start(settling)


def _refused(answer: UpstreamAnswer) -> bool:
    """Whether the model API turned the request away, perhaps under a good status."""
    return answer.status >= ERROR or (
        "retry-after" in answer.headers or "retry-after-ms" in answer.headers
    )
