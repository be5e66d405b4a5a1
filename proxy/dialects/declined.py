"""Whether a model API itself declined to answer, whatever its dialect says it in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

REASONS = frozenset({"content_filter", "refusal"})  # to finish
FAILED = "failed"  # the reason of a response that has an error instead of an answer
STATUSES = frozenset({400, 403})  # with which a request is declined before it is answered
# Codes of errors that say so, OpenAI's and Azure's. Their other codes are mistakes of the client's.
CODES = frozenset(
    {
        "bio_policy", "content_filter", "content_policy_violation", "cyber_policy",
        "invalid_prompt", "moderation_blocked", "responsibleaipolicyviolation",
    }
)  # fmt: skip
# Anthropic's errors have a kind and no code; of these the sentence says it.
SENTENCE, ITS_CODE = "content filtering policy", "content_filter"
DATA = b"data:"


def declined(finish_reasons: Sequence[str], status: int, code: str) -> bool:
    """Return whether the provider refused, or filtered, what was asked.

    finish_reasons: as the model gave them, one a choice, a category after a colon; one that
                    declines is enough
    status, code:   of the provider's answer (`code_of`), not of ours; '' without a code. A bare
                    400 is a mistake of the client's and no refusal.

    >>> declined(["stop", "content_filter"], 200, ""), declined(["refusal:bio"], 200, "")
    (True, True)
    >>> declined([], 400, "invalid_prompt"), declined([], 400, "invalid_value")
    (True, False)
    """
    if not REASONS.isdisjoint(_said(finish_reasons)):
        return True
    return (status in STATUSES or FAILED in finish_reasons) and code.lower() in CODES


def code_of(body: bytes, *, stream: bool = False) -> str:
    """Return the code of the error in an answer, '' where there is none; never raises.

    >>> code_of(b'{"error":{"code":"content_policy_violation"}}')
    'content_policy_violation'
    """
    if not stream:
        return _code(_object(body))
    # An `error` event of responses has its code beside its type.
    lines = (line[len(DATA) :] for line in body.splitlines() if line.startswith(DATA))
    return _first(_code(_object(line)) for line in lines if b'"error"' in line)


def _said(finish_reasons: Sequence[str]) -> set[str]:
    """Return what reasons say: of 'incomplete:content_filter' and 'refusal:bio' the word for no."""
    found = set()
    for reason in finish_reasons:
        first, _, why = reason.partition(":")
        found.add(why if first == "incomplete" else first)
    return found


def _code(told: dict[str, object]) -> str:
    response = told.get("response")
    error = told.get("error") or (response.get("error") if isinstance(response, dict) else None)
    if not isinstance(error, dict):
        return str(told["code"]) if told.get("type") == "error" and "code" in told else ""
    message = error.get("message")
    if isinstance(message, str) and SENTENCE in message.lower():
        return ITS_CODE
    code = error.get("code")
    return code if isinstance(code, str) else ""


def _first(codes: Iterable[str]) -> str:
    return next((code for code in codes if code), "")


def _object(text: bytes) -> dict[str, object]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
