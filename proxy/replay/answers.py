"""What an answer took when it was recorded, and what it would have been otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from proxy.core.facts import Usage
from proxy.core.shape import Change
from proxy.dialects.tokens import count

if TYPE_CHECKING:
    from proxy.core.facts import RequestFacts
    from proxy.core.shape import Shape
    from proxy.dialects.tokens import TokenRules
    from proxy.traffic.entry import Answer, Entry

ERROR = 400
MOST_MODELS = 10_000
FIRST_TOKEN, A_TOKEN = 300_000, 20_000  # microseconds of an answer whose length was not noted


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an exchange ends in a replay.

    how:     'complete', 'error', 'abandoned' or 'broken'
    billed:  something was served
    lasted:  microseconds from arrival to the end
    kept:    the answer is still being made when the request is over
    guessed: nobody knows the answer: it was taken to be like the others
    """

    how: str
    usage: Usage
    billed: bool
    lasted: int
    kept: bool = False
    guessed: bool = False


def recorded(answer: Answer, rules: TokenRules) -> Outcome:
    """Return how an exchange ended when it was recorded.

    An answer whose tokens nobody told is counted by its text.
    """
    usage = answer.usage
    noted = answer.billed is not None
    if not noted and usage.reported_output is None and not usage.relayed and answer.text:
        usage = replace(usage, relayed=count(answer.text, rules.counter))
    billed = answer.billed
    if billed is None:
        failed = answer.end == "error" or answer.status >= ERROR
        billed = not failed or usage.relayed > 0
    lasted = answer.lasted
    if lasted is None:
        lasted = length(usage.reported_output or usage.relayed)
    return Outcome(answer.end, usage, billed, lasted, answer.kept)


def length(tokens: int) -> int:
    """Return how long an answer of so many tokens takes, where nobody noted it; microseconds."""
    return FIRST_TOKEN + A_TOKEN * tokens


def shaped(outcome: Outcome, facts: RequestFacts, shape: Shape) -> tuple[Outcome, bool]:
    """Return how an exchange would have ended under a shape, and whether that cut it short.

    Fewer choices take their share of the tokens; a cap ends the answer there. That it would have
    come sooner is left aside: it lasts as long as it did, and the shape's delay.
    """
    usage = outcome.usage
    output = usage.relayed if usage.reported_output is None else usage.reported_output
    given = output
    if shape.n is not None and shape.n < facts.choices:
        given = given * shape.n // facts.choices
    choices = facts.choices if shape.n is None else min(facts.choices, shape.n)
    if shape.output_tokens is not None:
        given = min(given, shape.output_tokens * choices)
    if shape.truncate is not None:
        given = min(given, shape.truncate)
    lasted = outcome.lasted + shape.delay
    if given == output:
        return replace(outcome, lasted=lasted), False
    reported = None if usage.reported_output is None else given
    usage = replace(usage, reported_output=reported, relayed=min(usage.relayed, given))
    return replace(outcome, usage=usage, lasted=lasted), True


def changes_of(facts: RequestFacts, shape: Shape) -> tuple[Change, ...]:
    """Return what a shape changes in a request of which only the facts are known."""
    found = [Change("strip", what) for what in sorted(shape.strip & facts.features)]
    if shape.hide_reasoning and "reasoning" in facts.features:
        found.append(Change("hide", "reasoning"))
    if shape.n is not None and shape.n < facts.choices:
        found.append(Change("clamp", "n", str(facts.choices), str(shape.n)))
    if shape.output_tokens is not None and (
        not facts.output_capped or shape.output_tokens < facts.output_tokens
    ):
        asked = str(facts.output_tokens) if facts.output_capped else ""
        found.append(Change("clamp", "output_tokens", asked, str(shape.output_tokens)))
    return tuple(found)


@dataclass(slots=True)
class _Mean:
    answers: int = 0
    output: int = 0
    lasted: int = 0

    def outcome(self) -> Outcome:
        each = self.output // self.answers
        return Outcome(
            "complete",
            Usage(reported_output=each, relayed=each),
            billed=True,
            lasted=self.lasted // self.answers,
            guessed=True,
        )


@dataclass(slots=True)
class Guess:
    """What an answer would have been that nobody has seen: as long as those seen before.

    Of the account where it has had answers, else of the model; where there are none, as much as
    the request reserves.
    """

    accounts: dict[str, _Mean] = field(default_factory=dict)
    models: dict[str, _Mean] = field(default_factory=dict)

    def learn(self, entry: Entry, facts: RequestFacts, outcome: Outcome) -> None:
        """Take an answer that was seen."""
        usage = outcome.usage
        output = usage.relayed if usage.reported_output is None else usage.reported_output
        for means, name in ((self.accounts, entry.account), (self.models, facts.model)):
            mean = means.get(name)
            if mean is None:
                if means is self.models and len(means) >= MOST_MODELS:
                    continue  # names are the clients' own
                mean = means[name] = _Mean()
            mean.answers += 1
            mean.output += output
            mean.lasted += outcome.lasted

    def outcome(self, entry: Entry, facts: RequestFacts) -> Outcome:
        """Return what an answer would have been."""
        mean = self.accounts.get(entry.account) or self.models.get(facts.model)
        if mean is not None:
            return mean.outcome()
        output = facts.output_tokens * facts.choices
        usage = Usage(reported_output=output, relayed=output)
        return Outcome("complete", usage, billed=True, lasted=length(output), guessed=True)
