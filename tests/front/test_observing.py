"""What a profile is told of an exchange, and what is kept of it until then."""

from __future__ import annotations

import pytest

from proxy.core.facts import RequestFacts
from proxy.core.principal import Principal
from proxy.core.sealing import Kind
from proxy.engine import NOTHING, Plan
from proxy.front.exchange import Exchange
from proxy.front.observing import KEPT_BYTES, Kept, Watch
from proxy.journal.record import ChangeEntry, Record
from proxy.policy.compiled import Model
from proxy.watch.features import Lens
from proxy.watch.remembered import KNOWN_FOR

NOW = 1_795_435_200_000_000
WHO = Principal("k", "acme", "org", plan="paid", purpose="eval")
ANSWER = "The tide is what the moon and the sun do to the sea, twice a day, all around the coast."


class Notes:
    """An observer that can be read."""

    dropped = 0

    def __init__(self) -> None:
        self.seen = []

    def observe(self, seen) -> None:
        self.seen.append(seen)


def facts(*turns, **more) -> RequestFacts:
    turns = turns or (("user", "what is a tide?"),)
    prompt = "\n".join(text for _, text in turns)
    return RequestFacts("openai.chat", "m", turns=turns, prompt=prompt, **more)


def body(text: str) -> bytes:
    return b'{"choices":[{"message":{"content":"%b"}}]}' % text.encode()


@pytest.fixture
def watch():
    return Watch(Lens(bytes(32)), Notes())


def exchange(watch, asked=None, answer=None, at=NOW, foreign=None, **record) -> Exchange:
    """An exchange that is over, noted."""
    asked, answer = asked or facts(), body(ANSWER) if answer is None else answer
    made = Exchange(Record("wd_1", at, end="complete", **record), billed=True)
    made.asked = watch.asked(made.record, asked, WHO, watch.features(asked))
    made.plan = Plan((), (), 10, 100, Model("m", max_output_tokens=4096))
    made.spent, made.foreign = NOTHING, foreign or {}
    made.answer = Kept(KEPT_BYTES)
    made.answer.keep(answer)
    watch.note(made)
    return made


def test_an_exchange_is_told_as_it_was(watch):
    exchange(
        watch, facts(user="u", temperature=1.2, output_capped=True, output_tokens=4096), retry=1
    )
    (seen,) = watch.observer.seen
    assert (seen.subject.account, seen.subject.purpose, seen.subject.model) == ("acme", "eval", "m")
    assert (seen.at, seen.how, seen.full, seen.retry) == (NOW, "complete", True, 1)
    assert (seen.temperature, seen.capped, seen.at_cap) == (1.2, True, True)
    assert seen.user == watch.lens.name("u")
    assert repr(seen.features) == repr(watch.lens(facts()))
    assert seen.served == watch.lens.marks(ANSWER)


@pytest.mark.parametrize(
    ("changes", "cut", "full"),
    [
        ([], False, True),
        ([ChangeEntry("delay", "answer")], False, True),
        ([ChangeEntry("truncate", "answer")], False, True),
        ([ChangeEntry("truncate", "answer")], True, False),
        ([ChangeEntry("clamp", "n", "2", "1")], False, False),
    ],
    ids=["as-it-was", "delayed", "not-so-long", "cut", "clamped"],
)
def test_an_answer_is_full_where_nothing_of_it_was_changed(watch, changes, cut, full):
    exchange(watch, changes=changes, cut=cut)
    assert watch.observer.seen[0].full is full


def test_gaps_and_running_answers_are_those_of_the_account(watch):
    for after in (0, 5, 9):
        exchange(watch, at=NOW + after)
    assert [seen.gap for seen in watch.observer.seen] == [None, 5, 4]
    assert [seen.running for seen in watch.observer.seen] == [0, 0, 0]
    watch.asked(Record("wd_2", NOW + 10), facts(), WHO, None)
    exchange(watch, at=NOW + 11)
    assert watch.observer.seen[-1].running == 1


def test_history_that_was_served_here_is_known_and_other_history_is_not(watch):
    exchange(watch)
    later = NOW + KNOWN_FOR
    own = facts(("user", "what is a tide?"), ("assistant", ANSWER), ("user", "and why?"))
    other = facts(("user", "?"), ("assistant", "No. " + ANSWER), ("user", "and why?"))
    exchange(watch, own, at=later)
    exchange(watch, other, at=later)
    assert [(seen.history, seen.unserved) for seen in watch.observer.seen] == [
        (0, 0),
        (1, 0),
        (1, 1),
    ]


def test_nothing_is_said_of_history_that_may_have_been_served_before(watch):
    other = facts(("user", "?"), ("assistant", ANSWER), ("user", "and why?"))
    exchange(watch, other)
    assert watch.observer.seen[0].unserved == 0


def test_an_answer_whose_beginning_is_not_known_is_not_missed_when_it_comes_back(watch):
    exchange(watch)
    later = NOW + KNOWN_FOR
    exchange(watch, facts(choices=2), at=later)  # of several choices one comes back
    own = facts(("user", "what?"), ("assistant", "Another answer. " + ANSWER), ("user", "why?"))
    exchange(watch, own, at=later + 1)
    assert watch.observer.seen[-1].unserved == 0


def test_served_text_that_is_asked_about_is_an_echo(watch):
    long = " ".join(f"{ANSWER} {number}" for number in range(40))
    exchange(watch, answer=body(long))
    exchange(watch, facts(("user", f"Grade this answer: {long}")), at=NOW + 1)
    exchange(watch, facts(("user", "Grade this answer: forty-two")), at=NOW + 2)
    assert [seen.echoed for seen in watch.observer.seen] == [False, True, False]


@pytest.mark.parametrize(
    ("record", "text", "declined"),
    [
        ({}, ANSWER, False),
        ({"finish_reasons": ["content_filter"]}, "", True),
        ({}, "I'm sorry, but I can't help with that.", True),
    ],
    ids=["answered", "filtered", "said-no"],
)
def test_who_is_declined_by_the_model_is_told_so(watch, record, text, declined):
    exchange(watch, answer=body(text), **record)
    assert watch.observer.seen[0].declined is declined


def test_foreign_reasoning_weighs_by_whose_it_is(watch):
    exchange(watch, foreign={Kind.CONVERSATION: 3, Kind.ACCOUNT: 1})
    exchange(watch, foreign={Kind.UNKNOWN: 20})
    assert [seen.foreign for seen in watch.observer.seen] == pytest.approx([2.0, 1.0])


def test_what_never_came_to_a_decision_is_not_told(watch):
    made = Exchange(Record("wd_1", NOW, end="error"))
    made.asked = watch.asked(made.record, facts(), WHO, None)
    watch.note(made)
    assert watch.observer.seen == []


def test_what_is_kept_of_an_answer_is_bounded():
    kept = Kept(10)
    for piece in (b"1234", b"", b"56789abc", b"more"):
        kept.keep(piece)
    assert b"".join(kept.pieces) == b"123456789a"


def test_nothing_of_a_prompt_is_in_what_is_kept_until_the_end(watch):
    made = exchange(watch, facts(("user", "canary-prompt")), answer=body("canary-answer"))
    assert "canary" not in f"{made.asked!r} {made.answer!r} {watch.observer.seen!r}"
