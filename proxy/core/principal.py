"""Who a credential stands for."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Principal:
    """The developer behind a request, as limits and `when` clauses see them.

    key:        public id of the credential (`key_…` or a token's subject); never the secret
    account:    who pays and is measured
    org:        the organisation of the account; the account itself where none was given
    plan:       name of the commercial plan, '' where none
    verified:   the operator has verified who this is
    purpose:    declared purpose ('eval', 'batch', 'synthetic-licensed', …), '' where none
    attributes: free operator-given attributes, string to string
    expires:    microseconds since the epoch, None for never
    """

    key: str
    account: str
    org: str
    plan: str = ""
    verified: bool = False
    purpose: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)
    expires: int | None = None
