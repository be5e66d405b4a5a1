"""What a client may name itself does not fill the memory of a replay."""

from proxy.core.facts import RequestFacts, Usage
from proxy.replay import summary as counts
from proxy.replay.answers import MOST_MODELS, Guess, Outcome
from proxy.replay.played import Played
from proxy.replay.summary import OTHERS, Summary
from proxy.traffic.entry import Entry


def test_models_after_the_first_thousand_are_counted_together(monkeypatch):
    monkeypatch.setattr(counts, "MOST_MODELS", 3)
    summary = Summary()
    for number in range(10):
        entry = Entry(number, "a", "a", "a")
        facts = RequestFacts("openai.chat", model=f"m{number}", metered=False)
        summary.decided(Played(entry, number, facts=facts))
    assert {name: story.requests for name, story in summary.models.items()} == {
        "m0": 1, "m1": 1, "m2": 1, OTHERS: 7,
    }  # fmt: skip
    assert summary.total.requests == 10


def test_answers_are_learned_of_so_many_models_and_of_all_accounts():
    guess = Guess()
    outcome = Outcome("complete", Usage(reported_output=5), billed=True, lasted=1)
    for number in range(MOST_MODELS + 5):
        facts = RequestFacts("openai.chat", model=f"m{number}")
        guess.learn(Entry(number, "a", f"a{number}", "a"), facts, outcome)
    assert (len(guess.models), len(guess.accounts)) == (MOST_MODELS, MOST_MODELS + 5)
