"""What the files say of answers in proportion: capabilities, shapes, `otherwise`."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from proxy.core.facts import FEATURES
from proxy.core.standing import Level
from proxy.policy.sentences import shown
from proxy.policy.words import Amount, Globs, Name, Section, WhenText, lasting, listed

ANY = "any"
# What a limit may raise an account to.
RAISED = (Level.WATCH, Level.GUARDED, Level.RESTRICTED)

Strippable = Literal["logprobs", "logit_bias", "prompt_logprobs", "seed", "echo"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Reasoning = Literal["any", "full", "none", "minimal", "low", "medium", "high", "xhigh", "max"]
Cap = Annotated[int, Field(ge=1, le=10_000_000)]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]


def feature(text: str) -> str:
    """Let through a feature's name; ValueError says which there are."""
    if text in FEATURES:
        return text
    nearest = get_close_matches(text, FEATURES, n=1)
    would_do = f"did you mean {nearest[0]!r}?" if nearest else ", ".join(sorted(FEATURES))
    raise ValueError(f"{shown(text)} is no feature ({would_do})")


def combination(text: str) -> str:
    """Let through features joined with '+', or `any`, which stands alone."""
    parts = [part.strip() for part in text.split("+")]
    if ANY in parts and len(parts) > 1:
        raise ValueError("any stands alone (a combination names features: logit_bias+logprobs)")
    if parts != [ANY]:
        for part in parts:
            feature(part)
    return "+".join(parts)


def verified(value: object) -> object:
    """Take the word `verified` for {verified: true}."""
    if isinstance(value, str):
        if value != "verified":
            raise ValueError(f"cannot read {shown(value)} (verified, or {{plan: [paid, team-*]}})")
        return {"verified": True}
    return value


@dataclass(frozen=True, slots=True)
class Answer:
    """What a limit does without room.

    does:  'refuse', 'flag', 'shape' and that shape's name, or 'level'
    level: what the account is raised to, for `lasts` microseconds
    """

    does: Literal["refuse", "flag", "shape", "level"]
    shape: str = ""
    level: Level = Level.CLEAR
    lasts: int = 0


class _ShapeChoice(Section):
    """The answer that is a shape, for editors."""

    shape: Name


class _LevelChoice(Section):
    """The answer that raises the account's standing, for editors."""

    level: Literal["watch", "guarded", "restricted"]
    for_: Amount = Field(alias="for", description="1m to 30d")


def answer(value: object) -> Answer:
    """Return the answer that is meant; ValueError says what would do."""
    match value:
        case "refuse" | "flag":
            return Answer(value)
        case {"shape": str(name), **rest} if not rest:
            return Answer("shape", name)
        case {"level": level, "for": lasts, **rest} if not rest:
            return Answer("level", level=_level(level), lasts=_lasts(lasts))
        case {"level": level, **rest} if not rest:
            raise ValueError(f"for how long? ({{level: {_level(level)}, for: 72h}} would do)")
        case "shape":
            raise ValueError("which one? ({shape: name} would do)")
        case "level":
            raise ValueError("which one, and for how long? ({level: guarded, for: 72h} would do)")
    raise ValueError(
        "cannot be read ('refuse', 'flag', {shape: name} or {level: guarded, for: 72h} would do)"
    )


def _level(value: object) -> Level:
    """Return the level that a limit may raise to; ValueError for one that it may not."""
    would_do = f"{', '.join(RAISED[:-1])} or {RAISED[-1]}"
    if value == Level.CONTAINED:
        raise ValueError(f"a limit contains nobody: that is for people ({would_do})")
    found = next((level for level in RAISED if level == value), None)
    if found is None:
        raise ValueError(f"{shown(str(value))} is no level that a limit raises to ({would_do})")
    return found


def _lasts(value: object) -> int:
    """Return the microseconds that a level holds; ValueError says what would do."""
    try:
        return lasting(value)
    except ValueError as error:
        raise ValueError(f"for: {error}") from None


