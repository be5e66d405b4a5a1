"""Which secret a key of the traffic has at the gateway. Secrets are in no repr and no message."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import SettingsError
from proxy.document import document, dotted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OTHERS = "*"
LONGEST = 8_192
LARGEST = 256 * 1024 * 1024  # a million keys


@dataclass(frozen=True, slots=True)
class Keys:
    """Secrets by the traffic's keys; `*` for all that have none of their own."""

    secrets: Mapping[str, str] = field(repr=False)

    def secret(self, key: str) -> str | None:
        """Return the secret that a key's requests are sent with; None: they are left out."""
        return self.secrets.get(key) or self.secrets.get(OTHERS)


def load_keys(path: Path) -> Keys:
    """Read a file {traffic key: secret}, JSON or YAML. SettingsError: every mistake, one a line."""
    try:
        found, mistakes = _read(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    secrets: dict[str, str] = {}
    for key, secret in found.items():
        if not isinstance(secret, str) or not _sendable(secret):
            mistakes.append(
                f"{path}: {key!r}: its secret must be text of printable ASCII without spaces"
            )
        else:
            secrets[key] = secret
    if not found and not mistakes:
        mistakes.append(f"{path}: holds no keys ({{traffic key: secret}}; `weir traffic keys`)")
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return Keys(secrets)


def _read(path: Path) -> tuple[dict[str, object], list[str]]:
    """Return what a file holds and what is wrong with it; what it says is not repeated."""
    with path.open("rb") as stream:
        raw = stream.read(LARGEST + 1)
    if len(raw) > LARGEST:
        return {}, [f"{path}: is larger than {LARGEST // 2**20} MB"]
    if raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        try:
            told = orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # YAML has braces too
        else:
            return (told, []) if isinstance(told, dict) else ({}, [])
    found = document(path)
    # A sentence about a scalar may quote it: the place is enough to find it.
    mistakes = [
        f"{path}:{each.place[0]}:{each.place[1]}: {dotted(each.steps) or 'the file'}: "
        "cannot be read (key: secret, a line each; the secret in quotes)"
        for each in found.mistakes
    ]
    return found.values, mistakes


def _sendable(secret: str) -> bool:
    return (
        0 < len(secret) <= LONGEST
        and secret.isascii()
        and secret.isprintable()
        and " " not in secret
    )
