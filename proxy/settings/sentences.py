"""What is said about settings that cannot be used."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from proxy.settings.schema import (
    AuthSettings,
    CredentialSettings,
    JournalSettings,
    JwtSettings,
    LimitSettings,
    LogSettings,
    RecordSettings,
    Section,
    Settings,
    ShutdownSettings,
    StoreSettings,
    UpstreamSettings,
    WatchSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic_core import ErrorDetails

    from proxy.document import Steps

SECTIONS: Mapping[Steps, type[Section]] = {
    (): Settings,
    ("store",): StoreSettings,
    ("upstreams", "*"): UpstreamSettings,
    ("upstreams", "*", "credential"): CredentialSettings,
    ("limits",): LimitSettings,
    ("journal",): JournalSettings,
    ("record",): RecordSettings,
    ("watch",): WatchSettings,
    ("auth",): AuthSettings,
    ("auth", "jwt"): JwtSettings,
    ("shutdown",): ShutdownSettings,
    ("log",): LogSettings,
}

# pydantic's kinds of error, in our words; {} are taken from the error's context.
SENTENCES = {
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "string_pattern_mismatch": "may hold letters, digits, '.', '_' and '-', 63 at most",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}


def sentence(error: ErrorDetails, steps: Steps) -> str:
    """Return what is wrong, without repeating a value that may be secret."""
    if error["type"] == "extra_forbidden":
        return unknown(steps)
    if steps[-1:] == ("credential",):
        return "must say where the secret is, not what it is ({env: NAME} or {file: PATH})"
    told = SENTENCES.get(error["type"])
    if told is None:
        return "cannot be read"
    return told.format(**error.get("ctx", {}))


def unknown(steps: Steps) -> str:
    """Return what to say about a key that nobody reads."""
    around = tuple("*" if isinstance(step, int) else step for step in steps[:-1])
    names = list(SECTIONS[around].model_fields) if around in SECTIONS else []
    if not around:
        names.append("upstream")
    nearest = get_close_matches(str(steps[-1]), names, n=1)
    if nearest:
        return f"is unknown (did you mean {nearest[0]!r}?)"
    return f"is unknown ({', '.join(names)} would do)"


def contradictions(settings: Settings) -> Iterator[tuple[Steps, str]]:
    """Yield what is wrong between settings that are right one by one."""
    if settings.store.kind == "memory" and settings.workers > 1:
        yield (
            ("workers",),
            (
                "memory counters are each process's own, so the real limits would be multiplied by"
                f" {settings.workers} (store: embedded would do, or workers: 1)"
            ),
        )
    if settings.listen == settings.admin and not settings.listen.endswith(":0"):
        yield ("admin",), "is the address that listen has (127.0.0.1:9090)"
    if not settings.upstreams:
        yield ("upstreams",), "must not be empty"
    names = [upstream.name for upstream in settings.upstreams]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield ("upstreams", index, "name"), f"{name!r} is the name of an earlier one"
    yield from _files(settings)
    if settings.auth.jwt is not None:
        yield from jwt_contradictions(settings.auth.jwt)
    elif not settings.auth.keys:
        yield ("auth",), "lets nobody in (keys: true, or a jwt section)"


def _files(settings: Settings) -> Iterator[tuple[Steps, str]]:
    """Yield what is wrong between the settings for what is written."""
    for name, told in (("journal", settings.journal), ("record", settings.record)):
        if told.keep_bytes < told.rotate_bytes:
            yield (name, "keep_bytes"), "must be at least rotate_bytes"
    if settings.record.directory == settings.journal.directory:
        yield ("record", "directory"), "must be another than the journal's"


def jwt_contradictions(jwt: JwtSettings) -> Iterator[tuple[Steps, str]]:
    """Yield what is wrong between the settings for tokens."""
    shared = [name for name in jwt.algorithms if name.startswith("HS")]
    if (jwt.key_file is None) == (jwt.jwks_url is None):
        yield ("auth", "jwt"), "needs one of key_file and jwks_url"
    if shared and (jwt.jwks_url is not None or len(shared) < len(jwt.algorithms)):
        yield (
            ("auth", "jwt", "algorithms"),
            (
                f"{shared[0]} would take a public key for a shared secret (only HS… or none,"
                " and HS… with a key_file)"
            ),
        )
