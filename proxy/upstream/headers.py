"""Which headers pass between client and model API. What is not listed does not.

Left out on purpose: credentials and cookies; `openai-organization` and `openai-project`, which are
the operator's to set; `idempotency-key`, since all developers share the operator's account and one
could be given another's answer by guessing a key; the provider's `x-ratelimit-*`, which speak of
the operator's account and not of the developer's limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ASKED = frozenset({"accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta"})
ASKED_OF_STANDIN = "x-standin-"
ANSWERED = frozenset(
    {
        "cache-control",
        "content-type",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-request-id",
        "x-should-retry",
    }
)


def asked(headers: Mapping[str, str], *, standin: bool = False) -> dict[str, str]:
    """Return what of a client's headers goes upstream, names in lower case.

    standin: the model API is the stand-in, which has knobs in headers

    >>> asked({"Accept": "*/*", "Authorization": "Bearer x", "X-Standin-Tokens": "3"})
    {'accept': '*/*'}
    """
    found: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in ASKED or (standin and lower.startswith(ASKED_OF_STANDIN)):
            take(found, lower, value)
    return found


def answered(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what of a model API's headers goes to the client, names in lower case.

    >>> answered({"Content-Type": "text/plain", "X-RateLimit-Limit-Requests": "9"})
    {'content-type': 'text/plain'}
    """
    found: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in ANSWERED:
            take(found, lower, value)
    return found


def take(found: dict[str, str], name: str, value: str) -> None:
    """Keep a value that can stand in a header; of several with one name the first."""
    if name not in found and value.isascii() and value.isprintable():
        found[name] = value
