"""`when` and `for` as closures: each compares one thing, all must hold. Pure."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from ipaddress import ip_address, ip_network
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.policy.answers import ForText
    from proxy.policy.words import RangeText, WhenText

    Condition = Callable[[Principal, RequestFacts, str], bool]

# What `reasoning` of a capability says, as features.
REASONING = {"any": "reasoning", "full": "reasoning_text"}
GLOB = re.compile(r"[*?\[]")


def condition(when: WhenText | None) -> Condition:  # noqa: C901 - one line a word of `when`
    """Return whether a policy speaks of (principal, facts, address)."""
    if when is None:
        return _always
    tests: list[Condition] = []
    for name in ("plan", "account", "org", "key", "purpose"):
        wanted = getattr(when, name)
        if wanted is not None:
            tests.append(_of_principal(name, one_of(wanted)))
    if when.model is not None:
        tests.append(_of_model(one_of(when.model)))
    if when.verified is not None:
        tests.append(_of_principal("verified", when.verified.__eq__))
    if when.stream is not None:
        tests.append(_of_stream(wanted=when.stream))
    if when.ip is not None:
        tests.append(_of_address(tuple(ip_network(text) for text in when.ip)))
    for name, wanted in (when.attributes or {}).items():
        tests.append(_of_attribute(name, one_of(wanted)))
    for name in ("prompt_tokens", "output_tokens"):
        bounds = getattr(when, name)
        if bounds is not None:
            tests.append(_between(name, bounds))
    return _all(tests)


def speaks(text: ForText | None) -> Condition:
    """Return whether a capability speaks of (principal, facts, address)."""
    if text is None:
        return _always
    tests: list[Condition] = []
    if text.model is not None:
        tests.append(_of_model(one_of(text.model)))
    if text.reasoning is not None:
        tests.append(_of_reasoning(frozenset(text.reasoning)))
    if text.feature is not None:
        tests.append(_of_features(frozenset(text.feature)))
    if text.stream is not None:
        tests.append(_of_stream(wanted=text.stream))
    return _all(tests)


def one_of(globs: Sequence[str]) -> Callable[[str], bool]:
    """Return whether a text is one of some names or fits one of some globs.

    >>> one_of(["free", "trial-*"])("trial-eu")
    True
    """
    if any(GLOB.search(glob) for glob in globs):
        fits = re.compile("|".join(translate(glob) for glob in globs)).match
        return lambda text: fits(text) is not None
    return frozenset(globs).__contains__


def _always(_principal: Principal, _facts: RequestFacts, _address: str) -> bool:
    return True


def _all(tests: list[Condition]) -> Condition:
    """Return a chain of tests: nested calls cost less than a loop, and few files have many."""
    first, *others = tests
    if not others:
        return first
    rest = _all(others)
    return lambda principal, facts, address: (
        first(principal, facts, address) and rest(principal, facts, address)
    )


def _of_principal(name: str, fits: Callable[..., bool]) -> Condition:
    value = attrgetter(name)
    return lambda principal, _facts, _address: fits(value(principal))


def _of_model(fits: Callable[[str], bool]) -> Condition:
    return lambda _principal, facts, _address: fits(facts.model)


def _of_stream(*, wanted: bool) -> Condition:
    return lambda _principal, facts, _address: facts.stream is wanted


def _of_reasoning(wanted: frozenset[str]) -> Condition:
    """Compare the effort asked for; `any` and `full` are features and no efforts."""
    features = frozenset(REASONING[word] for word in wanted & REASONING.keys())

    def holds(_principal: Principal, facts: RequestFacts, _address: str) -> bool:
        return facts.reasoning in wanted or not features.isdisjoint(facts.features)

    return holds


def _of_features(wanted: frozenset[str]) -> Condition:
    return lambda _principal, facts, _address: not wanted.isdisjoint(facts.features)


def _of_attribute(name: str, fits: Callable[[str], bool]) -> Condition:
    def holds(principal: Principal, _facts: RequestFacts, _address: str) -> bool:
        value = principal.attributes.get(name)
        return value is not None and fits(value)

    return holds


def _of_address(networks: tuple[IPv4Network | IPv6Network, ...]) -> Condition:
    @lru_cache(maxsize=4096)
    def inside(address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in networks)

    return lambda _principal, _facts, address: inside(address)


def _between(name: str, bounds: RangeText) -> Condition:
    value = attrgetter(name)
    low = -1 if bounds.above is None else bounds.above
    high = float("inf") if bounds.below is None else bounds.below
    return lambda _principal, facts, _address: low < value(facts) < high
