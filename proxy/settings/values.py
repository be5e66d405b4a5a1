"""Reading single values: durations, sizes, addresses, URLs, networks.

Each function returns the value or raises ValueError with the rest of a sentence that begins with
the setting's name. What may be secret is not repeated in it.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from pydantic import SecretStr

from proxy.core.quantities import parse_duration

STANDIN = "standin"
STORE_SCHEMES = (
    "redis", "rediss", "unix", "redis+sentinel", "redis+cluster",
)  # fmt: skip
EXTRA_HEADERS = (
    "anthropic-beta", "anthropic-version", "openai-beta", "openai-organization",
    "openai-project", "user-agent",
)  # fmt: skip
ALGORITHMS = (
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
CLAIM_PARTS = ("account", "org", "plan", "verified", "purpose", "key")
UNITS = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip
SECOND = 1_000_000
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z_.-]+)(:[0-9]{1,5})?")


def duration(value: object) -> object:
    """Read '5s' as microseconds; a bare number is refused, because it does not say its unit."""
    if not isinstance(value, str):
        raise ValueError(f"cannot read {value!r} as a duration (400ms, 30s, 1m, 6h, 7d)")  # noqa: TRY004
    return parse_duration(value)


def size(value: object) -> object:
    """Read '32MB' or a whole number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"([0-9][0-9_]*) ?([KMG]i?B|B)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"cannot read {value!r} as a size (65536, 32KB, 32MB, 1GiB)")
    return int(match[1]) * UNITS[match[2]]


def listed(value: object) -> object:
    """Let a single text stand for a list of one, and a list for a tuple."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def folder(value: object) -> object:
    """Read a path; `~` is the home of the user who runs Weir."""
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("must be a path")
    return Path(value).expanduser()


def network(value: object) -> object:
    """Read a CIDR network; one address is a network of one."""
    if not isinstance(value, str):
        raise ValueError("must be a network (10.0.0.0/8, 2001:db8::/32)")  # noqa: TRY004
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        meant = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(
            f"cannot read {value!r} as a network (10.0.0.0/8, 2001:db8::/32)"
        ) from None
    raise ValueError(f"{value!r} has bits set beyond its prefix ({meant} would do)")


def host_and_port(text: str) -> tuple[str, int]:
    """Split '127.0.0.1:8080' or '[::1]:8080'; port 0 lets the system choose. ValueError if not.

    >>> host_and_port("[::1]:8080")
    ('::1', 8080)
    """
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z_.-]+):([0-9]{1,5})", text)
    if match is None or int(match[2]) > 65535:  # noqa: PLR2004 - the last port there is
        raise ValueError(f"cannot read {text!r} as an address (127.0.0.1:8080, [::1]:8080)")
    return match[1].strip("[]"), int(match[2])


def listening(text: str) -> str:
    """Let through what `host_and_port` reads."""
    host_and_port(text)
    return text


def split_url(text: str) -> SplitResult:
    """Take a URL apart; the error never repeats it, since it may hold a password."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("cannot be read as a URL") from None
    plain(text)
    return parts


def plain(text: str) -> None:
    """Refuse blanks and control characters."""
    if any(not char.isprintable() or char.isspace() for char in text):
        raise ValueError("has a blank or a control character in it")


def upstream_url(text: str) -> str:
    """Let through 'standin' and http(s) base URLs without userinfo and fragment."""
    if text == STANDIN:
        return text
    parts = split_url(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a base URL or 'standin' (https://api.example.com/v1)")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a credential (credential: {env: NAME} would do)")
    if parts.fragment:
        raise ValueError("must not have a fragment (leave out the part after '#')")
    return text.rstrip("/")


def store_url(value: SecretStr) -> SecretStr:
    """Let through 'embedded', 'memory' and URLs of the known schemes."""
    text = value.get_secret_value()
    if text in {"embedded", "memory"}:
        return value
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("cannot be read as a URL") from None
    plain(text)
    if parts.scheme not in STORE_SCHEMES:
        raise ValueError(
            "names no kind of store (embedded, memory, redis://…, rediss://…, unix://…,"
            " redis+sentinel://…, redis+cluster://…)"
        )
    if parts.scheme == "unix":
        if not parts.path.startswith("/"):
            raise ValueError("needs the absolute path of a socket (unix:///run/redis.sock)")
    elif parts.scheme == "redis+sentinel":
        hosts = parts.netloc.rpartition("@")[2].split(",")
        found = [HOST.fullmatch(host) for host in hosts]
        if not all(host and host[2] for host in found) or not parts.path.strip("/"):
            raise ValueError("is not redis+sentinel://HOST:PORT,HOST:PORT/SERVICE")
    elif not HOST.fullmatch(parts.netloc.rpartition("@")[2]):
        raise ValueError(f"needs a host ({parts.scheme}://127.0.0.1:6379)")
    return value


def masked(text: str) -> str:
    """Return a store's URL as it may be shown: without its password.

    >>> masked("redis://weir:s3cret@db:6379/0")
    'redis://weir:***@db:6379/0'
    """
    scheme, mark, rest = text.partition("://")
    where, _, query = rest.partition("?")
    userinfo, at, place = where.rpartition("@")
    if at:
        place = f"{userinfo.partition(':')[0]}:***@{place}"
    told = [
        (key, "***" if "pass" in key.lower() else value)
        for key, value in parse_qsl(query, keep_blank_values=True)
    ]
    return f"{scheme}{mark}{place}" + (f"?{urlencode(told, safe='*/')}" if told else "")


def secret_text(text: str) -> SecretStr:
    """Wrap a credential; ValueError, which does not repeat it, when it cannot go in a header."""
    if not text:
        raise ValueError("is empty")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("holds characters that cannot stand in a header")
    return SecretStr(text)


def extra_headers(value: dict[str, str]) -> dict[str, str]:
    """Let through the few static headers that are about the operator's account."""
    for name, text in value.items():
        if name.lower() not in EXTRA_HEADERS:
            raise ValueError(f"{name!r} cannot be set ({', '.join(EXTRA_HEADERS)})")
        if not text.isascii() or not text.isprintable():
            raise ValueError(f"the value of {name!r} cannot stand in a header")
    return {name.lower(): text for name, text in value.items()}


def algorithm(text: str) -> str:
    """Let through what signs; 'none' does not."""
    if text not in ALGORITHMS:
        raise ValueError(f"{text!r} is no signature that can be trusted ({', '.join(ALGORITHMS)})")
    return text


def claim_parts(value: dict[str, str]) -> dict[str, str]:
    """Let through the parts that a principal has."""
    for name in value:
        if name not in CLAIM_PARTS and not name.startswith("attributes."):
            raise ValueError(f"{name!r} is no part ({', '.join(CLAIM_PARTS)}, attributes.NAME)")
    return value


def key_address(text: str) -> str:
    """Let through an https address, and http on this machine."""
    parts = split_url(text)
    local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise ValueError("must be an https address: who can change the keys can sign as anybody")
    return text
