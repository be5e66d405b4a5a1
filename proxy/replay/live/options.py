"""How traffic is sent: where to, how fast, for how long."""

from __future__ import annotations

import re
from dataclasses import dataclass

from yarl import URL

from proxy.core.errors import SettingsError

MINUTE = 60_000_000
FASTEST = 1_000_000.0
# Paced traffic waits for nobody; but each request on its way takes a descriptor, and systems allow
# a process 1024 of them by default.
MOST_OPEN = 900
_SPEED = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,6})?)x", re.ASCII)


@dataclass(frozen=True, slots=True)
class Options:
    """How traffic is sent.

    target:      the gateway's root, as `target_of` returns it
    speed:       times the recorded pace; None: as fast as answers come
    lasts, most: the end: microseconds of sending, and requests
    concurrency: requests on their way at one time where speed is None
    open_at_most: the same where traffic has a pace; what comes beyond waits, and is told as late
    forward_ip:  x-forwarded-for carries the traffic's addresses
    connect, idle, whole: microseconds for a connection, between two pieces, for a whole answer
    grace:       microseconds that answers on their way are given when sending is over
    """

    target: URL
    speed: float | None = 1.0
    lasts: int = 10 * MINUTE
    most: int = 10_000
    concurrency: int = 64
    open_at_most: int = MOST_OPEN
    forward_ip: bool = False
    connect: int = 10_000_000
    idle: int = 2 * MINUTE
    whole: int = 10 * MINUTE
    grace: int = MINUTE // 2

    @property
    def together(self) -> int:
        """The most requests on their way at one time."""
        return self.concurrency if self.speed is None else self.open_at_most


def target_of(text: str) -> URL:
    """Return a gateway's root; SettingsError says what would do, without repeating credentials."""
    try:
        url = URL(text)
    except ValueError:
        raise SettingsError("--target: is no URL (http://127.0.0.1:8080)") from None
    if url.user is not None or url.password is not None:
        raise SettingsError(
            "--target: holds credentials; leave them out (keys are named by --keys FILE)"
        )
    if url.scheme not in ("http", "https") or not url.host:
        raise SettingsError("--target: must begin with http:// or https:// (http://127.0.0.1:8080)")
    if url.query_string or url.fragment or "?" in text or "#" in text:
        raise SettingsError("--target: must have no query and no fragment (http://127.0.0.1:8080)")
    path = url.raw_path.rstrip("/")
    if path.endswith("/v1"):
        raise SettingsError("--target: leave out /v1: the traffic's paths have it")
    return url.with_path(path or "/", encoded=True)


def speed_of(text: str) -> float | None:
    """Return times the recorded pace, None for as fast as answers come; SettingsError.

    >>> speed_of("10x"), speed_of("0.5x"), speed_of("max")
    (10.0, 0.5, None)
    """
    if text == "max":
        return None
    found = _SPEED.fullmatch(text)
    if found is None or not 0 < float(found[1]) <= FASTEST:
        raise SettingsError(f"--speed: cannot read {text[:20]!r} (1x, 10x, 0.5x, max)")
    return float(found[1])
