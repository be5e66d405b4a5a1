"""What a file of policy cases says: given, after, expect, because."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from proxy.core.quantities import parse_duration
from proxy.policy.answers import Features  # noqa: TC001 - pydantic reads it while it runs
from proxy.policy.schema import json_schema
from proxy.policy.words import Section

MOST_REQUESTS = 20_000
LONGEST = 400 * 86_400_000_000

Differing = Literal[
    "prompts", "templates", "topics", "models", "addresses", "keys", "accounts"
]  # fmt: skip


def duration(value: object) -> int:
    """Return the microseconds of '30s'; ValueError says what would do."""
    if not isinstance(value, str):
        raise ValueError(f"cannot read {str(value)!r} (400ms, 30s, 1h, 3d)")  # noqa: TRY004
    found = parse_duration(value)
    if found > LONGEST:
        raise ValueError(f"{value} is too long (400 days at most)")
    return found


def moment(value: object) -> int:
    """Return the microseconds since the epoch of '2026-01-31T23:59:00Z'."""
    try:
        found = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or found.year < 1971:  # noqa: PLR2004
        raise ValueError(f"cannot read {str(value)!r} as a moment (2026-01-31T23:59:00Z)")
    return int(found.astimezone(UTC).timestamp()) * 1_000_000


def address(text: str) -> str:
    """Let through one address."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"cannot read {text!r} as an address (203.0.113.9)") from None


_LENGTH = {"type": "string", "examples": ["30s", "24h"]}
Duration = Annotated[int, PlainValidator(duration), WithJsonSchema(_LENGTH)]
Moment = Annotated[
    int, PlainValidator(moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
Count = Annotated[int, Field(ge=0, le=10**9)]
Tokens = Annotated[int, Field(ge=0, le=10_000_000)]


class GivenText(Section):
    """Who asks for what. Whatever is left out has a plain default."""

    key: str | None = None
    account: str | None = None
    org: str | None = Field(None, description="the account where not given")
    plan: str | None = None
    verified: bool | None = None
    purpose: str | None = None
    attributes: dict[str, str] | None = None
    ip: Annotated[str, AfterValidator(address)] | None = None
    model: str | None = None
    stream: bool | None = None
    prompt: str | None = Field(None, description="equal texts are equal prompts")
    template: str | None = Field(None, description="equal words are equal templates")
    topic: str | None = Field(None, description="equal words are equal topics")
    prompt_tokens: Tokens | None = None
    output_tokens: Tokens | None = Field(None, description="the client's cap")
    choices: Annotated[int, Field(ge=1, le=128)] | None = None
    features: Features | None = Field(None, description="knobs in use: logprobs, logit_bias")
    reasoning: str | None = Field(None, description="the reasoning effort asked for")
    level: Literal["clear", "watch", "guarded", "restricted", "contained"] | None = Field(
        None, description="the standing of the account"
    )


class UsedText(Section):
    """What the exchange took in the end, where it is not what was reserved."""

    prompt_tokens: Tokens | None = None
    output_tokens: Tokens | None = Field(None, description="of all choices together")


class StepText(Section):
    """Something that happens before the request in question: requests, or a wait."""

    requests: int | None = Field(None, ge=1, le=MOST_REQUESTS)
    within: Duration | None = Field(None, description="spread evenly; all at once otherwise")
    given: GivenText | None = Field(None, description="what is other than in the case's given")
    differing: Annotated[list[Differing], Field(min_length=1)] | None = Field(
        None, description="each request has one of its own"
    )
    used: UsedText | None = None
    hold: bool = Field(default=False, description="their answers have not ended")
    effect: Literal["allow", "shape", "delay", "refuse", "any"] = Field(
        "allow", description="what must have become of each of them"
    )
    wait: Duration | None = None

    @model_validator(mode="after")
    def one_thing(self) -> Self:
        """Refuse a step that is neither, or both."""
        if (self.requests is None) == (self.wait is None):
            raise ValueError(
                "is either requests or a wait ({requests: 60, within: 1s}, {wait: 30s})"
            )
        if self.wait is not None and self.model_fields_set != {"wait"}:
            raise ValueError("a wait has nothing beside it")
        return self


class BoundsText(Section):
    """Bounds of a number; the ends are left out."""

    above: Count | None = None
    below: Count | None = None


class WaitText(Section):
    """Bounds of the wait that a refusal tells; the ends are left out."""

    above: Duration | None = None
    below: Duration | None = None
    never: bool = Field(default=False, description="waiting does not help: 'never' says the same")


def waiting(value: object) -> object:
    """Take the word `never` for {never: true}."""
    return {"never": True} if value == "never" else value


Wait = Annotated[
    WaitText,
    BeforeValidator(waiting),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "never"},
                {
                    "type": "object",
                    "properties": {
                        "above": _LENGTH,
                        "below": _LENGTH,
                        "never": {"type": "boolean"},
                    },
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class ExpectText(Section):
    """What must become of the request in question."""

    effect: Literal["allow", "shape", "delay", "refuse"]
    limit: str | None = Field(None, description="'requests' or 'free/requests': who says so")
    code: str | None = Field(
        None, description="of that reason: limit.exceeded, capability.forbidden, standing.guarded"
    )
    retry_after: Wait | None = None
    shape: str | None = Field(None, description="'guarded' or 'free/guarded': what is given")
    flag: str | None = Field(None, description="a limit without room that only flags")
    raises: str | None = Field(None, description="a limit that raises the account's level")
    level: Literal["clear", "watch", "guarded", "restricted", "contained"] | None = Field(
        None, description="the standing by which the request is decided"
    )
    shadow: str | None = Field(None, description="a shadow limit that would have refused")
    remaining: dict[str, BoundsText] | None = Field(None, description="units left, by limit")

    @model_validator(mode="after")
    def of_that_effect(self) -> Self:
        """Refuse to expect a refusal's numbers, or a shape, from what has none."""
        shaped = ("shape", "delay")
        for name, effects in {
            "limit": (*shaped, "refuse"),
            "code": (*shaped, "refuse"),
            "retry_after": ("refuse",),
            "shape": shaped,
            "flag": ("allow", *shaped),
        }.items():
            if getattr(self, name) is not None and self.effect not in effects:
                raise ValueError(f"{name} goes with effect: {' or '.join(effects)}")
        return self


class CaseText(Section):
    """One story with its end."""

    case: Annotated[str, Field(min_length=1, max_length=300)]
    at: Moment | None = Field(None, description="when it begins, for calendar budgets")
    given: GivenText = GivenText.model_validate({})
    after: list[StepText] = Field(default_factory=list, max_length=100)
    expect: ExpectText
    because: str = ""


class CasesText(Section):
    """A file of cases; `given` holds for each that does not say otherwise."""

    given: GivenText = GivenText.model_validate({})
    cases: list[CaseText] = Field(min_length=1)


def case_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file of cases."""
    return json_schema(CasesText, "Cases of Weir policies")
