"""Playing traffic through the engine in memory, on the traffic's own clock.

One thread, no clock of its own and no chance: the same traffic and policies give the same.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import orjson

from proxy import engine
from proxy.core.decision import Effect
from proxy.core.errors import WeirError
from proxy.core.principal import Principal
from proxy.core.shape import NO_SHAPE
from proxy.core.standing import BY_EVIDENCE, BY_LIMIT, Level, Standing
from proxy.dialects import routes
from proxy.limits.buckets import Lease
from proxy.limits.keys import standing_key
from proxy.replay.answers import Guess, Outcome, changes_of, recorded, shaped
from proxy.replay.fingerprints import Fingerprints
from proxy.replay.played import Played
from proxy.replay.stored import Release, Stored, reads
from proxy.replay.watching import Watching, watching_for
from proxy.store.memory import MemoryStore
from proxy.store.standings import MemoryStandings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.core.decision import Decision
    from proxy.core.facts import RequestFacts
    from proxy.dialects.routes import Route
    from proxy.limits.charges import Settlement
    from proxy.policy.loader import Loaded
    from proxy.replay.played import Listener
    from proxy.traffic.entry import Entry

ENV = "replay"
BY_RULES = (BY_LIMIT, BY_EVIDENCE)  # who sets a level as the policies say


class Player:
    """Plays traffic, one entry after the other.

    rules:     policies and models
    listeners: told of each request, twice
    watching:  observes and assesses accounts, and so raises them; None for what the rules say
    """

    def __init__(
        self, rules: Loaded, listeners: Sequence[Listener] = (), watching: Watching | None = None
    ) -> None:
        self.rules = rules
        self._watching = watching_for(rules) if watching is None else watching
        self.store = MemoryStore()
        self._standings = MemoryStandings(self.store, ENV)
        self._listeners = listeners
        self._prints = Fingerprints()
        self._context = engine.Context(ENV, self._prints)
        self._guess = Guess()
        self._stored = Stored()
        self._running: list[tuple[int, int, Played | Release]] = []
        self._number = 0
        self._endings = 0

    def play(self, entries: Iterable[Entry]) -> None:
        """Play all of some traffic."""
        for entry in entries:
            self.feed(entry)
        self.finish()

    def feed(self, entry: Entry) -> None:
        """Play one request; entries come in the order of time."""
        now = entry.t if entry.charged_at is None else entry.charged_at
        self._settle(now)
        self._number += 1
        played = Played(entry, now)
        try:
            route, facts = self._read(entry)
        except WeirError as error:
            played.code, played.how, played.ended_at = error.code, "error", now
            self._tell(played)
            return
        played.facts = facts
        if not facts.metered:
            played.how, played.ended_at = "complete", now
            self._tell(played)
            return
        self._decide(played, facts)
        for listener in self._listeners:
            listener.decided(played)
        assert played.decision is not None
        if played.decision.effect is Effect.REFUSE:
            self._refused(played)
        else:
            self._serve(played, facts, played.decision, route)

    def finish(self) -> None:
        """Let all answers end that are on their way."""
        self._settle(None)

    def _read(self, entry: Entry) -> tuple[Route | None, RequestFacts]:
        if entry.facts is not None:
            return None, entry.facts
        route = _route(entry.method, entry.path, entry.headers.get(routes.ANTHROPIC, ""))
        body = b"" if entry.body is None else orjson.dumps(entry.body)
        (facts,) = route.dialect.read(body, self.rules.models.rules, route.call)
        if route.call.object:
            facts = replace(facts, model=self._stored.model(route.call.object))
        return route, facts

    def _decide(self, played: Played, facts: RequestFacts) -> None:
        entry, now = played.entry, played.at
        principal = principal_of(entry)
        self._prints.of(entry.fp, facts, entry.ip)
        features = None if self._watching is None else self._watching.asks(played, facts)
        plan = played.plan = engine.plan(
            facts,
            principal,
            entry.ip,
            self.rules.policies,
            self.rules.models.find(facts.model),
            context=self._context,
            lease_id=str(self._number),
            features=features,
        )
        if plan.refused:
            played.decision = engine.decide_forbidden(plan)
            return
        _, key = standing_key(ENV, entry.account)
        charged = self.store.charge_now(plan.charges, now, key)
        standing = self._standing(entry, charged.standing, now)
        if standing is not charged.standing:
            charged = replace(charged, standing=standing)
        played.charged = charged
        decision = engine.decide(plan, charged)
        if decision.effect is not Effect.REFUSE:
            made_in = self._stored.read(facts).shape
            if made_in is not NO_SHAPE:
                decision = engine.reshaped(decision, made_in)
            if decision.shape.delay and self._same(entry) and entry.effect == Effect.REFUSE:
                decision = engine.turned_away(decision)  # too many were waiting already
        played.decision = decision
        raised = engine.standing_after(decision, charged)
        if raised is not None:
            self._standings.lift_now(entry.account, raised, now)

    def _standing(self, entry: Entry, own: Standing | None, now: int) -> Standing | None:
        """Return the standing that decides: what was told when it was recorded, or our own.

        Under the policies that it was recorded under, what the store told then is a fact. Under
        others a level that one of those policies had given does not count, and ours do.
        """
        same = self._same(entry)
        if entry.level == "clear" or (not same and entry.level_by.startswith(BY_RULES)):
            return None if same else own
        until = now + 1 if entry.level_until is None else entry.level_until
        told = Standing(Level(entry.level), now, until, entry.level_by)
        if same or own is None or own.level.rank < told.level.rank:
            return told
        return own

    def _same(self, entry: Entry) -> bool:
        """Return whether a request was recorded under the policies that are played."""
        return bool(entry.policies) and entry.policies == self.rules.policies.digest

    def _refused(self, played: Played) -> None:
        entry, plan, charged = played.entry, played.plan, played.charged
        played.how = "refused"
        same = entry.effect == Effect.REFUSE.value
        at = entry.settled_at if same and entry.settled_at is not None else played.at
        if plan is None or charged is None:
            played.ended_at = played.at
            self._end(played)
            return
        self._ends(at, played)
        if at <= played.at:
            self._settle(played.at)

    def _serve(
        self, played: Played, facts: RequestFacts, decision: Decision, route: Route | None
    ) -> None:
        entry, plan = played.entry, played.plan
        assert plan is not None
        shape = decision.shape
        same = self._same(entry) and entry.effect == decision.effect
        outcome = self._outcome(entry, facts)
        cut = False
        if not shape.body_empty:
            if route is None:
                played.changes = () if reads(facts) else changes_of(facts, shape)
            else:
                body = b"" if entry.body is None else orjson.dumps(entry.body)
                played.changes = route.dialect.forward(body, facts, shape).changes
        if shape is not NO_SHAPE and not same:
            outcome, cut = shaped(outcome, facts, shape)
        billed = outcome.billed and not reads(facts)
        played.usage, played.how, played.guessed = outcome.usage, outcome.how, outcome.guessed
        played.spent = engine.spent(
            plan, outcome.how, outcome.usage, billed=billed, kept=outcome.kept
        )
        changed = cut or any(change.verb != "truncate" for change in played.changes)
        played.full = outcome.billed and outcome.how != "error" and not changed
        served = entry.effect != Effect.REFUSE.value
        if entry.settled_at is not None and served:
            ends = entry.settled_at
        else:
            ends = max(played.at, entry.t + outcome.lasted)
        self._keep_slots(played, ends)
        self._stored.keep(played, shape)
        self._ends(ends, played)
        self._release(played, ends)

    def _release(self, played: Played, ends: int) -> None:
        """Let what was reserved for an answer be settled, if a request has read what it took."""
        entry = played.entry
        same = self._same(entry)
        if same and entry.released_at is None:
            return
        released = self._stored.release(played)
        if released is not None:
            at = entry.released_at if same else None
            self._ends(ends if at is None else at, released)

    def _ends(self, at: int, what: Played | Release) -> None:
        self._endings += 1
        heappush(self._running, (at, self._endings, what))

    def _outcome(self, entry: Entry, facts: RequestFacts) -> Outcome:
        if entry.answer is None:
            return self._guess.outcome(entry, facts)
        outcome = recorded(entry.answer, self.rules.models.rules(facts.model))
        if outcome.billed and outcome.how == "complete":
            self._guess.learn(entry, facts, outcome)
        return outcome

    def _keep_slots(self, played: Played, ends: int) -> None:
        """Keep the slots of a long answer: a worker renews them while it runs."""
        assert played.plan is not None
        for charge in played.plan.charges:
            if isinstance(charge.bucket, Lease) and ends - played.at >= charge.bucket.hold:
                self.store.renew_now(charge, ends)

    def _settle(self, until: int | None) -> None:
        """Let the answers end that have ended by a moment; None for all."""
        running = self._running
        while running and (until is None or running[0][0] <= until):
            at, _, what = heappop(running)
            self.store.settle_now(_settlements(what), at)
            if isinstance(what, Played):
                what.ended_at = at
                self._end(what)

    def _end(self, played: Played) -> None:
        if self._watching is not None:
            self._watch(self._watching, played)
        for listener in self._listeners:
            listener.settled(played)

    def _watch(self, watching: Watching, played: Played) -> None:
        """Let what has ended be observed, and its account be raised by what that shows."""
        account, now = played.entry.account, played.ended_at
        raised = watching.ends(played, self._standings.find_now(account, now))
        if raised is not None:
            self._standings.lift_now(account, raised, raised.since)

    def _tell(self, played: Played) -> None:
        for listener in self._listeners:
            listener.decided(played)
            listener.settled(played)


def _settlements(what: Played | Release) -> list[Settlement]:
    if isinstance(what, Release):
        return what.settlements()
    plan, charged, spent, answer = what.plan, what.charged, what.spent, what.entry.answer
    assert plan is not None
    assert charged is not None
    if what.how == "refused" and charged.admitted:
        return engine.undo(plan, charged)
    kept = answer is not None and answer.kept
    return engine.settle(plan, charged, spent.prompt, spent.output, spent.cached, going_on=kept)


@lru_cache(maxsize=8_192)
def _principal(
    key: str, account: str, org: str, plan: str, purpose: str, *, verified: bool
) -> Principal:
    return Principal(key, account, org, plan, verified, purpose)


def principal_of(entry: Entry) -> Principal:
    """Return who sent a request."""
    found = _principal(
        entry.key, entry.account, entry.org, entry.plan, entry.purpose, verified=entry.verified
    )
    return replace(found, attributes=entry.attributes) if entry.attributes else found


@lru_cache(maxsize=4096)
def _route(method: str, path: str, anthropic: str) -> Route:
    return routes.route(method, path, {routes.ANTHROPIC: anthropic} if anthropic else {})
