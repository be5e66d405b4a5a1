"""`weir doctor`: looks at everything that Weir needs and says what to do about what is wrong.

It asks nothing that costs money: of a model API only the connection is tried.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from proxy.doctor.finding import Finding, Level
from proxy.doctor.local import descriptors, home, journal, keys, policies, ports, record, tokens
from proxy.doctor.remote import upstream
from proxy.doctor.store import store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from proxy.settings import Settings

__all__ = ["Finding", "Level", "examine"]


def examine(settings: Settings, env: Mapping[str, str] | None = None) -> list[Finding]:
    """Return all findings, in the order in which one would mend them. Takes seconds at most."""
    return list(findings(settings, os.environ if env is None else env))


def findings(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is found."""
    yield from home(settings)
    yield from policies(settings)
    if settings.auth.keys:
        yield from keys(settings, env)
    if settings.auth.jwt is not None:
        yield from tokens(settings.auth.jwt)
    yield from store(settings)
    for each in settings.upstreams:
        yield from upstream(each)
    yield from journal(settings.journal)
    yield from record(settings)
    yield from ports(settings)
    yield from descriptors(settings)
