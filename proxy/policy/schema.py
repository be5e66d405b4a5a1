"""What the files say: policies and models as they are written, before they mean anything.

JSON Schemas for editors are made from these models (`weir schema`).
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

LONGEST_TEXT = 256

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


def network(text: str) -> str:
    """Let through a network in CIDR notation, or one address; ValueError says what would do."""
    try:
        ip_network(text)
    except ValueError:
        pass
    else:
        return text
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"cannot read {text!r} as a network (203.0.113.0/24)") from None
    raise ValueError(f"{text!r} has bits set beyond its prefix ({meant} would do)")


def _or_list(items: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [items, {"type": "array", "items": items, "minItems": 1}]})


_WORDS = {"type": "string", "maxLength": LONGEST_TEXT}
_SCOPES = ("key", "account", "org", "ip", "model", "global")

Amount = Annotated[
    Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)], BeforeValidator(written)
]
Glob = Annotated[str, Field(max_length=LONGEST_TEXT)]
Globs = Annotated[list[Glob], BeforeValidator(listed), Field(min_length=1), _or_list(_WORDS)]
Networks = Annotated[
    list[Annotated[Glob, AfterValidator(network)]],
    BeforeValidator(listed), Field(min_length=1), _or_list(_WORDS),
]  # fmt: skip
ScopeName = Literal["key", "account", "org", "ip", "model", "global"]
Scopes = Annotated[
    list[ScopeName],
    BeforeValidator(listed), Field(min_length=1), _or_list({"enum": list(_SCOPES)}),
]  # fmt: skip


class Section(BaseModel):
    """What all parts share: no unknown keys, no changes."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RangeText(Section):
    """A stretch of numbers, its ends left out."""

    above: int | None = Field(None, ge=0, le=10**9)
    below: int | None = Field(None, gt=0, le=10**9)

    @model_validator(mode="after")
    def holds_something(self) -> Self:
        """Refuse a stretch without end, and one with nothing in it."""
        if self.above is None and self.below is None:
            raise ValueError("says nothing ({above: 1000}, {below: 8000} or both)")
        if self.above is not None and self.below is not None and self.below - self.above <= 1:
            raise ValueError(f"no number is above {self.above} and below {self.below}")
        return self


class WhenText(Section):
    """Which requests a policy speaks of: all that is named must hold; lists are 'any of'."""

    plan: Globs | None = Field(None, description="names or globs of plans: free, team-*")
    account: Globs | None = None
    org: Globs | None = None
    key: Globs | None = Field(None, description="public ids of keys: key_…")
    model: Globs | None = Field(None, description="models as the client names them")
    purpose: Globs | None = None
    verified: bool | None = None
    stream: bool | None = None
    ip: Networks | None = Field(None, description="networks, such as 203.0.113.0/24")
    attributes: dict[str, Globs] | None = Field(None, description="attributes of the key")
    prompt_tokens: RangeText | None = Field(None, description="the estimate before the request")
    output_tokens: RangeText | None = Field(None, description="the most that one choice may be")

    @model_validator(mode="after")
    def says_something(self) -> Self:
        """Refuse `when: {}`, which reads as if it chose something."""
        if all(getattr(self, name) in (None, {}) for name in type(self).model_fields):
            raise ValueError("says nothing (plan: free; without `when` all requests are meant)")
        return self


class LimitText(Section):
    """One counted rule, a sentence: allow so much, per how long, by what."""

    limit: Name = Field(description="the limit's name, unique in its policy")
    allow: Amount = Field(description="'60 requests', '200_000 output_tokens', '25 usd',"
                          " '8 concurrent', '400 distinct prompts'")  # fmt: skip
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
    otherwise: Literal["refuse"] = "refuse"


class PolicyText(Section):
    """One policy file."""

    policy: Name = Field(description="the policy's name, unique in its directory")
    about: str = Field("", max_length=2000)
    when: WhenText | None = None
    limits: list[LimitText] = Field(min_length=1)


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
