"""Whether model APIs can be reached: the connection is made, and nothing is sent."""

from __future__ import annotations

import socket
import ssl
import stat
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from proxy.doctor.finding import Finding, fail, ok, warn
from proxy.doctor.local import OTHERS, local
from proxy.settings.values import STANDIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.settings.schema import UpstreamSettings

LONGEST = 10.0  # seconds; nobody waits longer for a doctor
PORTS = {"http": 80, "https": 443}


def upstream(settings: UpstreamSettings) -> Iterator[Finding]:
    """Look at one model API."""
    name = f"upstream {settings.name}"
    if settings.url == STANDIN:
        yield ok(f"{name} is the stand-in, which Weir starts itself")
        return
    parts = urlsplit(settings.url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    if parts.scheme == "http" and settings.secret is not None and not local(host):
        yield warn(f"{name}: the credential goes to {host} in clear text", "use https")
    if settings.secret is None and not local(host):
        yield warn(f"{name}: {host} gets no credential", "give it one: credential: {env: NAME}")
    yield from credential_file(name, settings)
    problem = reached(settings, host, port, tls=parts.scheme == "https")
    yield problem or ok(f"{name}: {host}:{port} can be reached")


def credential_file(name: str, settings: UpstreamSettings) -> Iterator[Finding]:
    """Look at who can read a credential's file."""
    file = settings.credential.file if settings.credential is not None else None
    if file is not None and file.exists() and (mode := file.stat().st_mode) & OTHERS:
        yield warn(
            f"{name}: others can read {file} (mode {stat.S_IMODE(mode):04o})", f"chmod 600 {file}"
        )


def reached(settings: UpstreamSettings, host: str, port: int, *, tls: bool) -> Finding | None:
    """Connect, and return what is wrong with that."""
    where = f"upstream {settings.name}: {host}:{port}"
    patience = min(settings.connect_timeout / 1_000_000, LONGEST)
    try:
        ca_file = None if settings.ca_file is None else str(settings.ca_file)
        context = ssl.create_default_context(cafile=ca_file)
    except OSError:
        return fail(f"{where}: {settings.ca_file} holds no certificates", "mend ca_file")
    try:
        with socket.create_connection((host, port), timeout=patience) as plain:
            if tls:
                context.wrap_socket(plain, server_hostname=host).close()
    except OSError as error:
        said, advice = trouble(error)
        return fail(f"{where} {said}", advice)
    return None


def trouble(error: OSError) -> tuple[str, str]:
    """Return what an error says about a model API, and what to do about it."""
    found = f"cannot be reached: {error.strerror or 'no connection'}", "check the url"
    match error:
        case ssl.SSLCertVerificationError():
            found = f"is not trusted: {error.verify_message}", "name its authority in ca_file"
        case ssl.SSLError():
            found = "does not speak TLS as we do", "check scheme and port of the url"
        case socket.gaierror():
            found = "has no address", "check the url and the name server"
        case TimeoutError():
            found = "does not answer", "check route and firewall, or raise connect_timeout"
    return found
