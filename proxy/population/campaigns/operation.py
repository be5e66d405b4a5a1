"""An operation at work: its pool of accounts, its disguise, its requests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from proxy.population import prose, wire
from proxy.population.campaigns.dressing import Thread, thread
from proxy.population.chance import dice
from proxy.population.exchange import FAILING, answered, entry
from proxy.population.honest.conversing import end_user
from proxy.population.rewriting import reworded
from proxy.population.rhythm import DAY, SECOND

if TYPE_CHECKING:
    from random import Random

    from proxy.population.account import Account, Release, World
    from proxy.population.playing import Exchange
    from proxy.population.texts import Text
    from proxy.population.wire import Ask
    from proxy.traffic.entry import Label

REST = 300 * SECOND  # how long an account that failed is left alone
TRIES = 4
USERS = 60  # that one account under cover pretends to have
OTHER = 0.25  # share of the requests for which a model other than the first is taken


@dataclass(slots=True)
class Pool:
    """The accounts of an operation, and which is asked next.

    share:  heavy, round-robin, least-recently-used, sticky or random
    joined: how many are there by now, the first of `accounts`
    """

    accounts: list[Account]
    share: str
    rng: Random
    joined: int = 0
    turn: int = 0
    idle: deque[int] = field(default_factory=deque)
    waiting: set[int] = field(default_factory=set)
    homes: dict[int, int] = field(default_factory=dict)
    resting: dict[int, int] = field(default_factory=dict)

    def join(self, t: int) -> int:
        """Let in who begins by now; return how many there are."""
        while self.joined < len(self.accounts) and self.accounts[self.joined].begins <= t:
            self.joined += 1
            self.done(self.joined - 1)
        return self.joined

    def pick(self, t: int, conversation: int) -> int:
        """Return the number of the account that sends the next request of a conversation."""
        here = self.join(t) or 1
        if self.share == "sticky":
            if conversation not in self.homes:
                if len(self.homes) > 4 * here + 64:
                    del self.homes[next(iter(self.homes))]
                self.homes[conversation] = self._next(t, here)
            return self.homes[conversation]
        if self.share == "random":
            return self.rng.randrange(here)
        if self.share == "least-recently-used" and self.idle:
            # Who answers now is not among them: they come back at their answer's end.
            for _ in range(len(self.idle)):
                found = self.idle.popleft()
                if self.resting.get(found, 0) <= t:
                    self.waiting.discard(found)
                    return found
                self.idle.append(found)
        return self._next(t, here)

    def done(self, number: int) -> None:
        """Take back an account whose answer has ended."""
        if self.share == "least-recently-used" and number not in self.waiting:
            self.waiting.add(number)
            self.idle.append(number)

    def failed(self, number: int, t: int, conversation: int) -> None:
        """Leave an account alone for a while; its conversation moves to another."""
        self.resting[number] = t + REST
        self.homes.pop(conversation, None)

    def _next(self, t: int, here: int) -> int:
        for _ in range(min(here, 8)):
            self.turn += 1
            if self.resting.get(self.turn % here, 0) <= t:
                break
        return self.turn % here


@dataclass(slots=True)
class Operation:
    """One campaign while it runs.

    first, last: microseconds since the epoch
    cover:       the share of innocent requests
    paraphrase:  'request', 'account' or '' for templates and prompts as they are
    system:      what stands above questions that bring nothing of their own, ''
    kept:        answers that later requests take up
    taken:       how many texts of the set have been asked for
    ramp:        microseconds over which the volume rises
    dressed:     every request looks like one of a product's conversations; threads: by account
    """

    name: str
    world: World
    cover_world: World
    pool: Pool
    rng: Random
    label: Label
    innocent: Label
    first: int
    last: int
    cover: float
    paraphrase: str
    models: tuple[str, ...]
    system: str
    pivot: Release | None
    probes: int
    asked: int = 0
    covered: int = 0
    taken: int = 0
    conversations: int = 0
    kept: deque[str] = field(default_factory=lambda: deque(maxlen=64))
    sealed: deque[tuple[str, str, str]] = field(default_factory=lambda: deque(maxlen=64))
    ramp: int = 0
    dressed: bool = False
    threads: dict[int, Thread] = field(default_factory=dict)

    def next_text(self) -> Text:
        """Return the next text of the set: nobody else of the campaign gets it in this round."""
        self.taken += 1
        return self.world.texts[(self.taken - 1) % len(self.world.texts)]

    def model(self, t: int) -> str:
        """Return the model that is asked now: within a day of its release the new one."""
        if self.pivot is not None and t >= self.pivot.t:
            gone = (t - self.pivot.t) / DAY
            if self.rng.random() < min(0.97, 0.2 + 2 * gone):
                return self.pivot.model
        chance, others = self.rng.random(), self.models[1:]
        if others and chance < OTHER:  # as often as any organisation, see `Account.model`
            return others[int(chance / OTHER * len(others))]
        return self.models[0]

    def disguised(self, text: str, account: Account) -> str:
        """Return a prompt as it is sent: in other words, where the campaign hides it."""
        if self.paraphrase == "request":
            return reworded(self.rng, text)
        if self.paraphrase == "account":
            return reworded(dice("words", account.account), text)
        return text

    def conversation(self) -> int:
        """Return the number of a new conversation."""
        self.conversations += 1
        return self.conversations


def send(
    op: Operation, t: int, question: Ask, tokens: int, *, number: int, conversation: int = 0,
    text: str = "", sealed: int = 0,
) -> Exchange:  # fmt: skip
    """Send a request of a campaign from an account; when it fails, from another one.

    number:       of the account in the pool
    conversation: what it belongs to; of sticky accounts it moves as a whole
    Returns the last answer and the moment of its end.
    """
    rng, pool = op.rng, op.pool
    attempt, retry = 0, 0
    who = pool.accounts[number]
    talk = _talk(op, question, number, t)
    if talk and not text:
        text = prose.answer(rng, tokens, str(question.turns[-1]["content"]))
    sent = wire.sent(_worn(op, question, who, talk), who.style)
    while True:
        yield t
        answer = answered(rng, sent, question, tokens, text, sealed, FAILING)
        address = who.addresses[int(rng.random() * len(who.addresses))]
        op.asked += 1
        yield entry(who, t, sent, answer, op.label, address, retry)
        t += answer.lasted or 0
        yield t
        pool.done(number)
        attempt += 1
        if answer.end != "error" or attempt >= TRIES:
            if talk and answer.end == "complete":
                talk.heard(question, answer.text, who.style)
                op.threads[number] = talk
            return answer, t
        pool.failed(number, t, conversation)
        t += int(SECOND * (0.1 + rng.expovariate(1.0)))
        yield t
        failed, number = number, pool.pick(t, conversation)
        if number == failed:
            retry += 1  # the same body again
        else:
            retry, who = 0, pool.accounts[number]
            talk = _talk(op, question, number, t)
            sent = wire.sent(_worn(op, question, who, talk), who.style)


def _talk(op: Operation, question: Ask, number: int, t: int) -> Thread | None:
    """Return the conversation that a question in a costume goes into; None without a costume, and
    for what brings a history of its own.
    """  # noqa: D205 - one sentence
    if not op.dressed or len(question.turns) > 1:
        return None
    who = op.pool.accounts[number]
    return thread(op.rng, op.threads.pop(number, None), who, question, t)


def _worn(op: Operation, question: Ask, who: Account, talk: Thread | None) -> Ask:
    """Return a question with the end user whom the account's client names with everything.

    Who has cover pretends to be a product in all of its requests: were users named under cover
    alone, the field would tell the one from the other. Who passes customers on names his own.
    """
    if talk is not None:
        return talk.worn(question)
    if not who.style.names_users:
        return replace(question, user="") if question.user else question
    if (op.cover or op.dressed) and not question.user:
        return replace(question, user=end_user(who, USERS))
    return question
