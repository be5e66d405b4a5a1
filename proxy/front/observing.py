"""What profiles are told of an exchange: read when it is asked, told when it has ended.

The prompt's text is read once, on the request's path, and nothing of it is kept but keyed features.
What the answer said is read when the exchange is over, off its path, and then let go.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.dialects.declined import FAILED, code_of, declined
from proxy.traffic.said import said
from proxy.watch.observation import Observation, Subject
from proxy.watch.phrases import declines
from proxy.watch.remembered import BEGINNING, Remembered, history_of, turn_number
from proxy.watch.served import foreign_weight

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.core.principal import Principal
    from proxy.front.exchange import Exchange
    from proxy.journal.record import Record
    from proxy.ports import Observer
    from proxy.watch.features import Features, Lens

KEPT_BYTES = 65_536  # of an answer, to know its text again
REFUSED = "refused"
UNCHANGING = frozenset({"truncate", "delay"})  # changes that leave what is served as it was


@dataclass(slots=True)
class Kept:
    """The first bytes of an answer as the client was given them.

    left:   how many more there is room for
    stream: it came as events
    """

    left: int
    stream: bool = False
    pieces: list[bytes] = field(default_factory=list, repr=False)

    def keep(self, piece: bytes) -> None:
        """Keep bytes of the answer, as far as there is room."""
        if self.left > 0 and piece:
            self.pieces.append(piece[: self.left])
            self.left -= len(piece)

    def text(self) -> str:
        """Return what of the answer's text is in the bytes kept."""
        return said(b"".join(self.pieces), stream=self.stream)

    def code(self) -> str:
        """Return the code of the error that the bytes kept tell of, '' for an answer."""
        return code_of(b"".join(self.pieces), stream=self.stream)


@dataclass(slots=True)
class Asked:
    """What a request was like, without its text.

    features: None of a request that was refused, of which nothing is read
    history, unserved, echoed, gap, running: as `Observation` tells them
    output_tokens: the most that one choice may have, as the client said
    """

    subject: Subject
    features: Features | None
    knobs: frozenset[str]
    choices: int
    capped: bool
    output_tokens: int
    temperature: float | None
    user: int
    history: int
    unserved: int
    echoed: bool
    gap: int | None
    running: int


@dataclass(slots=True)
class Watch:
    """Reads what is asked and tells what became of it. One a worker.

    observer:   takes observations; None where nothing is noted and only limits want features
    remembered: what this process knows of accounts lately
    """

    lens: Lens
    observer: Observer | None = None
    remembered: Remembered = field(default_factory=Remembered)

    def features(self, facts: RequestFacts) -> Features | None:
        """Return the features of what is asked; None where there is nothing to read."""
        return self.lens(facts) if facts.turns else None

    def asked(
        self, record: Record, facts: RequestFacts, who: Principal, features: Features | None
    ) -> Asked:
        """Return what is kept of a request until it is over; the account is asking from now on."""
        account, lens, remembered = who.account, self.lens, self.remembered
        gap, running = remembered.arrives(account, record.t)
        history = () if features is None else history_of(facts.turns, lens)
        return Asked(
            Subject(account, who.org, who.plan, who.purpose, who.verified, facts.model),
            features,
            facts.features,
            facts.choices,
            facts.output_capped,
            facts.output_tokens,
            facts.temperature,
            lens.name(facts.user),
            len(history),
            remembered.unserved(account, history, record.t),
            features is not None and remembered.echoes(account, features.marks),
            gap,
            running,
        )

    def note(self, exchange: Exchange) -> None:
        """Tell the observer of an exchange that is over."""
        asked = exchange.asked
        if asked is None or self.observer is None:
            return
        self.remembered.ended(asked.subject.account)
        if exchange.plan is None:
            return  # it never came to a decision
        text = "" if exchange.answer is None else exchange.answer.text()
        self.observer.observe(self._observation(exchange, asked, text))

    def _observation(self, exchange: Exchange, asked: Asked, text: str) -> Observation:
        record, plan, spent = exchange.record, exchange.plan, exchange.spent
        assert plan is not None
        return Observation(
            subject=asked.subject,
            at=record.charged_at or record.t,
            ended=record.settled_at or time.time_ns() // 1000,
            features=asked.features,
            how=record.end,
            full=_full(exchange),
            knobs=asked.knobs,
            choices=asked.choices,
            capped=asked.capped,
            at_cap=asked.capped and asked.output_tokens >= plan.model.max_output_tokens,
            temperature=asked.temperature,
            prompt_tokens=spent.prompt,
            output_tokens=spent.output,
            reasoning_tokens=record.usage.reported_reasoning or 0,
            declined=_declined(exchange, text),
            retry=record.retry,
            user=asked.user,
            history=asked.history,
            unserved=asked.unserved,
            echoed=asked.echoed,
            foreign=foreign_weight(exchange.foreign),
            running=asked.running,
            gap=asked.gap,
            served=self._served(exchange, asked, text),
        )

    def _served(self, exchange: Exchange, asked: Asked, text: str) -> tuple[int, ...]:
        """Remember what an account was served; return the marks by which it is known again."""
        answer = exchange.answer
        if exchange.record.end == REFUSED or answer is None or not text:
            return ()
        account, lens = asked.subject.account, self.lens
        marks = lens.marks(text)
        if asked.choices > 1 or (answer.left <= 0 and len(text) < BEGINNING):
            # Its beginning is not known, and must not be missed when it comes back as history.
            self.remembered.forgets(account)
        else:
            self.remembered.answered(account, (turn_number(text, lens), *marks))
        return marks


def _full(exchange: Exchange) -> bool:
    """Return whether an answer was served and nothing of it was changed."""
    record = exchange.record
    changed = record.cut or any(each.verb not in UNCHANGING for each in record.changes)
    return exchange.billed and record.end not in {"error", REFUSED} and not changed


def _declined(exchange: Exchange, text: str) -> bool:
    """Return whether the model declined, as its provider or its text says."""
    record, answer = exchange.record, exchange.answer
    if record.end == REFUSED:
        return False
    status, reasons = record.upstream.status, record.finish_reasons
    failed = status >= 400 or FAILED in reasons  # noqa: PLR2004 - client and server errors
    code = answer.code() if answer is not None and failed and not record.code else ""
    return declined(reasons, status, code) or declines(text)
