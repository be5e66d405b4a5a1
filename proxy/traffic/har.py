"""HAR 1.2, as browsers and proxies export it, as traffic. Credentials are never copied."""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import orjson

from proxy.core.errors import RequestError, TrafficError, UpstreamGarbageError
from proxy.core.shape import NO_SHAPE
from proxy.dialects import routes
from proxy.dialects.passing import GOOD, is_stream
from proxy.dialects.tokens import TokenRules
from proxy.traffic.entry import Answer, Entry
from proxy.traffic.parsing import entry_of, line_of
from proxy.traffic.said import said
from proxy.traffic.sealed import sealed

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping

    from proxy.core.facts import RequestFacts
    from proxy.dialects.routes import Route

BACKGROUND = "background"
CREDENTIALS = ("authorization", "x-api-key", "api-key")
RETRY_COUNT = "x-stainless-retry-count"
RULES = TokenRules()
ERROR = 400
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class _LeftError(Exception):
    """A request is left out; the text is the reason."""


def from_har(text: bytes, left: Counter[str], account: str = "") -> Iterator[Entry]:
    """Yield the traffic of a HAR file, in its order; `left` counts the rest by reason.

    account: who sent all of it; '' gives each credential a pseudonym, account-1 and so on, in the
             order of the file
    Raises TrafficError where the file is no HAR.
    """
    try:
        entries = orjson.loads(text)["log"]["entries"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise TrafficError("is no HAR: an object with log.entries was expected") from None
    if not isinstance(entries, list):
        raise TrafficError("is no HAR: log.entries must be a list")
    known: dict[bytes, str] = {}
    for each in entries:
        try:
            yield _entry(each, known, account)
        except _LeftError as reason:
            left[str(reason)] += 1
        except TrafficError as error:
            left[f"cannot be traffic: {error}"] += 1
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            # A member that HAR 1.2 asks for is missing, or is of another kind.
            left["is no entry of HAR 1.2"] += 1


def _entry(har: Any, known: dict[bytes, str], account: str) -> Entry:
    asked, method = har["request"], har["request"]["method"]
    headers = {each["name"].lower(): each["value"] for each in asked["headers"]}
    url = urlsplit(asked["url"])
    try:
        route = routes.route(method, url.path + (f"?{url.query}" if url.query else ""), headers)
    except RequestError:
        raise _LeftError("is no door that Weir serves") from None
    body = _body(asked) if method == "POST" else None
    who = account or _pseudonym(headers, known)
    query = f"?{urlencode(route.call.query)}" if route.call.query else ""
    entry = Entry(
        t=_arrived(har["startedDateTime"]),
        key=who,
        account=who,
        org=who,
        method=method,
        path=route.call.path + query,
        body=None if body is None else orjson.loads(body),
        headers={name: headers[name] for name in (routes.ANTHROPIC,) if name in headers},
        retry=_retry(headers.get(RETRY_COUNT, "")),
    )
    entry.answer = _answer(har, route, body or b"")
    return entry_of(line_of(entry))  # what was made is checked as what is read is


def _arrived(started: str) -> int:
    moment = datetime.fromisoformat(started)
    if moment.tzinfo is None:
        raise _LeftError("has a startedDateTime without a time zone")
    return (moment - EPOCH) // MICROSECOND


def _body(asked: Any) -> bytes | None:
    posted = asked.get("postData") or {}
    text = posted.get("text") or ""
    if posted.get("encoding") == "base64":
        text = _decoded(text)
    data = text if isinstance(text, bytes) else text.encode()
    if not data:
        return None
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise _LeftError("has a body that is no JSON") from None
    if not isinstance(found, dict):
        raise _LeftError("has a body that is no JSON object")
    return data


def _answer(har: Any, route: Route, body: bytes) -> Answer:
    told = har["response"]
    status, content = told["status"], told.get("content") or {}
    lasted = max(0, round(har["time"] * 1000))
    if not status:
        return Answer(status=0, end="abandoned", lasted=lasted, billed=False)
    data = content.get("text") or ""
    data = _decoded(data) if content.get("encoding") == "base64" else data.encode()
    answer = Answer(status, "complete" if status < ERROR else "error", lasted=lasted)
    media = content.get("mimeType") or ""
    if not data or status not in GOOD:
        return answer  # many exports leave the contents out
    try:
        (facts,) = route.dialect.read(body, lambda _: RULES, route.call)
        _read(answer, route, facts, media, data)
    except RequestError:
        return answer  # served all the same: by somebody who reads it otherwise
    except UpstreamGarbageError:
        answer.end = "broken"
    return answer


def _read(answer: Answer, route: Route, facts: RequestFacts, media: str, data: bytes) -> None:
    """Let the dialect's own reader tell what an answer was; raises UpstreamGarbageError."""
    reader = route.dialect.answer(facts, RULES, media, answer.status, NO_SHAPE)
    try:
        reader.feed(data)
        reader.end()
    finally:
        answer.usage = reader.usage
    if reader.errored:
        answer.end = "error"
    elif not reader.complete:
        answer.end = "broken"
    stream = is_stream(media, asked=facts.stream)
    answer.text, answer.sealed = said(data, stream=stream), sealed(data, stream=stream)
    if reader.objects and not route.call.object:
        answer.object = reader.objects[0]
    answer.kept = (
        BACKGROUND in facts.features and not reader.errored and reader.usage.reported_output is None
    )


def _pseudonym(headers: Mapping[str, str], known: dict[bytes, str]) -> str:
    """Return the account of a credential; requests without one share an account."""
    secret = next((headers[name] for name in CREDENTIALS if headers.get(name)), "")
    digest = hashlib.sha256(secret.encode()).digest()
    return known.setdefault(digest, f"account-{len(known) + 1}")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except binascii.Error:
        raise _LeftError("has contents that are no base64") from None


def _retry(text: str) -> int:
    return min(int(text), 99) if text.isascii() and text.isdigit() else 0
