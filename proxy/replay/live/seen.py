"""What an answer tells of the decision behind it: effect and codes, from outside. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from proxy.core.decision import Effect
from proxy.core.facts import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxy.core.facts import RequestFacts
    from proxy.replay.live.sending import Request

DECISION, SHAPE = "x-weir-decision", "x-weir-shape"
FREE, ERROR = "free", "error"
GOOD, FAILED = range(200, 300), 500
REFUSING = frozenset({403, 429, 503})
MOST_CODES = 32
LONGEST_ECHO = 8  # characters of a secret, from which on they are not repeated
# The first words that providers' SDKs know for what we call otherwise.
_OURS = {
    "rate_limit_exceeded": "limit.exceeded",
    "insufficient_quota": "limit.exceeded",
    "request_too_large_for_limit": "limit.never_fits",
}
# Words for requests that the gateway itself could not take: no model API was asked.
_NOT_TAKEN = re.compile(
    r"(?:request|route|object|credentials|auth|model)\.[a-z_]+"
    r"|invalid_api_key|unknown_url|method_not_supported|model_not_found|[a-z_]+\.(?:unmetered|shared|closed)"
)
_HEADER = re.compile(r'(wd_[0-9a-z]{1,60})(?:;codes="([a-z0-9_. -]{0,2000})")?')
_CODE = re.compile(r"[a-z][a-z0-9_.-]{0,79}")
_CLAMPED = re.compile(r'clamp;of=n;asked="([0-9]{1,6})";given="([0-9]{1,6})"')
_CHANGES = ("clamp.", "strip.", "hide.", "truncate.")


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says was decided.

    id:     of the decision, '' where the answer is no Weir's
    effect: of Effect, 'free' or 'error'; '' where nobody can tell: the model API failed
    codes:  reasons and changes; None where the gateway does not tell them
    choices: (asked, given) where the number of choices was clamped
    """

    id: str = ""
    effect: str = ""
    codes: tuple[str, ...] | None = None
    choices: tuple[int, int] | None = None


@dataclass(slots=True)
class Seen:
    """One request as it went; times in microseconds.

    scheduled: when it was to be sent, from the beginning
    sent:      when it was
    at:        the same since the epoch
    first, ended: from the sending to the answer's first byte (None: none came) and to its end
    status:    of HTTP, 0 where no head came
    failed:    the kind of failure, '' for none
    how:       of `proxy.traffic.entry.ENDS`
    usage, kept, object: as the answer told
    """

    request: Request
    scheduled: int
    sent: int
    at: int
    first: int | None = None
    ended: int = 0
    status: int = 0
    failed: str = ""
    how: str = "complete"
    bytes_in: int = 0
    bytes_out: int = 0
    told: Told = field(default_factory=Told)
    usage: Usage = field(default_factory=Usage)
    kept: bool = False
    object: str = ""


def served_effect(codes: Iterable[str]) -> Effect:
    """Return what a served answer's codes say was done to it, as a client can tell.

    >>> served_effect(["limit.shaped", "clamp.n"]).value, served_effect(["limit.flagged"]).value
    ('shape', 'allow')
    """
    found = Effect.ALLOW
    for code in codes:
        if code.startswith(_CHANGES):
            return Effect.SHAPE
        if code == "delay.answer":
            found = Effect.DELAY
    return found


def told_of(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    facts: RequestFacts | None,
    secret: str,
) -> Told:
    """Return what an answer says was decided.

    headers: names matched without case
    body:    its beginning, where the status is an error's
    secret:  what an answer echoes of it is not told

    >>> headers = {"x-weir-decision": 'wd_1;codes="limit.shaped clamp.n"'}
    >>> told_of(200, headers, b"", None, "secret").effect
    'shape'
    """
    found = _HEADER.fullmatch(headers.get(DECISION, ""))
    identity = "" if found is None or _echoes(found[0], secret) else found[1]
    codes: tuple[str, ...] | None = None
    if identity and found is not None and found[2] is not None:
        codes = tuple(found[2].split()[:MOST_CODES])
    if status in GOOD:
        metered = facts is None or facts.metered
        effect = served_effect(codes or ()).value if metered else FREE
        return Told(identity, effect, codes, _choices(headers.get(SHAPE, "")))
    code = _code(body)
    if code in secret or _echoes(code, secret):
        code = ""
    if status in REFUSING and identity and identity.encode() in body:
        # Every refusal's sentence names its decision; no error's and no model API's does.
        return Told(identity, Effect.REFUSE.value, codes or (_OURS.get(code, code),))
    if not identity or _NOT_TAKEN.fullmatch(code) or status in (401, 404, 405, 408, 413):
        return Told(identity, ERROR, (code,) if code else None)
    if status < FAILED and codes is None and facts is None:
        return Told(identity, ERROR, (code,) if code else None)
    return Told(identity, "", codes)


def _echoes(told: str, secret: str) -> bool:
    """Return whether a text has a part of a secret in it that is long enough to give it away.

    >>> _echoes("a4f-7c21b09e", "key-7c21b09e55"), _echoes("limit.exceeded", "key-7c21b09e55")
    (True, False)
    """
    length = min(LONGEST_ECHO, len(secret))
    return any(told[at : at + length] in secret for at in range(len(told) - length + 1))


def _code(body: bytes) -> str:
    """Return the code in an error's body, in OpenAI's form or in Anthropic's; '' for none."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    error = told.get("error") if isinstance(told, dict) else None
    if not isinstance(error, dict):
        return ""
    details = error.get("details")
    code = error.get("code")
    if code is None and isinstance(details, dict):
        code = details.get("error_code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _choices(shape: str) -> tuple[int, int] | None:
    found = _CLAMPED.search(shape)
    return None if found is None else (int(found[1]), int(found[2]))
