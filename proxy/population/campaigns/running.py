"""A campaign day by day: how much, when, and what of it is cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.population.campaigns.operation import USERS
from proxy.population.chance import count, happens
from proxy.population.honest.conversing import TURNS, conversation, end_user, single
from proxy.population.rhythm import DAY, Rhythm, shares
from proxy.traffic.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.population.campaigns.operation import Operation
    from proxy.population.campaigns.techniques import Technique
    from proxy.population.playing import Process

# Gaps of a pool of workers that take from one queue: a gamma distribution's shape, CV = 0.5.
STEADY = 4.0
SINGLES = 0.5  # share of the covering pieces that are one question
COVERING = SINGLES + (1 - SINGLES) * (TURNS - 0.1)


def run(op: Operation, technique: Technique, rate: float, rhythm: Rhythm, jitter: int) -> Process:
    """Start the campaign's pieces of work.

    rate: requests of one account on an ordinary weekday, cover counted
    """
    yield op.first
    if technique.opening is not None:
        yield technique.opening(op)
    harvesting, covering = (1 - op.cover) / technique.each, op.cover / COVERING
    pieces = harvesting + covering  # of one request
    for t in moments(op, rate * pieces, rhythm, jitter):
        yield t
        if op.rng.random() < covering / pieces + _lag(op, technique.each):
            yield cover(op, t)
        else:
            yield technique.session(op, t)


def moments(op: Operation, rate: float, rhythm: Rhythm, jitter: int) -> Iterator[int]:
    """Yield when pieces of work begin, in order.

    rate:   pieces of one account on an ordinary weekday
    jitter: each waits up to so long
    """
    rng, trace = op.rng, op.world.trace
    midnight, last = op.world.start, 0
    while midnight < op.last:
        there = sum(1 for who in op.pool.accounts if who.begins < midnight + DAY)
        volume = rate * there * rhythm.weight(midnight) * _risen(op, midnight)
        n = count(rng, volume) if midnight + DAY > op.first else 0
        found = (
            [midnight + rhythm.moment(each) for each in shares(rng, n, trace, STEADY)] if n else []
        )
        if jitter:
            found = sorted(t + int(rng.random() * jitter) for t in found)
        for t in found:
            if op.first <= t < op.last:
                last = max(last, t)
                yield last
        midnight += DAY


def cover(op: Operation, t: int) -> Process:
    """Do what an ordinary customer would: one account's own product, one user."""
    number = op.pool.pick(t, op.conversation())
    who, world = op.pool.accounts[number], op.cover_world
    system = who.persona.system
    user = end_user(who, USERS)
    work = (
        single(who, world, t, system, user, label=op.innocent)
        if happens(op.rng, SINGLES)
        else conversation(who, world, t, system, user, label=op.innocent)
    )
    for step in work:
        if isinstance(step, Entry):
            op.covered += 1
        yield step
    op.pool.done(number)


def _risen(op: Operation, midnight: int) -> float:
    """Return which part of its volume a campaign has come up to by noon, 0 to 1."""
    if not op.ramp:
        return 1.0
    return min(1.0, max(0.0, (midnight + DAY // 2 - op.first) / op.ramp))


def _lag(op: Operation, each: float) -> float:
    """Return how much more likely the next piece is cover, so that the share of requests holds."""
    total = op.asked + op.covered
    return (op.cover * total - op.covered) / (20.0 * max(each, COVERING)) if op.cover else 0.0
