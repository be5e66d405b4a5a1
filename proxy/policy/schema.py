"""What the files say: policies and models as they are written, before they mean anything.

JSON Schemas for editors are made from these models (`weir schema`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from proxy.policy.answers import Answer, CapabilityText, OtherwiseText, ShapeText
from proxy.policy.detecting import (  # pydantic reads them while it runs
    DetectorName,  # noqa: TC001
    DetectorText,  # noqa: TC001
    ReasoningText,  # noqa: TC001
)
from proxy.policy.ladders import RungText  # noqa: TC001
from proxy.policy.words import LONGEST_TEXT, Amount, Name, Scopes, Section, WhenText

if TYPE_CHECKING:
    from pydantic import BaseModel


class LimitText(Section):
    """One counted rule, a sentence: allow so much, per how long, by what."""

    limit: Name = Field(description="the limit's name, unique in its policy")
    allow: Amount = Field(description="'60 requests', '200_000 output_tokens', '25 usd',"
                          " '8 concurrent', '400 distinct topics'")  # fmt: skip
    per: Amount | None = Field(None, description="30s, 1m, 6h, 30d, or hour, day, week, month")
    half_life: Amount | None = Field(None, description="instead of per: what was taken halves")
    burst: int | None = Field(None, gt=0, description="of a rate: how much at once")
    by: Scopes = Field(["key"], description="what it counts by")
    as_: Literal["rate", "rolling", "budget"] | None = Field(
        None, alias="as", description="how it counts, where `per` alone would say otherwise"
    )
    hold: Amount | None = Field(None, description="of concurrent: when a lost slot comes back")
    mode: Literal["enforce", "shadow"] = "enforce"
    on_store_error: Literal["deny", "allow", "local"] = Field(
        "deny", description="what is done while the counters do not answer"
    )
    otherwise: OtherwiseText = Field(
        Answer("refuse"),
        description="without room: refuse, flag, {shape: name} or {level: guarded, for: 72h}",
    )


class PolicyText(Section):
    """One policy file."""

    policy: Name = Field(description="the policy's name, unique in its directory")
    about: str = Field("", max_length=2000)
    when: WhenText | None = None
    capabilities: list[CapabilityText] = Field(
        default_factory=list, min_length=1, description="which features and models whom"
    )
    limits: list[LimitText] = Field(default_factory=list, min_length=1)
    shapes: dict[Name, ShapeText] = Field(
        default_factory=dict, min_length=1, description="named changes of requests and answers"
    )
    ladder: list[RungText] = Field(
        default_factory=list,
        min_length=1,
        description="what a level of standing does, and from what evidence it is reached",
    )
    detectors: dict[DetectorName, DetectorText] = Field(
        default_factory=dict, min_length=1, description="how detectors are tuned"
    )
    reasoning: ReasoningText | None = Field(None, description="what happens to sealed reasoning")

    @model_validator(mode="after")
    def rules_something(self) -> Self:
        """Refuse a policy that does nothing to anybody."""
        rules = (self.limits, self.capabilities, self.ladder, self.detectors, self.reasoning)
        if not any(rules):
            raise ValueError(
                "rules nothing (limits, capabilities, ladder, detectors or reasoning:"
                " limits: [{limit: requests, allow: 60 requests, per: 1m}])"
            )
        return self


Dollars = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Tokens = Annotated[int, Field(gt=0, le=10_000_000)]


class PricesText(Section):
    """Dollars per million tokens."""

    input: Dollars = 0.0
    cached_input: Dollars | None = Field(None, description="as input where not given")
    output: Dollars = 0.0


class ModelText(Section):
    """One model, or all that a glob names."""

    model: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
    prices: PricesText = PricesText(cached_input=None)
    counter: Literal["words", "chars"] = "chars"
    max_output_tokens: Tokens = 4096
    reserve_output_tokens: Tokens | None = None

    @model_validator(mode="after")
    def reserves_what_it_can(self) -> Self:
        """Refuse a reservation that no answer could fill."""
        reserve = self.reserve_output_tokens
        if reserve is not None and reserve > self.max_output_tokens:
            raise ValueError(
                f"reserves {reserve} output tokens, but produces {self.max_output_tokens} at most"
            )
        return self


class ModelsText(Section):
    """The models file."""

    models: list[ModelText] = Field(min_length=1)


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy file."""
    return json_schema(PolicyText, "A Weir policy")


def models_schema() -> dict[str, Any]:
    """Return the JSON Schema of the models file."""
    return json_schema(ModelsText, "Weir's models file")


def json_schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    """Return the JSON Schema of files that a model describes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(by_alias=True),
        "title": title,
    }
