"""A line of traffic as an HTTP request to a gateway, or why it cannot be sent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import orjson
from yarl import URL

from proxy.core.errors import WeirError
from proxy.dialects import routes
from proxy.traffic.entry import NO_HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.core.facts import RequestFacts
    from proxy.dialects.routes import Route
    from proxy.dialects.tokens import RulesOf
    from proxy.replay.live.keys import Keys
    from proxy.replay.live.options import Options
    from proxy.traffic.entry import Entry

NO_BODY, NO_KEY, NO_REQUEST = "without a body", "without a key", "not to be sent as HTTP"
VERSION = "2023-06-01"
# What Weir reads of a request, or passes on; credentials and framing are made here.
_PASSING = frozenset({"accept", "anthropic-beta", "anthropic-version", "openai-beta"})
_PREVIOUS = "previous_response_id"
MOST_OBJECTS = 100_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be sent.

    entry:   the line as the replay beside it shall read it: whose the secret is, from where
    headers: with the credential in them
    secret:  so that no answer's echo of it is told
    route, facts: where it goes and what it asks; None where it is no request that Weir serves
    """

    entry: Entry
    method: str
    url: URL
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    secret: str = field(repr=False)
    route: Route | None
    facts: RequestFacts | None


@dataclass(slots=True)
class Envelope:
    """Makes requests of entries.

    rules_of: how tokens of a model are counted
    address:  our own, as the gateway sees it
    shared:   keys of the traffic that are sent with another one's secret
    """

    options: Options
    keys: Keys
    rules_of: RulesOf
    address: str = ""
    shared: set[str] = field(default_factory=set)
    _owners: dict[str, Entry] = field(default_factory=dict, repr=False)
    _objects: dict[str, str] = field(default_factory=dict)

    def request(self, entry: Entry) -> Request | str:
        """Return the request of an entry, or why there is none: one of three words above."""
        if entry.facts is not None or (entry.body is None and _has_body(entry)):
            return NO_BODY
        secret = self.keys.secret(entry.key)
        if secret is None:
            return NO_KEY
        if not _sendable(entry.method, entry.path):
            return NO_REQUEST
        try:
            body = None if entry.body is None else orjson.dumps(entry.body)
        except orjson.JSONEncodeError:
            return NO_REQUEST
        headers, anthropic = self._headers(entry, secret)
        route, facts = self._read(entry, anthropic, body or b"")
        return Request(
            self._owned(entry, secret), entry.method, self._url(entry.path),
            headers, body, secret, route, facts,
        )  # fmt: skip

    def renamed(self, request: Request) -> Request:
        """Return a request that names stored objects by the ids that they have at the gateway."""
        route, told, url, body = request.route, request.entry.body, request.url, request.body
        recorded = "" if route is None else route.call.object
        if recorded in self._objects:
            url = self._url(request.entry.path.replace(recorded, self._objects[recorded], 1))
        if isinstance(told, dict):
            known = self._objects.get(str(told.get(_PREVIOUS)))
            body = body if known is None else orjson.dumps({**told, _PREVIOUS: known})
        return replace(request, url=url, body=body)

    def made(self, recorded: str, now: str) -> None:
        """Learn the id that a stored object has at the gateway, for requests that name it."""
        if len(self._objects) < MOST_OBJECTS:
            self._objects[recorded] = now

    def _headers(self, entry: Entry, secret: str) -> tuple[dict[str, str], str]:
        """Return the headers, and the version of Anthropic's API that they ask for, '' for none."""
        given = {name.lower(): value for name, value in entry.headers.items()}
        headers = {
            name: value
            for name, value in given.items()
            if name in _PASSING and value.isascii() and value.isprintable()
        }
        headers["accept-encoding"] = "identity"
        if entry.method == "POST":
            headers["content-type"] = "application/json"
        if entry.path.startswith("/v1/messages"):
            headers.setdefault(routes.ANTHROPIC, VERSION)
        anthropic = headers.get(routes.ANTHROPIC, "")
        if anthropic:
            headers["x-api-key"] = secret
        else:
            headers["authorization"] = f"Bearer {secret}"
        if entry.retry:
            headers["x-stainless-retry-count"] = str(entry.retry)
        if self.options.forward_ip and _is_address(entry.ip):
            headers["x-forwarded-for"] = entry.ip
        return headers, anthropic

    def _read(
        self, entry: Entry, anthropic: str, body: bytes
    ) -> tuple[Route | None, RequestFacts | None]:
        try:
            known = {routes.ANTHROPIC: anthropic} if anthropic else {}
            route = routes.route(entry.method, entry.path, known)
            (facts,) = route.dialect.read(body, self.rules_of, route.call)
        except WeirError:
            return None, None
        return route, facts

    def _owned(self, entry: Entry, secret: str) -> Entry:
        """Return an entry as the gateway meets it: whose its secret is, from our address.

        What was decided and counted when it was recorded is left out, and so are fingerprints:
        there are texts. Keys that share a secret are one account there: that of the first.
        """
        owner = self._owners.setdefault(secret, entry)
        if owner.key != entry.key:
            self.shared.add(entry.key)
        forwarded = self.options.forward_ip and _is_address(entry.ip)
        anthropic = entry.path.startswith("/v1/messages") and routes.ANTHROPIC not in entry.headers
        return replace(
            entry,
            key=owner.key, account=owner.account, org=owner.org, plan=owner.plan,
            verified=owner.verified, purpose=owner.purpose, attributes=owner.attributes,
            ip=entry.ip if forwarded else self.address,
            headers={**entry.headers, routes.ANTHROPIC: VERSION} if anthropic
            else entry.headers or NO_HEADERS,
            level="clear", level_by="", effect="", policies="", charged_at=None, settled_at=None,
            fp=None, label=None,
        )  # fmt: skip

    def _url(self, path: str) -> URL:
        return URL(str(self.options.target).rstrip("/") + path, encoded=True)


def _sendable(method: str, path: str) -> bool:
    """Return whether a request line can be written that means this and nothing more."""
    return (
        method.isascii()
        and method.isalpha()
        and path.startswith("/")
        and path.isascii()
        and path.isprintable()
        and " " not in path
        and "#" not in path
    )


def _has_body(entry: Entry) -> bool:
    return entry.method == "POST" and not entry.path.partition("?")[0].endswith("/cancel")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text
