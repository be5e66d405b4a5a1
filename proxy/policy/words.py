"""The words that policy files are made of: names, globs, networks, and `when`."""

from __future__ import annotations

import re
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

from proxy.core.quantities import UNITS, format_duration, parse_duration
from proxy.policy.sentences import shown

LONGEST_TEXT = 256
CODE = re.compile(r"[a-z0-9_.]{1,64}")
# How long a level holds that is not a person's.
SHORTEST, LONGEST = UNITS["m"], 30 * UNITS["d"]

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


def code(text: str) -> str:
    """Let through a code for clients."""
    if CODE.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is no code (a-z, 0-9, '_' and '.', 64 at most)")
    return text


def lasting(
    value: object, shortest: int = SHORTEST, longest: int = LONGEST, examples: str = "30m, 72h, 7d"
) -> int:
    """Return the microseconds of a length of time within bounds; ValueError says what would do."""
    text = str(written(value))
    try:
        found = parse_duration(text)
    except ValueError:
        raise ValueError(f"cannot read {shown(text)} ({examples})") from None
    if not shortest <= found <= longest:
        bounds = f"{format_duration(shortest)} to {format_duration(longest)}"
        raise ValueError(f"{text} is out of bounds ({bounds})")
    return found


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
