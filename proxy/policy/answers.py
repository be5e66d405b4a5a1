"""What the files say of answers in proportion: capabilities, shapes, `otherwise`, the ladder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from proxy.core.facts import FEATURES
from proxy.policy.sentences import LATER, shown
from proxy.policy.words import Amount, Globs, Name, Section, WhenText, listed

ANY = "any"
CODE = re.compile(r"[a-z0-9_.]{1,64}")

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


def code(text: str) -> str:
    """Let through a code for clients."""
    if CODE.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is no code (a-z, 0-9, '_' and '.', 64 at most)")
    return text


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
    """What a limit does without room: 'refuse', 'flag' or 'shape' and that shape's name."""

    does: Literal["refuse", "flag", "shape"]
    shape: str = ""


class _ShapeChoice(Section):
    """The answer that is a shape, for editors."""

    shape: Name


def answer(value: object) -> Answer:
    """Return the answer that is meant; ValueError says what would do."""
    would_do = "'refuse', 'flag' or {shape: name} would do"
    match value:
        case "refuse" | "flag":
            return Answer(value)
        case {"shape": str(name), **rest} if not rest:
            return Answer("shape", name)
        case "shape":
            raise ValueError("which one? ({shape: name} would do)")
    words = value if isinstance(value, dict) else [value]
    later = next((word for word in words if isinstance(word, str) and word in LATER), None)
    if later is not None:
        raise ValueError(f"{later!r} is not known in this version ({would_do})")
    raise ValueError(f"cannot be read ({would_do})")


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
    PlainValidator(answer, json_schema_input_type=Literal["refuse", "flag"] | _ShapeChoice),
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


class RungText(Section):
    """What a level of standing does to an account."""

    level: Literal["watch", "guarded", "restricted", "contained"]
    shape: Name | None = None
    refuse: Annotated[str, AfterValidator(code)] | None = Field(
        None, description="the code that the client is told: account_under_review"
    )

    @model_validator(mode="after")
    def one_thing(self) -> Self:
        """Refuse a rung that is neither, or both, and one out of proportion."""
        if (self.shape is None) == (self.refuse is None):
            raise ValueError("is either shape or refuse (shape: guarded)")
        if self.refuse is not None and self.level in {"watch", "guarded"}:
            raise ValueError(f"{self.level} does not refuse, only restricted and contained do")
        if self.level == "contained" and self.refuse is None:
            raise ValueError("contained refuses (refuse: account_under_review)")
        return self
