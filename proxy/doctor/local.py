"""What can be seen on this machine: files, ports, limits of the process."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import stat
from ipaddress import ip_address
from typing import TYPE_CHECKING

from proxy.auth.keyring import read_keys
from proxy.auth.pepper import load_pepper
from proxy.auth.verifying import keys_of_file
from proxy.core.errors import PolicyError, SettingsError
from proxy.core.quantities import format_duration
from proxy.doctor.finding import Finding, fail, ok, warn
from proxy.policy.loader import load
from proxy.settings.values import host_and_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from proxy.settings import Settings
    from proxy.settings.schema import JournalSettings, JwtSettings

OTHERS = stat.S_IRWXG | stat.S_IRWXO
SPARE_DESCRIPTORS = 100  # store, journal, admin port, libraries
GIGABYTE = 10**9


def home(settings: Settings) -> Iterator[Finding]:
    """Look at the folder of Weir's state."""
    path = settings.home
    if not path.exists():
        if writable(nearest(path)):
            yield ok(f"home {path} will be made at the first start")
        else:
            yield fail(f"home {path} cannot be made", f"make it, or let {user()} write there")
    elif not writable(path):
        yield fail(f"home {path} cannot be written", f"let {user()} write there")
    elif (mode := path.stat().st_mode) & OTHERS:
        yield warn(
            f"home {path} can be entered by others (mode {stat.S_IMODE(mode):04o})",
            f"chmod 700 {path}",
        )
    else:
        yield ok(f"home {path} can be written, and by nobody else")


def policies(settings: Settings) -> Iterator[Finding]:
    """Load the policies."""
    try:
        load(settings.policies)
    except PolicyError as error:
        for line in str(error).splitlines():
            yield fail(line, "mend the policy (weir check says the same)")
    else:
        yield ok(f"policies in {settings.policies} are good")


def keys(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the pepper and count the keys."""
    try:
        pepper = load_pepper(settings.home, env)
        if pepper is None and settings.keys.exists():
            yield fail(
                f"the pepper is gone, and {settings.keys} is worth nothing without it",
                "restore home/pepper or WEIR_PEPPER, or issue new keys into a new file",
            )
            return
        count = 0
        if pepper is not None:
            yield ok("the pepper can be read by its owner alone")
            count = len(read_keys(settings.keys, pepper, missing_ok=True))
    except SettingsError as error:
        yield fail(str(error), "mend that before the next start")
        return
    if count:
        yield ok(f"{count} key{'s' if count > 1 else ''} in {settings.keys}")
    else:
        yield warn(f"no key in {settings.keys}", "weir keys issue --account NAME")


def tokens(jwt: JwtSettings) -> Iterator[Finding]:
    """Look at the keys that tokens are verified by."""
    if jwt.key_file is None:
        yield ok("keys of tokens are fetched at the first token")
        return
    try:
        keys_of_file(jwt.key_file, jwt.algorithms)
    except SettingsError as error:
        yield fail(str(error), "give auth.jwt.key_file a file with the right keys")
    else:
        yield ok(f"{jwt.key_file} has a key for {', '.join(jwt.algorithms)}")


def journal(settings: JournalSettings) -> Iterator[Finding]:
    """Look at where decisions are written."""
    if settings.to == "stdout":
        yield ok("the journal goes to stdout")
        return
    path = nearest(settings.directory)
    if not writable(path):
        yield fail(
            f"the journal cannot be written in {settings.directory}", f"let {user()} write there"
        )
        return
    free = shutil.disk_usage(path).free
    told = f"{free / GIGABYTE:.1f} GB free for the journal in {settings.directory}"
    if free < settings.rotate_bytes:
        yield fail(told, "make room: not one file of journal.rotate_bytes has any")
    elif free < settings.keep_bytes:
        yield warn(told, "make room, or lower journal.keep_bytes")
    else:
        yield ok(told)


def record(settings: Settings) -> Iterator[Finding]:
    """Look at whether traffic is recorded, and at what was and is still there."""
    told = settings.record
    path = nearest(told.directory)
    if told.on and not writable(path):
        yield fail(f"traffic cannot be recorded in {told.directory}", f"let {user()} write there")
    elif told.on:
        yield warn(
            f"prompts and answers are recorded in the clear in {told.directory}, and kept for"
            f" {format_duration(told.keep)}",
            "record: false, where nobody needs them",
        )
    elif told.directory.is_dir() and any(told.directory.glob("traffic-*.jsonl*")):
        yield warn(
            f"{told.directory} holds recorded prompts and answers, and nothing deletes them: record"
            " is off",
            "delete what nobody needs",
        )
    else:
        yield ok("no traffic is recorded")


def ports(settings: Settings) -> Iterator[Finding]:
    """Try the addresses to listen at."""
    for name, text in (("listen", settings.listen), ("admin", settings.admin)):
        host, port = host_and_port(text)
        problem = taken(host, port)
        if problem is None:
            yield ok(f"{name} {text} is free")
        elif problem == errno.EADDRINUSE:
            yield warn(f"{name} {text} is in use", f"stop what listens there, or change {name}")
        else:
            reason = os.strerror(problem)
            yield fail(f"{name} {text} cannot be had: {reason}", f"change {name}")
    if not local(host_and_port(settings.admin)[0]):
        yield warn(
            f"admin {settings.admin} can be reached from other machines, and asks for no key",
            "let a firewall keep others out, or listen at 127.0.0.1",
        )


def descriptors(settings: Settings) -> Iterator[Finding]:
    """Compare the limit of open files with what each worker may hold open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    pools = sum(each.max_connections for each in settings.upstreams)
    needed = settings.limits.connections + pools + SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        yield ok(f"a worker may open {soft} files")
    else:
        yield warn(
            f"a worker may open {soft} files, and its limits allow {needed} connections",
            f"ulimit -n {needed}, or lower limits.connections and max_connections",
        )


def nearest(path: Path) -> Path:
    """Return a path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())


def writable(path: Path) -> bool:
    """Tell whether files can be made in a folder."""
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def taken(host: str, port: int) -> int | None:
    """Return the errno of listening at an address, None where that works."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        return errno.EADDRNOTAVAIL
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(address)
        except OSError as error:
            return error.errno
    return None


def local(host: str) -> bool:
    """Tell whether an address is of this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def user() -> str:
    """Return who runs this."""
    return f"user {os.geteuid()}"
