"""One request sent and its answer read to the end, as the recorded client did. No retries."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from proxy.core.errors import UpstreamGarbageError
from proxy.core.shape import NO_SHAPE
from proxy.replay.live.seen import GOOD, told_of

if TYPE_CHECKING:
    from proxy.core.facts import Usage
    from proxy.dialects.base import AnswerReader
    from proxy.dialects.tokens import RulesOf
    from proxy.replay.live.options import Options
    from proxy.replay.live.seen import Seen
    from proxy.traffic.entry import Answer

LONGEST_ANSWER = 256 * 1024 * 1024
ERROR_BODY = 64 * 1024
MICRO = 1_000_000
UNFINISHED = "unfinished"
BACKGROUND = "background"
# The first that fits counts.
_KINDS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((aiohttp.ConnectionTimeoutError,), "connect"),
    ((TimeoutError,), "timeout"),
    ((aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError), "tls"),
    ((aiohttp.ClientConnectorError,), "connect"),
    ((aiohttp.ClientResponseError,), "garbage"),
    ((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError), "reset"),
)


def session(options: Options) -> aiohttp.ClientSession:
    """Return a client that keeps connections and does nothing by itself.

    No proxies of the environment, no cookies, no decoding, no waiting for a free connection.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers={"user-agent"},
        timeout=aiohttp.ClientTimeout(
            total=options.whole / MICRO,
            sock_connect=options.connect / MICRO,
            sock_read=options.idle / MICRO,
        ),
    )


@dataclass(slots=True)
class Exchange:
    """Sends one request.

    rules_of: how tokens of a model are counted
    reads:    answers are read for their tokens; else they are only received
    began:    monotonic nanoseconds of the sending
    """

    client: aiohttp.ClientSession
    seen: Seen
    rules_of: RulesOf
    reads: bool
    began: int = 0
    _head: bytearray = field(default_factory=bytearray, repr=False)
    _reader: AnswerReader | None = None

    async def play(self) -> None:
        """Send and read; what became of it stands in `seen`. Cancelling it leaves the answer."""
        seen = self.seen
        self.began = time.perf_counter_ns()
        patience = asyncio.timeout(_leaves(seen))
        try:
            async with patience:
                await self._exchange()
        except TimeoutError as error:
            seen.how = "abandoned"
            if not patience.expired():
                seen.failed = kind_of(error)
        except asyncio.CancelledError:
            seen.failed, seen.how = UNFINISHED, "abandoned"
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            seen.failed = kind_of(error)
            seen.how = "broken" if seen.first is not None else "abandoned"
        finally:
            seen.ended = self._since()
            self._note()

    async def _exchange(self) -> None:
        seen, request = self.seen, self.seen.request
        seen.bytes_out = len(request.body or b"")
        async with self.client.request(
            request.method,
            request.url,
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
        ) as answer:
            seen.status = answer.status
            if answer.status not in GOOD:
                seen.how = "error"
            seen.told = told_of(answer.status, answer.headers, b"", request.facts, request.secret)
            self._open(answer)
            enough = _enough(seen)
            async for chunk in answer.content.iter_any():
                if seen.first is None:
                    seen.first = self._since()
                self._take(chunk)
                if enough is not None and self._relayed() >= enough:
                    seen.how = "abandoned"
                    answer.close()
                    return
                if seen.bytes_in > LONGEST_ANSWER:
                    seen.failed, seen.how = "too long", "broken"
                    answer.close()
                    return
            if seen.first is None:
                seen.first = self._since()
            if answer.status not in GOOD:
                seen.told = told_of(
                    answer.status, answer.headers, bytes(self._head), request.facts, request.secret
                )
            self._end()

    def _open(self, answer: aiohttp.ClientResponse) -> None:
        """Choose who reads the answer; without a reader it is only received."""
        request = self.seen.request
        wanted = self.reads or _enough(self.seen) is not None
        if not wanted or request.route is None or request.facts is None:
            return
        media = answer.headers.get("content-type", "")
        try:
            self._reader = request.route.dialect.answer(
                request.facts, self.rules_of(request.facts.model), media, answer.status, NO_SHAPE
            )
        except UpstreamGarbageError:
            self.seen.failed = "garbage"

    def _take(self, chunk: bytes) -> None:
        seen = self.seen
        seen.bytes_in += len(chunk)
        if seen.status not in GOOD and len(self._head) < ERROR_BODY:
            self._head += chunk[: ERROR_BODY - len(self._head)]
        if self._reader is not None and not seen.failed:
            try:
                self._reader.feed(chunk)
            except UpstreamGarbageError:
                seen.failed = "garbage"

    def _end(self) -> None:
        """Note how the answer ended."""
        seen, reader = self.seen, self._reader
        if reader is None or seen.failed or seen.status not in GOOD:
            return
        complete = reader.complete
        try:
            reader.end()
        except UpstreamGarbageError:
            seen.failed, seen.how = "garbage", "broken"
            return
        if reader.errored:
            seen.failed, seen.how = "error in the stream", "error"
        elif not complete and not reader.complete:
            seen.failed, seen.how = "cut off", "broken"

    def _note(self) -> None:
        """Keep what the answer's reader knows, and let go of the reader."""
        seen, reader = self.seen, self._reader
        if reader is None:
            return
        seen.usage = reader.usage
        facts = seen.request.facts
        seen.kept = (
            facts is not None
            and BACKGROUND in facts.features
            and reader.usage.reported_output is None
            and seen.status in GOOD
        )
        seen.object = reader.objects[0] if reader.objects else ""
        self._reader = None

    def _relayed(self) -> int:
        return 0 if self._reader is None else self._reader.usage.relayed

    def _since(self) -> int:
        return (time.perf_counter_ns() - self.began) // 1000


def kind_of(error: Exception) -> str:
    """Return the kind of a failure; its text may hold what was sent, and is told nowhere.

    >>> kind_of(aiohttp.ServerDisconnectedError()), kind_of(TimeoutError())
    ('reset', 'timeout')
    """
    return next((kind for types, kind in _KINDS if isinstance(error, types)), "garbage")


def _recorded(seen: Seen) -> Answer | None:
    """Return the recorded answer of a client that left before its end."""
    answer = seen.request.entry.answer
    return answer if answer is not None and answer.end == "abandoned" else None


def _enough(seen: Seen) -> int | None:
    """Return the tokens after which the recorded client left; None: it stayed, or had none."""
    answer = _recorded(seen)
    return None if answer is None else _given(answer.usage) or None


def _leaves(seen: Seen) -> float | None:
    """Return the seconds after which the recorded client left without a token; None: it stayed."""
    answer = _recorded(seen)
    if answer is None or _given(answer.usage) or answer.lasted is None:
        return None
    return answer.lasted / MICRO


def _given(usage: Usage) -> int:
    return usage.relayed or usage.reported_output or 0
