"""What the files say: policies and models as they are written, before they mean anything.

JSON Schemas for editors are made from these models (`weir schema`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Name = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="lower case letters, digits, - . _"),
]


def listed(value: object) -> object:
    """Take one thing for a list of one."""
    return value if isinstance(value, list) else [value]


def written(value: object) -> object:
    """Take a bare number for its text, so that it is judged as an amount and not as a type."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(written), Field(min_length=1, max_length=256)]
Texts = Annotated[list[Text], BeforeValidator(listed), Field(min_length=1)]
ScopeName = Literal["key", "account", "org", "ip", "model", "global"]


class Section(BaseModel):
    """What all parts share: no unknown keys, no changes."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RangeText(Section):
    """A stretch of numbers, its ends left out."""

    above: int | None = None
    below: int | None = None


class WhenText(Section):
    """Which requests a policy speaks of: all that is named must hold; lists are 'any of'."""

    plan: Texts | None = Field(None, description="globs over the plan's name")
    account: Texts | None = None
    org: Texts | None = None
    key: Texts | None = None
    model: Texts | None = None
    purpose: Texts | None = None
    verified: bool | None = None
    stream: bool | None = None
    ip: Texts | None = Field(None, description="networks, such as 203.0.113.0/24")
    attributes: dict[str, Texts] | None = None
    prompt_tokens: RangeText | None = None
    output_tokens: RangeText | None = None


class LimitText(Section):
    """One counted rule, a sentence: allow so much, per how long, by what."""

    limit: Name = Field(description="the limit's name, unique in its policy")
    allow: Text = Field(description="'60 requests', '200_000 output_tokens', '25 usd',"
                        " '8 concurrent', '400 distinct prompts'")  # fmt: skip
    per: Text | None = Field(None, description="30s, 1m, 6h, 30d, or hour, day, week, month")
    half_life: Text | None = Field(None, description="instead of per: what was taken halves")
    burst: int | None = Field(None, gt=0, description="of a rate: how much at once")
    by: Annotated[list[ScopeName], BeforeValidator(listed), Field(min_length=1)] = ["key"]
    as_: Literal["rate", "rolling", "budget"] | None = Field(None, alias="as")
    hold: Text | None = Field(None, description="of concurrent: when a lost slot comes back")
    mode: Literal["enforce", "shadow"] = "enforce"
    on_store_error: Literal["deny", "allow", "local"] = "deny"
    otherwise: Literal["refuse"] = "refuse"


class PolicyText(Section):
    """One policy file."""

    policy: Name = Field(description="the policy's name, unique in its directory")
    about: str = ""
    when: WhenText | None = None
    limits: list[LimitText] = Field(min_length=1)


Dollars = Annotated[float, Field(ge=0, le=1e6)]


class PricesText(Section):
    """Dollars per million tokens."""

    input: Dollars = 0.0
    cached_input: Dollars | None = None
    output: Dollars = 0.0


class ModelText(Section):
    """One model, or all that a glob names."""

    model: Text
    prices: PricesText = PricesText()
    counter: Literal["words", "chars"] = "chars"
    max_output_tokens: int = Field(4096, gt=0, le=10_000_000)
    reserve_output_tokens: int | None = Field(None, gt=0, le=10_000_000)


class ModelsText(Section):
    """The models file."""

    models: list[ModelText]


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy file."""
    return _schema(PolicyText, "A Weir policy")


def models_schema() -> dict[str, Any]:
    """Return the JSON Schema of the models file."""
    return _schema(ModelsText, "Weir's models file")


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(by_alias=True),
        "title": title,
    }
