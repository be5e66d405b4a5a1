"""The pepper: the one secret of this installation, without which the hashes of keys say nothing."""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from proxy.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VARIABLE = "WEIR_PEPPER"
SHORTEST = 32
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def fingerprint(pepper: bytes) -> str:
    """Return 16 hex digits that tell two peppers apart and give neither away."""
    return hmac.digest(pepper, b"weir pepper fingerprint", "sha256").hex()[:16]


def load_pepper(home: Path, environ: Mapping[str, str]) -> bytes | None:
    """Return the pepper from WEIR_PEPPER or `home/pepper`, None where there is none yet.

    SettingsError when it is too short, or when others than its owner can read the file.
    """
    if (text := environ.get(VARIABLE)) is not None:
        return _usable(text, VARIABLE)
    path = home / "pepper"
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4096)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({type(error).__name__})") from None
    if mode & OTHERS:
        raise SettingsError(
            f"{path}: others than its owner can read it (mode {stat.S_IMODE(mode):04o};"
            f" chmod 600 {path} would do, and a new pepper with new keys if somebody has read it)"
        )
    return _usable(text, str(path))


def ensure_pepper(home: Path, environ: Mapping[str, str], keys: Path) -> bytes:
    """Return the pepper, made now where there is none; safe when several processes start at once.

    SettingsError when there are keys already: under a new pepper none of them would work.
    """
    if (pepper := load_pepper(home, environ)) is not None:
        return pepper
    path = home / "pepper"
    if keys.exists():
        raise SettingsError(
            f"{path}: is missing, but {keys} holds keys that were hashed under it"
            f" (restore it, or give it in {VARIABLE})"
        )
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = home / f".pepper.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, leaves the pepper of whoever was faster in its place.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    made = load_pepper(home, environ)
    assert made is not None
    return made


def _usable(text: str, source: str) -> bytes:
    pepper = text.strip()
    if len(pepper) < SHORTEST or not re.fullmatch(r"[!-~]+", pepper):
        raise SettingsError(
            f"{source}: a pepper is at least {SHORTEST} visible ASCII characters on one line"
            " (openssl rand -hex 32)"
        )
    return pepper.encode()