Features = Annotated[
    list[Annotated[str, AfterValidator(feature)]],
    BeforeValidator(listed, json_schema_input_type=str | list[str]),
    Field(min_length=1),
]
Combinations = Annotated[
    list[Annotated[str, AfterValidator(combination)]],
    BeforeValidator(listed, json_schema_input_type=str | list[str]),
    Field(min_length=1, max_length=64),
]
Reasonings = Annotated[
    list[Reasoning],
    BeforeValidator(listed, json_schema_input_type=Reasoning | list[Reasoning]),
    Field(min_length=1),
]
Requirement = Annotated[
    WhenText, BeforeValidator(verified, json_schema_input_type=Literal["verified"] | WhenText)
]
OtherwiseText = Annotated[
    Answer,
    PlainValidator(
        answer, json_schema_input_type=Literal["refuse", "flag"] | _ShapeChoice | _LevelChoice
    ),
]


class ForText(Section):
    """Of which requests a capability speaks: all that is named must hold; lists are 'any of'."""

    model: Globs | None = Field(None, description="models as the client names them")
    reasoning: Reasonings | None = Field(
        None, description="any: asked for; full: and to be shown; or efforts"
    )
    feature: Features | None = None
    stream: bool | None = None

    @model_validator(mode="after")
    def says_something(self) -> Self:
        """Refuse `for: {}`, which reads as if it chose something."""
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("says nothing (model: gpt-*; without `for` all requests are meant)")
        return self


class CapabilityText(Section):
    """Which features and models whom: a request that is not allowed never reaches the model."""

    forbid: Combinations | None = Field(
        None, description="features that go together with '+', or any: whatever `for` names"
    )
    require: Requirement | None = Field(None, description="verified, or a match as in `when`")
    because: str = Field("", max_length=500, description="told to the client in the refusal")
    for_: ForText | None = Field(None, alias="for")
    mode: Literal["enforce", "shadow"] = "enforce"

    @model_validator(mode="after")
    def one_thing(self) -> Self:
        """Refuse a rule that is neither, or both, and one that would forbid everything."""
        if (self.forbid is None) == (self.require is None):
            raise ValueError(
                "is either forbid or require (forbid: [logit_bias+logprobs], require: verified)"
            )
        if ANY in (self.forbid or ()):
            if self.for_ is None:
                raise ValueError(
                    "would forbid every request (for: says which: {model: frontier-*})"
                )
            if self.forbid != [ANY]:
                raise ValueError("any forbids the others too (forbid: any)")
        return self


class TemperatureText(Section):
    """A range of temperatures, its ends included."""

    min: Temperature | None = None
    max: Temperature | None = None

    @model_validator(mode="after")
    def holds_something(self) -> Self:
        """Refuse a range without end, and one with nothing in it."""
        if self.min is None and self.max is None:
            raise ValueError("says nothing ({min: 0.5}, {max: 1.0} or both)")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"no temperature is at least {self.min} and at most {self.max}")
        return self


class ClampText(Section):
    """The most that a request may ask for."""

    n: Annotated[int, Field(ge=1, le=128)] | None = None
    best_of: Annotated[int, Field(ge=1, le=128)] | None = None
    output_tokens: Cap | None = Field(None, description="of one answer, as the client's own cap")
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    temperature: TemperatureText | None = None
    effort: Effort | None = Field(None, description="the highest reasoning effort")

    @model_validator(mode="after")
    def says_something(self) -> Self:
        """Refuse `clamp: {}`."""
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("says nothing ({n: 1, output_tokens: 2048})")
        return self


class TruncateText(Section):
    """Where the answer itself ends."""

    output_tokens: Cap = Field(description="all choices of the answer together")


class ShapeText(Section):
    """A named set of changes of requests and answers."""

    extends: Name | None = Field(None, description="another shape of this file, made stricter")
    strip: Annotated[
        list[Strippable],
        BeforeValidator(listed, json_schema_input_type=Strippable | list[Strippable]),
        Field(min_length=1),
    ] | None = Field(None, description="taken out of request and answer")  # fmt: skip
    hide: Annotated[
        list[Literal["reasoning"]],
        BeforeValidator(
            listed, json_schema_input_type=Literal["reasoning"] | list[Literal["reasoning"]]
        ),
        Field(min_length=1),
    ] | None = None  # fmt: skip
    clamp: ClampText | None = Field(None, description="lowers what the request asks for")
    truncate: TruncateText | None = Field(None, description="ends the answer, also in a stream")
    delay: Amount | None = Field(None, description="before the first byte: 1ms to 60s")

    @model_validator(mode="after")
    def changes_something(self) -> Self:
        """Refuse a shape that changes nothing."""
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("changes nothing (strip: [logprobs], clamp: {n: 1})")
        return self
